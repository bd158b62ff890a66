from typing import Any

from django.db.models import Count, QuerySet
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from agents.api.permissions import programs_refusal
from agents.api.serializers.mcp import McpServerSerializer
from agents.api.views.base import Resource
from agents.models import McpServer, McpTransport
from agents.tools.mcp import refresh


class McpServers(Resource):
    """Servers of tools for agents, each found by its name."""

    noun = "mcp"
    table = McpServer
    serializer_class = McpServerSerializer
    answers = {"refresh": McpServerSerializer}
    without_body = ("refresh",)
    asks_others = ("refresh",)
    lookup_field = "name"
    lookup_url_kwarg = "name"
    lookup_value_regex = "[a-z0-9_-]+"

    def get_queryset(self) -> QuerySet[Any]:
        return McpServer.objects.annotate(agent_count=Count("agent_tools__agent", distinct=True)).order_by("name")

    def get_object(self) -> Any:
        server: McpServer = super().get_object()
        touches = self.request.method not in SAFE_METHODS
        if touches and server.transport == McpTransport.STDIO and (refusal := programs_refusal(self.request)):
            raise PermissionDenied(refusal)
        return server

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        super().perform_create(serializer)
        serializer.instance.agent_count = 0  # type: ignore[union-attr]

    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, name: str) -> Response:
        """Ask the server for its tools, which agents have from then on. A program is started for that."""
        server = self.get_object()
        refresh(server)
        return Response(McpServerSerializer(server).data)
