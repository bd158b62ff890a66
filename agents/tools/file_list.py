from itertools import islice
from typing import Annotated

from msgspec import Meta

from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.globs import Glob
from agents.tools.workspace import MAX_DEPTH, MAX_ENTRIES, Workspace, in_workspace_thread, printable

MAX_LISTED = 500


async def file_list(
    context: RunContext,
    path: Annotated[str, Meta(description="The folder to list, relative to the workspace; empty for all of it.")] = "",
    pattern: Annotated[
        str,
        Meta(description="Which paths below it: * lists the folder, **/* all under it, **/*.py all Python files."),
    ] = "*",
) -> str:
    """List files and folders of the workspace, with their sizes in bytes; folders end with a slash.

    .git, node_modules, .venv and __pycache__ are not entered unless they are the folder to list.
    """
    return await in_workspace_thread(_list, context, path, pattern)


tool = FunctionTool(file_list)


def _list(context: RunContext, path: str, pattern: str) -> str:
    glob = Glob(pattern)
    entries = Workspace(context.workspace).walk(path, depth=glob.depth or MAX_DEPTH)
    matching = (entry for entry in islice(entries, MAX_ENTRIES) if glob.matches(entry.below))
    lines = []
    for entry in islice(matching, MAX_LISTED):
        kind = "/" if entry.is_folder else f" ({entry.size:,})" if entry.is_file else " (link or device: not opened)"
        lines.append(printable(entry.path) + kind)
    if next(matching, None) is not None:
        lines.append(f"[There are more: these are the first {MAX_LISTED}. Narrow the path or the pattern.]")
    return "\n".join(lines) or f"[Nothing in {path or 'the workspace'} matches {pattern}.]"
