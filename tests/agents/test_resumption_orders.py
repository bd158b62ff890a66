"""Whatever the order in which requests come, leave, finish, fail, are refused, expire or die with their worker:

no request waits forever, no finished tool call runs twice, and an Idempotency-Key has one run at a time and one answer.
"""

import asyncio
import os
import uuid
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from agents import transcripts
from agents.errors import AgentError, ProviderRefused, RateLimitExceeded
from agents.execution import Parts, Run
from agents.keyring import Keyring
from agents.models import Status, Transcript, UsageRecord
from agents.requests import Caller, RunRequest
from agents.resumption import Resumption
from agents.snapshot import Snapshot
from agents.tools.function import FunctionTool
from agents.types import (
    AgentSpec,
    Delta,
    FinishReason,
    Message,
    ModelRequest,
    ModelSpec,
    Parameters,
    ProviderSpec,
    ReportedUsage,
    ToolCallDelta,
)

MODEL = ModelSpec("m", ProviderSpec("p", "P", "openai", "http://127.0.0.1:9/v1"))
AGENT = AgentSpec(uuid.UUID(int=1), "a", "", 0, "", (MODEL,), run_timeout=10_000)
SNAPSHOT = Snapshot(0, [AGENT], Keyring({}))
AT_ONCE = 4
DECISIONS = {
    "admission": ["admit"] * 5 + ["refuse"],
    "model": ["1", "1", "2", "answer", "answer", "fail"],
    "stopping": [""],
}
BODIES = [b'{"messages": [1]}', b'{"messages": [2]}']


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes when the test says so."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Let everything happen that needs no time and no decision of the test."""
        for _ in range(30):
            self.call_soon(self.stop)
            self.run_forever()


class HeldLedger:
    """A ledger that does its work when the test lets it, in rounds: first what was posted, as the real one."""

    def __init__(self, loop: Clock, saved: Callable[[transcripts.PastRun], None]) -> None:
        self.worker_id = uuid.uuid4()
        self._loop = loop
        self._saved = saved
        self._keys: set[object] = set()
        self.queue: deque[tuple[Callable[[], Any], asyncio.Future[Any] | None, object]] = deque()

    def post(self, function: Callable[[], Any], key: object = None) -> None:
        if key is None or key not in self._keys:
            self._keys.add(key)
            self.queue.append((function, None, key))

    async def perform(self, function: Callable[[], Any]) -> Any:
        self.queue.append((function, done := self._loop.create_future(), None))
        return await done

    async def open(self, row: UsageRecord, hold: object = None) -> None:
        await self.perform(partial(UsageRecord.objects.bulk_create, [UsageRecord(**_columns(row))]))

    async def close(self, row: UsageRecord, *_: object) -> None:
        await self.perform(partial(UsageRecord.objects.filter(id=row.id).update, status=row.status))

    def close_later(self, row: UsageRecord, *_: object) -> None:
        self.post(partial(UsageRecord.objects.filter(id=row.id).update, status=row.status))

    def work(self, number: int) -> None:
        taken = [self.queue.popleft() for _ in range(min(number, len(self.queue)))]
        for function, done, key in sorted(taken, key=lambda job: job[1] is not None):
            if done is not None and done.done():
                continue
            self._keys.discard(key)
            try:
                result = function()
            except AgentError as error:
                assert done is not None
                done.set_exception(error)
                continue
            if isinstance(function, partial) and function.func is transcripts.save:
                self._saved(function.args[1])
            if done is not None:
                done.set_result(result)


def _columns(row: UsageRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name not in ("_state", "caller_span")}


