from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from openai_compat.views.base import OpenAIView


class UnknownEndpoint(OpenAIView):
    """Any other path below /v1: says what exists instead."""

    async def get(self, request: Request, **_: Any) -> Response:
        error = NotFound(
            f"There is no {request.method} {request.path}. This server has POST /v1/chat/completions, "
            "GET /v1/models and GET /v1/models/{id}, described at /v1/openapi.json."
        )
        error.code = "unknown_url"  # type: ignore[attr-defined]
        raise error

    post = delete = put = patch = get
