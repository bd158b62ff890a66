from collections.abc import Iterable
from itertools import islice
from typing import Annotated

from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.workspace import MAX_FILE, Workspace, in_workspace_thread

MAX_LINES = 2000
MAX_LINE = 2000  # characters of a line
MAX_TEXT = 30_000  # characters of an answer: what is longer is cut here, at a line's end, and not somewhere by the loop


async def file_read(
    context: RunContext,
    path: Annotated[str, Meta(description="Path relative to the workspace, such as src/main.py.")],
    first_line: Annotated[int, Meta(description="The line to begin with.", ge=1)] = 1,
    lines: Annotated[int, Meta(description="How many lines to read.", ge=1, le=MAX_LINES)] = MAX_LINES,
) -> str:
    """Read a text file of the workspace.

    Each line comes with its number and a tab, which are not part of the file. A long file comes in pieces: the last
    line of the answer says how to go on.
    """
    return await in_workspace_thread(_read, context, path, first_line, lines)


tool = FunctionTool(file_read)


def _read(context: RunContext, path: str, first_line: int, lines: int) -> str:
    content = Workspace(context.workspace).read(path)
    if content.is_binary:
        raise ToolFailed(f"{path} is a binary file of {content.size:,} bytes, not text.")
    if not content.data:
        return f"[{path} is empty.]"
    total = content.data.count(b"\n") + (not content.data.endswith(b"\n"))
    if first_line > total:
        raise ToolFailed(f"{path} has {total:,} lines: there is no line {first_line:,}.")
    shown = _numbered(islice(content.lines(), first_line - 1, first_line - 1 + lines), first_line)
    last_line = first_line + len(shown) - 1
    if last_line < total:
        shown.append(f"[Lines {first_line} to {last_line} of {total}. Go on with first_line={last_line + 1}.]")
    elif content.size > MAX_FILE:
        shown.append(f"[The file has {content.size:,} bytes, of which the first {MAX_FILE:,} can be read.]")
    return "\n".join(shown)


def _numbered(lines: Iterable[str], first_line: int) -> list[str]:
    shown: list[str] = []
    room = MAX_TEXT
    for number, line in enumerate(lines, first_line):
        numbered = f"{number}\t" + _cut(line.rstrip("\r\n"))
        room -= len(numbered) + 1
        if room < 0:
            break
        shown.append(numbered)
    return shown


def _cut(line: str) -> str:
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]} [{len(line) - MAX_LINE:,} more characters are cut]"
