from collections.abc import Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, NoReturn, cast
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.errors import RateLimitExceeded
from agents.keyring import KeySpec
from agents.limits.allowance import Allowance
from agents.limits.counting import ask_cache
from openai_compat.authentication import BearerKey
from openai_compat.errors import exception_handler
from openai_compat.throttling import RequestsPerMinute, allowance_of


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8, and its media type has no such parameter

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return msgspec.json.encode(data)


class AlwaysJSON(BaseContentNegotiation):
    """Takes the one renderer there is: clients that stream accept only text/event-stream, and get errors as JSON."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        parser: BaseParser | None = next((each for each in parsers if each.media_type == media_type), None)
        if parser is None:
            sent = f"not {media_type[:100]!r}" if media_type else "which is missing"
            raise UnsupportedMediaType(
                media_type, f"The body must be JSON and have the header 'Content-Type: application/json', {sent}."
            )
        return parser

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class OpenAIView(APIView):
    """A DRF view whose handlers are coroutines: DRF's own `dispatch` calls and does not await them."""

    authentication_classes = [BearerKey]
    permission_classes = []
    throttle_classes = [RequestsPerMinute]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJSON
    http_method_names = ["get", "post", "delete", "put", "patch"]

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        self.args, self.kwargs = args, kwargs
        self.headers: dict[str, str] = {}
        self.allowance: Allowance | None = None
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        try:
            response: Any = await self._answer(drf_request)
            if self.allowance is not None:
                if isinstance(response, Response):  # a run that streams has looked, and must not be waited with
                    await self.allowance.look()
                self.headers |= self.allowance.headers
            finished: HttpResponseBase = self.finalize_response(drf_request, response, *args, **kwargs)
            if isinstance(finished, Response):
                finished.render()
                finished.renderer_context = {}  # type: ignore[attr-defined]
            return finished
        finally:
            # In DRF view, request and answer hold each other. Untied they are gone with the request; else they, and
            # with them all that a run has in memory, would wait for the garbage collector.
            drf_request.parser_context.clear()

    async def _answer(self, request: Request) -> HttpResponseBase:
        """Return what the handler answers, or the error that it fails with."""
        try:
            await ask_cache(partial(self.initial, request, *self.args, **self.kwargs))
            name = (request.method or "").lower()
            handler = getattr(self, name, None) if name in self.http_method_names else None
            answer = (handler or self.http_method_not_allowed)(request, *self.args, **self.kwargs)
            response: HttpResponseBase = await answer if isawaitable(answer) else answer
        except Exception as error:  # as in DRF: handle_exception tells the known errors from the others
            response = self.handle_exception(error)
        return response

    def check_throttles(self, request: Request) -> None:
        key = request._request.scope["openfang.key"] = key_of(request)  # type: ignore[attr-defined]
        self.allowance = allowance_of(key)
        super().check_throttles(request)

    def throttled(self, request: Request, wait: float | None) -> NoReturn:
        raise RateLimitExceeded(retry_after=int(wait or 1))

    def get_exception_handler(self) -> Any:
        return exception_handler


def key_of(request: Request) -> KeySpec | None:
    """Return the key that the request came with; None where the server is open."""
    key: Any = request.auth
    return cast("KeySpec | None", key)


def request_id(request: Request) -> UUID:
    """Return the id that the consumer has given the request; it is that of the completion and the usage row, too."""
    return request._request.META["openfang.request_id"]  # type: ignore[no-any-return]
