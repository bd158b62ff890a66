"""What agents can do: the built-in tools, one a file. None is an agent's unless it is ticked on the agent."""

from collections.abc import Iterable

from agents.tools import (
    agent_ask,
    calculator,
    current_time,
    file_edit,
    file_list,
    file_read,
    file_search,
    file_write,
    memory_recall,
    memory_store,
    shell,
    web_fetch,
    web_search,
)
from agents.tools.function import FunctionTool

BUILT_IN: dict[str, FunctionTool] = {
    module.tool.name: module.tool
    for module in (
        file_read,
        file_list,
        file_search,
        file_write,
        file_edit,
        web_search,
        web_fetch,
        memory_store,
        memory_recall,
        agent_ask,
        calculator,
        current_time,
        shell,
    )
}


def built_in_tools(names: Iterable[str]) -> list[FunctionTool]:
    """Return the tools of these names; one that this version does not have is left out."""
    return [BUILT_IN[name] for name in names if name in BUILT_IN]
