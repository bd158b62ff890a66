"""One request on its way through an agent: recorded from its first step, whatever happens, to its last."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings
from msgspec.structs import replace

from agents import runner, transcripts
from agents.admission import Admission
from agents.asking import Asker, Asking
from agents.digests import Digests
from agents.errors import (
    AgentError,
    ProviderRefused,
    RunAbandoned,
    RunFailed,
    RunTimeout,
    ServerStopped,
    ToolFailed,
    UsageNotRecorded,
)
from agents.history import PastTurn, restored, runs_in
from agents.models import Status, UsageRecord
from agents.models.usage import time_ordered_uuid
from agents.providers.attempts import ask
from agents.requests import Caller, RunRequest, able_models, instructed, opening_row, settled_parameters
from agents.resumption import Beginning, Claim, Resumption
from agents.snapshot import Snapshot
from agents.tools import built_in_tools
from agents.tools.context import RunContext
from agents.tools.mcp import McpPool
from agents.tools.toolbox import RunTools, Tool
from agents.transcripts import Origin, PastAnswer, PastRun
from agents.types import (
    AgentSpec,
    CallsMade,
    Delta,
    Event,
    Finished,
    LLMCallStarted,
    Message,
    ModelRequest,
    Parameters,
    Provider,
    ToolCallEnded,
)
from agents.usage.ledger import Ledger
from agents.usage.recording import Recording

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every run of a process uses."""

    snapshot: Callable[[], Snapshot]
    ledger: Ledger
    provider: Provider
    resumption: Resumption
    mcp: McpPool
    cancelling: Callable[[], bool]
    workspaces: Path


