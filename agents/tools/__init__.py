"""What agents can do: the built-in tools, one a file. None is an agent's unless it is ticked on the agent."""

from collections.abc import Iterable

from agents.tools import agent_ask
from agents.tools.function import FunctionTool

BUILT_IN = {module.tool.name: module.tool for module in (agent_ask,)}


def built_in_tools(names: Iterable[str]) -> list[FunctionTool]:
    """Return the tools of these names; one that this version does not have is left out."""
    return [BUILT_IN[name] for name in names if name in BUILT_IN]
