import time
from typing import cast

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from agents.errors import AgentError
from agents.runs import Caller, RunRequest, engine
from openai_compat import rendering
from openai_compat.errors import http_status
from openai_compat.parsers import ChatCompletionParser
from openai_compat.serializers import ChatCompletionRequest, conversation
from openai_compat.sse import EventStream, RunReader
from openai_compat.views.base import OpenAIView, key_of, request_id


class ChatCompletions(OpenAIView):
    """POST /v1/chat/completions: run an agent and answer in OpenAI's format."""

    parser_classes = [ChatCompletionParser]

    async def post(self, request: Request) -> HttpResponseBase:
        chat = cast("ChatCompletionRequest", request.data)
        sent = _SentStatus()
        run_request = _run_request(request, chat, sent)
        agent = engine.snapshot.resolve(chat.model, key_of(request))
        if ignored := chat.ignored(honoured=agent.honour_client_parameters):
            self.headers["x-openfang-ignored"] = ", ".join(ignored)
        events = engine.run(agent, run_request, _caller(request))
        completion_id, created = run_request.id, int(time.time())
        if not chat.stream:
            return Response(await rendering.completion(completion_id, created, agent, events))
        reader = RunReader(events)
        try:
            await reader.first()
        except BaseException:
            await reader.aclose()
            raise
        sent.status = 200
        renderer = rendering.ChunkRenderer(completion_id, created, agent)
        return EventStream(reader, renderer, include_usage=chat.include_usage)


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
    )


def _caller(request: Request) -> Caller:
    return Caller(
        key=key_of(request),
        address=request.META.get("REMOTE_ADDR", ""),
        user_agent=request.headers.get("user-agent", ""),
    )
