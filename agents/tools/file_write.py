from typing import Annotated

from msgspec import Meta

from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.workspace import Workspace, in_workspace_thread


async def file_write(
    context: RunContext,
    path: Annotated[str, Meta(description="Path relative to the workspace, such as src/main.py.")],
    content: Annotated[str, Meta(description="The whole text of the file.")],
) -> str:
    """Write a text file into the workspace. Its folders are made; a file that exists is replaced."""
    data = content.encode()
    new = await in_workspace_thread(_write, context, path, data)
    return f"{'Created' if new else 'Replaced'} {path} ({len(data):,} bytes)."


tool = FunctionTool(file_write)


def _write(context: RunContext, path: str, data: bytes) -> bool:
    return Workspace(context.workspace).write(path, data)
