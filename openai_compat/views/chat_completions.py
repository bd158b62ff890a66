import time
from typing import cast

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from agents.errors import AgentError, InvalidRequest
from agents.playground import version_for, while_running
from agents.runs import Caller, Run, RunRequest, engine
from agents.tracing import read as read_span
from openai_compat import rendering
from openai_compat.activity import ToolActivity
from openai_compat.addresses import client_address
from openai_compat.errors import http_status
from openai_compat.parsers import ChatCompletionParser
from openai_compat.serializers import ChatCompletionRequest, conversation
from openai_compat.sse import EventStream, RunReader
from openai_compat.views.base import OpenAIView, key_of, request_id


class ChatCompletions(OpenAIView):
    """POST /v1/chat/completions: run an agent and answer in OpenAI's format."""

    parser_classes = [ChatCompletionParser]

    async def post(self, request: Request) -> HttpResponseBase:
        if not request.data:  # DRF parses no empty body
            raise InvalidRequest("The body is empty; it must be a JSON object.", code="invalid_json")
        chat = cast("ChatCompletionRequest", request.data)
        sent = _SentStatus()
        run_request = _run_request(request, chat, sent)
        key = key_of(request)
        agent = await version_for(key, engine.snapshot.resolve(chat.model, key))
        if ignored := chat.ignored(agent):
            self.headers["x-openfang-ignored"] = ", ".join(ignored)
        run = engine.run(agent, run_request, self._caller(request))
        request._request.scope["openfang.run"] = run  # type: ignore[attr-defined]
        completion_id, created = run_request.id, int(time.time())
        events = ToolActivity(agent, client_has_tools=bool(run_request.tools)).shown(run.events())
        if not chat.stream:
            completion = await rendering.completion(completion_id, created, agent, events)
            self._say_if_replayed(run)
            return Response(completion)
        reader = RunReader(events)
        try:
            await reader.first()
        except BaseException:
            await reader.aclose()
            raise
        sent.status = 200
        self._say_if_replayed(run)
        renderer = rendering.ChunkRenderer(completion_id, created, agent)
        return EventStream(reader, renderer, include_usage=chat.include_usage)

    def _caller(self, request: Request) -> Caller:
        return Caller(
            key=while_running(key_of(request)),
            address=client_address(request),
            user_agent=request.headers.get("user-agent", ""),
            allowance=self.allowance,
        )

    def _say_if_replayed(self, run: Run) -> None:
        if run.replayed:
            self.headers["x-openfang-replayed"] = "true"


class _SentStatus:
    """The HTTP status that the client of a run gets to see: once 200 is sent, an error changes it no more."""

    status: int | None = None

    def of(self, error: AgentError | None) -> int:
        if self.status is not None:
            return self.status
        return 200 if error is None else http_status(error)


def _run_request(request: Request, chat: ChatCompletionRequest, sent: _SentStatus) -> RunRequest:
    said = conversation(chat)
    return RunRequest(
        id=request_id(request),
        endpoint="/v1/chat/completions",
        requested_model=chat.model,
        streamed=bool(chat.stream),
        messages=said.messages,
        tools=chat.tool_specs(),
        parameters=chat.parameters(),
        end_user=chat.end_user,
        image_at=said.image_at,
        http_status=sent.of,
        body=request.META["openfang.body"],
        idempotency_key=_idempotency_key(request),
        caller_span=read_span(request.headers.get("traceparent", ""), request.headers.get("tracestate", "")),
    )


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if len(key) > 255:
        raise InvalidRequest("The Idempotency-Key is longer than 255 characters.", code="invalid_idempotency_key")
    return key
