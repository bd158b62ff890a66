from typing import Annotated

from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.workspace import MAX_FILE, Content, Workspace, in_workspace_thread


async def file_edit(
    context: RunContext,
    path: Annotated[str, Meta(description="Path relative to the workspace, such as src/main.py.")],
    old_text: Annotated[
        str,
        Meta(description="The text to replace, exactly as in the file (without line numbers), spaces included."),
    ],
    new_text: Annotated[str, Meta(description="The text to put in its place.")],
    replace_all: Annotated[bool, Meta(description="Replace every occurrence, not the only one.")] = False,
) -> str:
    """Replace a piece of a text file in the workspace.

    The old text must occur exactly once: give enough of the lines around it to make it unique, or set replace_all.
    """
    return await in_workspace_thread(_edit, context, path, old_text, new_text, replace_all)


tool = FunctionTool(file_edit)


def _edit(context: RunContext, path: str, old: str, new: str, replace_all: bool) -> str:
    if not old:
        raise ToolFailed("old_text is empty: use file_write to make a file.")
    if old == new:
        raise ToolFailed("old_text and new_text are the same: there is nothing to change.")
    places = ""

    def change(content: Content) -> bytes:
        nonlocal places
        text, places = _changed(path, _text(path, content), old, new, replace_all)
        return text.encode()

    Workspace(context.workspace).edit(path, change)
    return f"Edited {path} at {places}."


def _text(path: str, content: Content) -> str:
    if content.size > MAX_FILE:
        raise ToolFailed(f"{path} has {content.size:,} bytes: files of up to {MAX_FILE:,} can be edited.")
    try:
        if not content.is_binary:
            return content.data.decode()
    except UnicodeDecodeError:
        pass
    raise ToolFailed(f"{path} is not UTF-8 text: it can't be edited.")


def _changed(path: str, text: str, old: str, new: str, replace_all: bool) -> tuple[str, str]:
    """Return the text after the replacement, and at which lines it was made."""
    if "\r\n" in text and "\r" not in old:  # the model was shown lines, not how they end
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    count = text.count(old)
    if not count:
        raise ToolFailed(f"old_text does not occur in {path}. {_hint(text, old)}")
    places = _places(old, text)
    if count > 1 and not replace_all:
        raise ToolFailed(
            f"old_text occurs {count} times in {path} (at {places}): "
            "give more of the text around it, or set replace_all."
        )
    if len(text) + count * (len(new) - len(old)) > MAX_FILE:
        raise ToolFailed(f"{path} would become larger than {MAX_FILE:,} bytes.")
    return text.replace(old, new), places


def _places(old: str, text: str) -> str:
    """Name the lines where the first ten occurrences begin."""
    lines: list[int] = []
    start = 0
    while (found := text.find(old, start)) >= 0 and len(lines) < 10:
        lines.append(text.count("\n", 0, found) + 1)
        start = found + len(old)
    return f"line {', '.join(map(str, lines))}" + (" and more" if found >= 0 else "")


def _hint(text: str, old: str) -> str:
    if " ".join(old.split()) in " ".join(text.split()):
        return "It does with other spaces or line ends: read the file again and copy them exactly."
    return "Read the file again: it may have changed."
