from rest_framework.request import Request
from rest_framework.response import Response

from openai_compat.openapi import document
from openai_compat.views.base import OpenAIView


class OpenAPIDocument(OpenAIView):
    """GET /v1/openapi.json: what this API takes and answers, for whoever may list the models."""

    async def get(self, request: Request) -> Response:
        return Response(document())