class Run:
    """An agent's answer to one request. Raises InvalidRequest for what the agent's model cannot take."""

    def __init__(
        self,
        parts: Parts,
        agent: AgentSpec,
        request: RunRequest,
        caller: Caller,
        *,
        asker: Asker | None = None,
    ) -> None:
        self.replayed = False
        self.record: UsageRecord | None = None
        self._parts = parts
        self._agent = agent
        self._request = request
        self._caller = caller
        self._asking = Asking(agent, caller, request.id, asker)
        self._deadline = math.inf
        self._models = able_models(agent, request)
        mcp_tools = parts.snapshot().mcp_tools(agent) if agent.takes_tools else ()
        self._missing_tools = parts.mcp.notice_for(mcp_tools)
        self._tools: list[Tool] = []
        if agent.takes_tools:
            self._tools = [*built_in_tools(agent.tools), *parts.mcp.tools_for(mcp_tools)]
        self._origin = Origin(request.id, agent.id, caller.scope, "", request.idempotency_key)
        self._claim: Claim | None = None
        self._digests: Digests | None = None
        self._admission = Admission(
            parts.ledger,
            parts.snapshot(),
            agent=agent,
            models=self._models,
            tools=self._tools,
            request=request,
            caller=caller,
        )
        self._past = PastRun()
        self._replayed_turns = 0
        self._said: list[str] = []
        self._reasoned: list[str] = []

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the answer: deltas, the calls made, and Finished last, by when the usage row is closed."""
        beginning = await self._beginning()
        recording = Recording(self._opening_row())
        self.record = recording.row
        self.record.caller_span = self._request.caller_span
        error: AgentError | None = RunFailed("The server failed to answer this request.")
        try:
            await self._admission.enter(recording.row, free=self.replayed)
            if self._claim is not None:
                self._parts.resumption.admit(self._claim)
            answer = beginning.answer
            events = self._run(beginning.turns) if answer is None else beginning.replay(answer)
            async with aclosing(events):
                async for event in events:
                    if type(event) is LLMCallStarted:
                        await self._asking.before_llm_call()
                        await self._admission.before_call(recording.steps, event)
                    elif type(event) is CallsMade:
                        self._asking.before_tool_calls(event)
                    recording.observe(event)
                    if not self.replayed:
                        self._remember(event)
                    if type(event) is Delta or type(event) is CallsMade:
                        yield event
            error = None
        except AgentError as failure:
            error = failure
            raise
        except (asyncio.CancelledError, GeneratorExit):
            error = RunAbandoned("The client left before the answer was complete.")
            raise
        finally:
            await self._end(recording, error)
        yield Finished(recording.finish_reason, answer.usage if answer else recording.usage)

    async def _beginning(self) -> Beginning:
        """Look for an earlier run of this request, if there can be one whose tool calls matter."""
        if not (self._request.idempotency_key or self._tools) or not settings.OPENFANG_TRANSCRIPT_HOURS:
            return Beginning()
        self._digests = self._request.digests()
        self._origin = replace(self._origin, body_digest=self._digests.current, old_digest=self._digests.old)
        self._claim = await self._parts.resumption.arrive(self._origin)
        beginning = self._claim.beginning
        self.replayed = beginning.answer is not None
        self._past = PastRun(list(beginning.turns), taken=beginning.taken)
        self._replayed_turns = len(beginning.turns)
        return beginning

    async def _run(self, turns: list[PastTurn]) -> AsyncGenerator[Event, None]:
        """Run the loop, resuming where an earlier run of the same request stopped."""
        agent, request = self._agent, self._request
        if not self._models:
            raise ProviderRefused(f"The agent {agent.name!r} has no model, and this server has no default model.")
        messages = await self._messages()
        self._deadline = self._asking.deadline(agent.run_timeout)
        parameters = settled_parameters(agent, request.parameters)
        model_request = ModelRequest(messages, self._deadline, parameters=parameters, span=request.span)
        asking = partial(ask, self._parts.provider, self._models)
        async with aclosing(runner.run(agent, model_request, asking, self._toolbox(), turns)) as events:
            async for event in events:
                yield event

    async def _messages(self) -> list[Message]:
        messages = self._request.messages
        past: dict[UUID, list[PastTurn]] = {}
        if runs := runs_in(messages):
            look_up = partial(transcripts.runs_of, runs, self._agent.id, self._caller.scope)
            past = await self._parts.ledger.perform(look_up)
        return instructed(self._agent, restored(messages, past), self._missing_tools)

    def _toolbox(self) -> RunTools:
        context = RunContext(
            agent=self._agent,
            scope=f"{self._caller.scope}/{self._request.end_user}",
            workspaces=self._parts.workspaces,
            deadline=self._deadline,
            depth=self._asking.depth,
            ask_agent=self._ask_agent,
            key_id=self._caller.key.id if self._caller.key else None,
        )
        client = self._request.tools if self._agent.takes_tools else []
        choice = self._request.parameters.tool_choice
        return RunTools(self._request.id, context, own=self._tools, client=client, choice=choice)

    async def _ask_agent(self, name: str, question: str) -> str:
        """Have another agent answer a question, in a run of its own that is recorded under this one."""
        agent = self._asking.find(self._parts.snapshot(), name)
        asker = self._asking.asker(self._deadline)
        try:
            run = Run(self._parts, agent, self._question(name, question), self._caller.asking(), asker=asker)
            async with asker.place, aclosing(run.events()) as events:
                return "".join([event.text async for event in events if isinstance(event, Delta)])
        except AgentError as error:
            raise ToolFailed(f"The agent {agent.name} could not answer: {error}") from error

    def _question(self, agent: str, question: str) -> RunRequest:
        return RunRequest(
            id=time_ordered_uuid(),
            endpoint="agent_ask",
            requested_model=agent,
            streamed=False,
            messages=[Message("user", question)],
            http_status=lambda error: 200 if error is None else 500,
            tools=[],
            parameters=Parameters(),
            end_user=self._request.end_user,
            # The same in a repeat of this request, so that what the other agent's tools have done is taken over, too.
            asked_as=self._digests.asking(question) if self._digests else None,
            caller_span=self._request.span,
        )

    def _remember(self, event: Event) -> None:
        """Keep what a repetition or a continuation of this request would need."""
        if isinstance(event, Delta):
            if self._request.idempotency_key:
                self._said.append(event.text)
                self._reasoned.append(event.reasoning)
        elif isinstance(event, CallsMade):
            self._said.clear()
            if self._replayed_turns:  # the turns taken over are known, and get their results from the loop
                self._replayed_turns -= 1
                return
            turn = PastTurn(event.message, [call.id for call in event.executed], dict(event.results))
            self._past.turns.append(turn)
            if turn.complete and any(past.executed or past.message.attached for past in self._past.turns):
                self._keep()
        elif isinstance(event, ToolCallEnded):
            self._past.turns[-1].results[event.call.id] = event.result
            self._keep()

    def _keep(self) -> None:
        """Have the transcript saved as it is when the writer comes to it: once, however many calls end before that."""
        self._parts.ledger.post(partial(transcripts.save, self._origin, self._past), key=self._origin.run_id)

    async def _end(self, recording: Recording, error: AgentError | None) -> None:
        """Commit the closing row, also when the request is being cancelled meanwhile; what was refused has none."""
        if self._admission.refused:
            self._let_go()
            return
        error = self._meant_by(error)
        status = Status.OK if error is None else Status.FAILED
        if isinstance(error, RunAbandoned):
            status = Status.CANCELLED
        if error is None and not self.replayed:
            self._answered(recording)
        code = error.code if error else ""
        recording.close(status, http_status=self._request.http_status(error), error_code=code)
        # A row that could not be opened is closed when the database answers again.
        closing = asyncio.ensure_future(self._admission.leave(recording, later=isinstance(error, UsageNotRecorded)))
        closing.add_done_callback(lambda _: self._let_go())
        await asyncio.shield(closing)

    def _meant_by(self, error: AgentError | None) -> AgentError | None:
        """Return what ended the run: a cancellation is the client's leaving unless the server or the time caused it."""
        if not isinstance(error, RunAbandoned):
            return error
        if self._parts.cancelling():
            return ServerStopped("The server stopped before the answer was complete.")
        if self._asking.depth and asyncio.get_running_loop().time() >= self._deadline:
            return RunTimeout("The run reached its time limit.")
        return error

    def _answered(self, recording: Recording) -> None:
        self._past.ended = True
        if self._request.idempotency_key:
            text, reasoning = "".join(self._said), "".join(self._reasoned)
            self._past.answer = PastAnswer(text, reasoning, recording.finish_reason, recording.usage)
        if self._past.answer is not None or self._past.taken:
            self._keep()

    def _let_go(self) -> None:
        if self._claim is not None:
            self._parts.resumption.end(self._claim)

    def _opening_row(self) -> UsageRecord:
        worker_id, parent_id = self._parts.ledger.worker_id, self._asking.parent_id
        return opening_row(self._request, self._agent, self._caller, worker_id=worker_id, parent_id=parent_id)
