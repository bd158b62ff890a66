from typing import Annotated

from msgspec import Meta

from agents.tools.context import RunContext
from agents.tools.function import FunctionTool


async def agent_ask(
    context: RunContext,
    agent: Annotated[str, Meta(description="The name of the agent to ask.")],
    question: Annotated[str, Meta(min_length=1, description="The whole question: the agent knows nothing else.")],
) -> str:
    """Ask another agent of this server a question and return its answer. It sees only the question."""
    return await context.ask_agent(agent, question)


tool = FunctionTool(agent_ask, timeout=600)
