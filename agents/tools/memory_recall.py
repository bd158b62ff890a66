from typing import Annotated

from msgspec import Meta

from agents.models import Memory
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.memory import in_database, recall


async def memory_recall(
    context: RunContext,
    query: Annotated[str, Meta(description="Words to look for. Empty: what was stored last.", max_length=1000)] = "",
    max_results: Annotated[int, Meta(ge=1, le=10)] = 5,
) -> str:
    """Look up what was remembered with memory_store in this and earlier conversations with the same user."""
    found, total = await in_database(recall, context.agent.id, context.scope, query, max_results)
    if not total:
        return "Nothing has been remembered yet."
    if not found:
        return f"None of the {total} memories has any of these words. An empty query returns the latest."
    return "\n".join([f"{len(found)} of {total} memories:", *map(_line, found)])


def _line(memory: Memory) -> str:
    key = f"{memory.key}: " if memory.key else ""
    return f"- {key}{memory.text} (stored {memory.updated_at:%Y-%m-%d})"


tool = FunctionTool(memory_recall, timeout=15)
