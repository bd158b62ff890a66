from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from agents.api.permissions import programs_refusal
from agents.api.serializers.base import RowSerializer
from agents.models import McpServer, McpTransport

MOST_PARTS = 100


class ServersToolSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="As the server calls it.")
    description = serializers.CharField(default="", allow_blank=True)


class LeftOutSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(allow_blank=True, help_text="As the server calls it; empty if it has no name.")
    reason = serializers.CharField()


class McpServerSerializer(RowSerializer):
    """A server of tools. Secrets are not in it: headers and URLs name the environment variables that hold them."""

    headers = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        required=False,
        help_text="Sent with every request. ${NAME} stands for an environment variable that "
        "OPENFANG_EXPOSED_VARIABLES lists.",
    )
    args = serializers.ListField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False), required=False, max_length=MOST_PARTS
    )
    environment = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        max_length=MOST_PARTS,
        help_text="The environment variables that the program gets besides PATH and HOME, of those that "
        "OPENFANG_EXPOSED_VARIABLES lists.",
    )
    tools = ServersToolSerializer(many=True, read_only=True)
    tools_left_out = LeftOutSerializer(
        many=True, read_only=True, help_text="What of the server's list cannot be offered to agents, and why."
    )
    tools_read_at = serializers.DateTimeField(read_only=True, allow_null=True, help_text="null: never yet.")
    why_withheld = serializers.CharField(
        read_only=True, help_text="Why a variable named here is not sent to this server; empty if all may be."
    )
    agents = serializers.IntegerField(source="agent_count", read_only=True, help_text="How many use its tools.")

    class Meta:
        model = McpServer
        fields = [
            "name",
            "transport",
            "url",
            "headers",
            "command",
            "args",
            "environment",
            "timeout",
            "enabled",
            "tools",
            "tools_left_out",
            "tools_read_at",
            "tools_stale",
            "why_withheld",
            "agents",
        ]
        read_only_fields = ["tools_stale"]

    def check(self, row: McpServer, attrs: dict[str, Any]) -> None:
        if row.transport == McpTransport.STDIO and (refusal := programs_refusal(self.context["request"])):
            raise ValidationError({"transport": [refusal]})
