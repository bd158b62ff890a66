from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agents.types import AgentSpec


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run hands to the tools it calls.

    `scope` names the caller, so that one caller's memories never reach another; `key_id` is the caller's API key,
    None on a server without keys; `workspaces` holds a folder for each agent, or for each of its keys; `deadline` is on
    the event loop's clock; `depth` is 0 for a client's run and one more for every `agent_ask` above it;
    `ask_agent(name, question)` answers with another agent's words.
    """

    agent: AgentSpec
    scope: str
    workspaces: Path
    deadline: float
    depth: int
    ask_agent: Callable[[str, str], Awaitable[str]]
    key_id: UUID | None = None

    @property
    def workspace(self) -> Path:
        """The agent's folder, or the key's where the agent has one for each: beside the agent's, never inside it."""
        if self.agent.workspace_per_key and self.key_id is not None:
            return self.workspaces / f"{self.agent.id}.{self.key_id}"
        return self.workspaces / str(self.agent.id)
