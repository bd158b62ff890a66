"""What one request of a client may start by `agent_ask`: the runs below it share one count and one set of places."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from agents.errors import AskLimitReached, ToolFailed
from agents.requests import Caller
from agents.snapshot import Snapshot
from agents.types import AgentSpec, CallsMade

DEEPEST = 3


class Tree:
    """The client's run and all that it leads to: how much of it there may be, and how much at once.

    `one_more` says whether the caller's limit of parallel requests lets one more of these runs work at once.
    """

    def __init__(self, one_more: Callable[[], Awaitable[bool]] | None) -> None:
        self._one_more = one_more
        self._runs = self._llm_calls = self._tool_calls = 0
        self._places = 1  # that of the client's run
        self._free = asyncio.Semaphore(0)

    def count_run(self) -> None:
        if self._runs >= settings.OPENFANG_ASK_RUNS:
            raise ToolFailed(
                f"This request has asked other agents {self._runs} times, and may not more often. "
                "Answer with what you have."
            )
        self._runs += 1

    def count_llm_call(self) -> None:
        if self._llm_calls >= settings.OPENFANG_ASK_LLM_CALLS:
            raise AskLimitReached(
                f"the agents asked for this request have made {self._llm_calls} LLM calls, and may make no more"
            )
        self._llm_calls += 1

    def count_tool_calls(self, number: int) -> None:
        if self._tool_calls + number > settings.OPENFANG_ASK_TOOL_CALLS:
            raise AskLimitReached(
                f"the agents asked for this request may make {settings.OPENFANG_ASK_TOOL_CALLS} tool calls, "
                f"and have made {self._tool_calls}"
            )
        self._tool_calls += number

    async def take_place(self) -> None:
        if self._free.locked() and self._places < settings.OPENFANG_ASK_PARALLEL:
            self._places += 1
            granted = False
            try:
                granted = self._one_more is None or await self._one_more()
            finally:
                self._places -= not granted
            if granted:
                return
        await self._free.acquire()

    def free_place(self) -> None:
        self._free.release()


class Place(Struct, eq=False):
    """A run's right to work at the same time as others of its tree.

    A run that waits for another's answer gives its place up, so that they cannot wait for each other.
    """

    tree: Tree
    held: bool = False

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(self, *_: object) -> None:
        self.give_up()

    async def take(self) -> None:
        if not self.held:
            await self.tree.take_place()
            self.held = True

    def give_up(self) -> None:
        if self.held:
            self.held = False
            self.tree.free_place()


class Asker(Struct, frozen=True):
    """The run that asks: its id, its depth below the client's run, its deadline, and a place for the run it asks."""

    run_id: UUID
    depth: int
    deadline: float
    place: Place


class Asking:
    """One run's part in its tree: whom it may ask and, if it was asked itself, how much it may do."""

    def __init__(self, agent: AgentSpec, caller: Caller, run_id: UUID, asker: Asker | None) -> None:
        self._agent = agent
        self._caller = caller
        self._run_id = run_id
        self._asker = asker
        self._place = asker.place if asker else None  # a client's run has no tree before it asks

    @property
    def depth(self) -> int:
        return self._asker.depth + 1 if self._asker else 0

    @property
    def parent_id(self) -> UUID | None:
        return self._asker.run_id if self._asker else None

    def deadline(self, run_timeout: int) -> float:
        """Return when the run must be done: never later than the run that asked it."""
        own = asyncio.get_running_loop().time() + run_timeout
        return min(own, self._asker.deadline) if self._asker else own

    async def before_llm_call(self) -> None:
        """Wait for a place to work. Raises AskLimitReached once the asked agents have made all their calls."""
        if self._place is not None:
            await self._place.take()
            if self._asker is not None:
                self._place.tree.count_llm_call()

    def before_tool_calls(self, made: CallsMade) -> None:
        """Count the calls that are about to be executed. Raises AskLimitReached if they are too many."""
        if self._asker is not None:
            new = sum(call.id not in made.results for call in made.executed)
            self._asker.place.tree.count_tool_calls(min(new, self._agent.max_tool_calls))

    def find(self, snapshot: Snapshot, name: str) -> AgentSpec:
        """Return the agent to ask. Raises ToolFailed for an unknown name, or if this run may not ask."""
        if self.depth >= DEEPEST:
            raise ToolFailed(f"Agents may ask each other at most {DEEPEST} deep. Answer yourself.")
        agent = snapshot.find(name, self._caller.key)
        if agent is None or agent.id == self._agent.id:
            others = (other.name for other in snapshot.visible(self._caller.key) if other.id != self._agent.id)
            known = ", ".join(others) or "none"
            raise ToolFailed(f"There is no agent {name[:64]!r} to ask. Agents you may ask: {known}.")
        return agent

    def asker(self, deadline: float) -> Asker:
        """Return this run as one that asks; its place is free until the answer is there. Raises ToolFailed."""
        if self._place is None:
            allowance = self._caller.allowance
            self._place = Place(Tree(allowance.take_another if allowance else None), held=True)
        self._place.tree.count_run()
        self._place.give_up()
        return Asker(self._run_id, self.depth, deadline, Place(self._place.tree))
