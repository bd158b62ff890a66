import time
from collections.abc import Iterator
from itertools import islice
from threading import Event
from typing import Annotated

import re2  # type: ignore[import-untyped]
from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.globs import Glob, quiet
from agents.tools.workspace import MAX_ENTRIES, MAX_FILE, Entry, Workspace, in_workspace_thread, printable

MAX_MATCHES = 200
MAX_SHOWN = 200  # characters of a line
MAX_SECONDS = 10
MAX_PATTERN = 1000  # characters


async def file_search(
    context: RunContext,
    pattern: Annotated[
        str,
        Meta(description="Regular expression (RE2: no look-around, no back-references).", max_length=MAX_PATTERN),
    ],
    path: Annotated[str, Meta(description="The folder or file to search, relative to the workspace.")] = "",
    files: Annotated[
        str, Meta(description="Which files below it: *.py, *.{js,ts} (in any folder), or with folders src/**/*.py.")
    ] = "*",
    ignore_case: Annotated[bool, Meta(description="Take capitals and small letters as the same.")] = False,
) -> str:
    """Search the lines of the workspace's text files. Answers with path:line: text of each line that matches.

    .git, node_modules, .venv and __pycache__ are left out unless they are the folder to search.
    """
    given_up = Event()
    try:
        search = Search(pattern, files, ignore_case, given_up)
        return await in_workspace_thread(search.run, context, path)
    finally:
        given_up.set()


tool = FunctionTool(file_search)


class Search:
    """One search of a workspace.

    RE2 takes time in proportion to the text, whatever the expression: reading the clock between lines is enough to
    stop in time.
    """

    def __init__(self, pattern: str, files: str, ignore_case: bool, given_up: Event) -> None:
        options = quiet()
        options.case_sensitive = not ignore_case
        try:
            self._expression = re2.compile(pattern, options)
        except re2.error as error:
            raise ToolFailed(f"The pattern is not a regular expression: {error.args[0].decode()}.") from None
        self._glob = Glob(files if "/" in files else f"**/{files}")
        self._given_up = given_up
        self._end = 0.0
        self._searched = 0
        self._stopped = ""

    def run(self, context: RunContext, path: str) -> str:
        self._end = time.monotonic() + MAX_SECONDS
        matches = self._matches(Workspace(context.workspace), path)
        lines = list(islice(matches, MAX_MATCHES))
        if next(matches, None) is not None:
            self._stopped = f"there are more than {MAX_MATCHES} matching lines"
        if self._stopped:
            lines.append(f"[Stopped: {self._stopped}. Narrow the path, the files or the pattern.]")
        elif not lines:
            lines.append(f"[No line matches in the {self._searched:,} files searched.]")
        return "\n".join(lines)

    def _matches(self, workspace: Workspace, path: str) -> Iterator[str]:
        for entry in islice(workspace.walk(path), MAX_ENTRIES):
            if self._is_over():
                return
            if entry.is_file and self._glob.matches(entry.below):
                yield from self._matches_in(workspace, entry)

    def _matches_in(self, workspace: Workspace, entry: Entry) -> Iterator[str]:
        try:
            content = workspace.read(entry.path)
        except ToolFailed:  # deleted in the meantime, unreadable, or with a name that no tool takes
            return
        if content.is_binary:
            return
        self._searched += 1
        for number, line in enumerate(content.lines(), 1):
            if self._is_over():
                return
            if found := self._expression.search(line.rstrip("\r\n")):
                yield f"{printable(entry.path)}:{number}: {_excerpt(line, found.start())}"
        if content.size > MAX_FILE:
            yield f"{printable(entry.path)}: [only the first {MAX_FILE:,} bytes were searched]"

    def _is_over(self) -> bool:
        if self._given_up.is_set() or time.monotonic() > self._end:
            self._stopped = f"the search took longer than {MAX_SECONDS} s"
        return bool(self._stopped)


def _excerpt(line: str, at: int) -> str:
    """Return the line, or of a long one what lies around the match."""
    start = max(0, at - MAX_SHOWN // 4) if len(line) > MAX_SHOWN else 0
    end = start + MAX_SHOWN
    return f"{'...' if start else ''}{line[start:end].strip()}{'...' if end < len(line) else ''}"
