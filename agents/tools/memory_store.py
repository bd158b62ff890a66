from typing import Annotated

from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.memory import MAX_MEMORIES, MAX_TEXT, in_database, storable, store


async def memory_store(
    context: RunContext,
    text: Annotated[str, Meta(description="What to remember, in whole sentences.", max_length=MAX_TEXT)],
    key: Annotated[
        str, Meta(description="A short name; storing again under it replaces the text.", max_length=100)
    ] = "",
) -> str:
    """Remember something for later conversations with the same user, such as a name, a preference or a decision."""
    if not storable(text).strip():
        raise ToolFailed("There is no text to remember.")
    name = storable(key).strip()
    replaced, let_go = await in_database(store, context.agent.id, context.scope, name, storable(text))
    said = f"Remembered, in place of what was under {name!r}." if replaced else "Remembered."
    if let_go:
        said += f" Only {MAX_MEMORIES} are kept, so the oldest {let_go} went."
    return said


tool = FunctionTool(memory_store, timeout=15)
