from rest_framework.request import Request
from rest_framework.response import Response

from agents.errors import AgentNotFound
from agents.runs import engine
from openai_compat.rendering import model_object
from openai_compat.views.base import OpenAIView, key_of


class Models(OpenAIView):
    """GET /v1/models: the agents that the caller may use."""

    async def get(self, request: Request) -> Response:
        agents = engine.snapshot.visible(key_of(request))
        return Response({"object": "list", "data": [model_object(agent) for agent in agents]})


class Model(OpenAIView):
    """GET /v1/models/{id}: one agent. Never falls back to another."""

    async def get(self, request: Request, model: str) -> Response:
        agent = engine.snapshot.find(model, key_of(request))
        if agent is None:
            raise AgentNotFound(f"No agent found for model '{model[:200]}'")
        return Response(model_object(agent))
