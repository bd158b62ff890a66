from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agents.types import AgentSpec


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run hands to the tools it calls.

    `scope` names the caller, so that nothing remembered for one is told to another; every agent has a folder of its own
    in `workspaces`; `deadline` is on the event loop's clock; `depth` is 0 for a client's run and one more for every
    `agent_ask` above it; `ask_agent(name, question)` answers with another agent's words.
    """

    agent: AgentSpec
    scope: str
    workspaces: Path
    deadline: float
    depth: int
    ask_agent: Callable[[str, str], Awaitable[str]]

    @property
    def workspace(self) -> Path:
        return self.workspaces / str(self.agent.id)