class Client:
    """A client's request, with a gate at each decision: admission, the model's answer, the end of a tool."""

    def __init__(self, world: "World", worker: int, body: int, key: str) -> None:
        self.world, self.worker, self.key = world, worker, key
        self.known_at_arrival = frozenset(world.finished)
        self.gate: tuple[str, asyncio.Future[str]] | None = None
        self.dead = self.admitted = False
        self.outcome = ""
        self.request = RunRequest(
            id=uuid.uuid4(),
            endpoint="test",
            requested_model="a",
            streamed=False,
            messages=[Message("user", "Hi")],
            http_status=lambda _: 200,
            tools=[],
            parameters=Parameters(),
            body=BODIES[body],
            idempotency_key=key,
        )
        ledger: Any = world.ledgers[worker]
        mcp: Any = SimpleNamespace(notice_for=lambda _: "", tools_for=lambda _: [])
        nowhere = Path("/nowhere")
        snapshot: Any = lambda: SNAPSHOT  # noqa: E731
        parts = Parts(snapshot, ledger, self, world.resumptions[worker], mcp, lambda: False, nowhere)
        allowance: Any = self
        self.run = Run(parts, AGENT, self.request, Caller(None, "1.2.3.4", allowance=allowance))
        self.run._tools = [FunctionTool(self.work)]
        self.task = world.loop.create_task(self.ask())

    async def ask(self) -> None:
        try:
            async for _ in self.run.events():
                pass
            self.outcome = "replayed" if self.run.replayed else "answered"
        except AgentError as error:
            self.outcome = error.code

    async def _at(self, gate: str) -> str:
        self.gate = gate, self.world.loop.create_future()
        try:
            return await self.gate[1]
        finally:
            self.gate = None

    # As the caller's allowance

    async def take(self, tokens: int) -> int:
        if await self._at("admission") == "refuse":
            raise RateLimitExceeded(retry_after=1)
        return tokens

    async def count(self, more: int) -> None:
        pass

    async def settle(self, more: int) -> None:
        self.admitted = False

    # As the provider

    async def stream(self, model: ModelSpec, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        self.world.begins(self)
        said = await self._at("model")
        if said == "fail":
            raise ProviderRefused("No.")
        if said == "answer":
            yield Delta(text="Hello")
            yield Delta(finish_reason=FinishReason.STOP, usage=ReportedUsage(1, 1))
            return
        numbers = [self.world.next_call() for _ in range(int(said))]
        calls = [ToolCallDelta(at, f"c{n}", "work", f'{{"n": {n}}}') for at, n in enumerate(numbers)]
        yield Delta(tool_calls=tuple(calls))
        yield Delta(finish_reason=FinishReason.TOOL_CALLS, usage=ReportedUsage(1, 1))

    # As the tool

    async def work(self, context: object, n: int) -> str:
        """Do some work."""
        assert n not in self.known_at_arrival, f"the finished call {n} ran again"
        try:
            await asyncio.wait_for(self.world.tool_gate(self, n), None)
        except asyncio.CancelledError:
            if self.world.stubborn:
                await self._at("stopping")
            raise
        return "done"


class World(RuleBasedStateMachine):
    """Two workers, two bodies, two keys, and clients in every state."""

    def __init__(self) -> None:
        super().__init__()
        Transcript.objects.all().delete()
        UsageRecord.objects.all().delete()
        self.loop = Clock()
        self.finished: set[int] = set()
        self.answers: Counter[str] = Counter()
        self.stubborn = False
        self.clients: list[Client] = []
        self.tools: dict[int, tuple[Client, asyncio.Future[None]]] = {}
        self._calls = 0
        self.ledgers = [HeldLedger(self.loop, self.saved) for _ in range(2)]
        self.resumptions = [Resumption(ledger) for ledger in self.ledgers]  # type: ignore[arg-type]

    def next_call(self) -> int:
        self._calls += 1
        return self._calls

    def saved(self, run: transcripts.PastRun) -> None:
        for turn in run.turns:
            for call in turn.calls():
                if call.id in turn.results:
                    self.finished.add(int(call.function.arguments.split(":")[1].rstrip("} ")))

    def begins(self, client: Client) -> None:
        client.admitted = True
        if client.key:
            running = [one for one in self.alive() if one.key == client.key and one.admitted]
            assert running == [client], "two runs of one Idempotency-Key"

    async def tool_gate(self, client: Client, n: int) -> None:
        self.tools[id(client) * 10**6 + n] = client, self.loop.create_future()
        try:
            await self.tools[id(client) * 10**6 + n][1]
        finally:
            del self.tools[id(client) * 10**6 + n]

    def alive(self) -> list[Client]:
        return [client for client in self.clients if not client.dead and not client.task.done()]

    def decide(self, client: Client, decision: str) -> None:
        assert client.gate is not None
        if not client.gate[1].done():
            client.gate[1].set_result(decision)
        self.loop.settle()

    @precondition(lambda self: len(self.alive()) < AT_ONCE)
    @rule(worker=st.integers(0, 1), body=st.sampled_from([0, 0, 0, 1]), key=st.sampled_from(["", "", "k", "k", "l"]))
    def arrive(self, worker: int, body: int, key: str) -> None:
        self.clients.append(Client(self, worker, body, key))
        self.loop.settle()

    @rule(worker=st.integers(0, 1), number=st.integers(1, 6))
    def ledger_works(self, worker: int, number: int) -> None:
        self.ledgers[worker].work(number)
        self.loop.settle()

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), times=st.integers(1, 12))
    def go_on(self, data: st.DataObject, times: int) -> None:
        for _ in range(times):
            if alive := self.alive():
                self._go_on(data, data.draw(st.sampled_from(alive)))

    def _go_on(self, data: st.DataObject, client: Client) -> None:
        """What a client waits for happens: its ledger works, it is admitted or refused, a model or a tool answers."""
        tools = [ended for owner, ended in self.tools.values() if owner is client and not ended.done()]
        if client.gate is not None:
            self.decide(client, data.draw(st.sampled_from(DECISIONS[client.gate[0]])))
        elif tools:
            data.draw(st.sampled_from(tools)).set_result(None)
        else:
            self.ledgers[client.worker].work(data.draw(st.integers(1, 6)))
        self.loop.settle()

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), stubborn=st.booleans())
    def leave(self, data: st.DataObject, stubborn: bool) -> None:
        """A client leaves; with `stubborn` its tools take their time to stop."""
        self.stubborn = stubborn
        data.draw(st.sampled_from(self.alive())).task.cancel()
        self.loop.settle()

    @rule(seconds=st.sampled_from([0.1, 2, 12, 30]))
    def time_passes(self, seconds: float) -> None:
        self.loop.now += seconds
        Transcript.objects.update(created_at=F("created_at") - timedelta(seconds=seconds))
        self.loop.settle()

    @rule(key=st.sampled_from(["k", "l"]))
    def expire(self, key: str) -> None:
        """A key's day is over, unless its run is still under way: then it was saved a moment ago."""
        running = UsageRecord.objects.filter(status=Status.RUNNING).values("id")
        expired = Transcript.objects.filter(idempotency_key=key).exclude(id__in=running)
        if not [client for client in self.alive() if client.key == key] and expired.update(
            expires_at="2000-01-01T00:00Z"
        ):
            self.answers[key] = 0

    @rule(worker=st.integers(0, 7))
    def kill(self, worker: int) -> None:
        """A worker dies with all it knows, and its supervisor notices. Mostly none does."""
        if worker > 1:
            return
        for client in self.clients:
            client.dead |= client.worker == worker  # even one that is over may have left something in the ledger
        lost = UsageRecord.objects.filter(worker_id=self.ledgers[worker].worker_id, status=Status.RUNNING)
        lost.update(status=Status.LOST)
        self.ledgers[worker] = HeldLedger(self.loop, self.saved)
        self.resumptions[worker] = Resumption(self.ledgers[worker])  # type: ignore[arg-type]

    @invariant()
    def a_key_has_one_answer(self) -> None:
        for client in self.clients:
            if client.outcome == "answered" and client.key:
                client.outcome = "counted"
                self.answers[client.key] += 1
                assert self.answers[client.key] == 1, f"{client.key} was answered twice"

    def teardown(self) -> None:
        try:
            self._nobody_waits_for_a_run_that_does_not_end()
            self._everything_ends()
        finally:
            for _ in range(3):  # what a killed worker had begun is held back by its ledger
                for task in asyncio.all_tasks(self.loop):
                    task.cancel()
                self.loop.settle()
            self.loop.close()

    def _pass_with_ledgers(self) -> None:
        for _ in range(8):
            for ledger in self.ledgers:
                ledger.work(100)
            self.loop.settle()
            self.loop.now += 5
            self.loop.settle()

    def _nobody_waits_for_a_run_that_does_not_end(self) -> None:
        self._pass_with_ledgers()
        arriving = [client for client in self.alive() if client.gate is None and client.run.record is None]
        assert not arriving, "a request waits for ever"

    def _everything_ends(self) -> None:
        self.stubborn = False
        while self.alive():
            before = self._state()
            for client in self.alive():
                if client.gate is not None:
                    gate = client.gate[0]
                    self.decide(client, {"admission": "admit", "model": "answer"}.get(gate, ""))
            for _, ended in [*self.tools.values()]:
                if not ended.done():
                    ended.set_result(None)
            self._pass_with_ledgers()
            assert self._state() != before, "a request hangs"
        self._pass_with_ledgers()
        self.a_key_has_one_answer()
        assert [resumption._claims for resumption in self.resumptions] == [{}, {}]
        dead = {client.request.id for client in self.clients if client.dead}
        rows = set(UsageRecord.objects.values_list("id", flat=True))
        kept = set(Transcript.objects.exclude(idempotency_key="").values_list("id", flat=True))
        assert not kept - rows - dead, "a refused request has kept its key"

    def _state(self) -> list[Any]:
        return [len(self.alive()), *(client.gate for client in self.alive()), *self.tools]


@pytest.mark.django_db
def test_every_order_of_events_is_survived():
    # The same orders every time; EXAMPLES=5000 looks for new ones.
    many = int(os.environ.get("EXAMPLES", "0"))
    chosen = settings(
        max_examples=many or 60,
        stateful_step_count=60,
        derandomize=not many,
        phases=[Phase.generate],  # a failure is named at once; shrinking it takes minutes
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(World, settings=chosen)
