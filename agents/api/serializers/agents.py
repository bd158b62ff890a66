from collections.abc import Mapping
from copy import copy
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from agents.api.permissions import programs_refusal
from agents.api.serializers.base import LanguageModelField, NamedField, RowSerializer, Strict
from agents.models import Agent, McpServer
from agents.models.agent import beyond_model, repeated_models, validate_agent_name
from agents.models.mcp import repeated_tools
from agents.profiles import load_profile, profile_names
from agents.programs import are_programs
from agents.tools import BUILT_IN
from agents.transfer.entries import Planned
from agents.transfer.steps import make, step_for, take

MOST_PARTS = 50
FROM_PROFILE = ("description", "system_prompt", "temperature", "tools")


class AgentNameField(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).strip().lower()


class McpToolSerializer(Strict):
    server = NamedField(McpServer.objects.all(), "MCP server")
    tool = serializers.CharField(
        allow_blank=True, max_length=200, default="", help_text="As the server calls it. Empty: all its tools."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take it whole also where an agent is changed in parts."""
        if "server" not in attrs:
            raise ValidationError({"server": [ErrorDetail("This field is required.", code="required")]})
        return {"tool": "", **attrs}


class FallbackField(LanguageModelField):
    def to_representation(self, value: Any) -> str:
        return str(value.model)


class AgentSerializer(RowSerializer):
    """An agent: what clients see as the model `openfang:<name>`."""

    name = AgentNameField(max_length=64, validators=[validate_agent_name], help_text="Clients ask for openfang:<name>.")
    model = LanguageModelField(allow_null=True, required=False, help_text="null: the server's default model.")
    fallback_models = serializers.ListField(
        child=FallbackField(), source="fallbacks.all", required=False, max_length=MOST_PARTS
    )
    tools = serializers.ListField(
        child=serializers.ChoiceField(list(BUILT_IN)), required=False, help_text="Built-in tools that it may use."
    )
    mcp_tools: Any = serializers.ListSerializer(child=McpToolSerializer(), required=False, max_length=MOST_PARTS)
    profile = serializers.ChoiceField(
        profile_names(),
        write_only=True,
        required=False,
        help_text="For a new agent: what it has where nothing is given.",
    )

    class Meta:
        model = Agent
        fields = [
            "id",
            "name",
            "description",
            "system_prompt",
            "model",
            "fallback_models",
            "temperature",
            "top_p",
            "max_tokens",
            "max_llm_calls",
            "max_tool_calls",
            "run_timeout",
            "honour_client_parameters",
            "tools",
            "mcp_tools",
            "tool_activity",
            "workspace_per_key",
            "enabled",
            "created_at",
            "updated_at",
            "profile",
        ]
        read_only_fields = ["id", "created_at", "updated_at"]

    def to_internal_value(self, data: Any) -> Any:
        """Take the profile's values where none are given, before they are all checked."""
        attrs = super().to_internal_value(data)
        attrs["fallbacks"] = attrs.pop("fallbacks", {}).get("all")
        name = attrs.pop("profile", None)
        if name is not None and self.instance is not None:
            raise ValidationError({"profile": [ErrorDetail("Only a new agent is made from a profile.", code="fixed")]})
        if name is not None:
            profile = load_profile(name)
            given = {field: getattr(profile, field) for field in FROM_PROFILE if field not in attrs}
            attrs |= given | ({"tools": list(profile.tools)} if "tools" in given else {})
        return attrs

    def validate(self, attrs: dict[str, Any]) -> Any:
        """Return the whole agent as it is to be, in place of its parts."""
        super().validate(attrs)
        plan = self._plan(attrs)
        self._check_parts(plan)
        return {"plan": plan}

    def check(self, row: Agent, attrs: Mapping[str, Any]) -> None:
        beyond = beyond_model(row.model, max_tokens=row.max_tokens, tools=row.tools)
        if beyond:
            raise ValidationError({name: [problem] for name, problem in beyond.items()})

    def _plan(self, attrs: dict[str, Any]) -> Planned:
        agent: Any = self.preview(attrs)
        fallbacks, chosen = attrs["fallbacks"], attrs.get("mcp_tools")
        there = self.instance is not None
        if fallbacks is None:
            fallbacks = [fallback.model for fallback in agent.fallbacks.all()] if there else []
        if chosen is None:
            tools = [(row.server, row.tool) for row in agent.mcp_tools.all()] if there else []
        else:
            tools = [(item["server"], item["tool"]) for item in chosen]
        return Planned(agent, fallbacks, tools)

    def _check_parts(self, plan: Planned) -> None:
        for place, problem in repeated_models(plan.agent.model_id, [model.pk for model in plan.fallbacks]):
            raise at("fallback_models", place, problem)
        for place, problem in repeated_tools([(server.pk, tool) for server, tool in plan.mcp_tools]):
            raise at("mcp_tools", place, problem)
        servers = [server for server, _ in plan.mcp_tools]
        if are_programs(plan.agent.tools, servers) and (refusal := programs_refusal(self.context["request"])):
            part = "tools" if are_programs(plan.agent.tools, []) else "mcp_tools"
            raise ValidationError({part: [refusal]})

    def create(self, attrs: Any) -> Agent:
        [agent] = make([attrs["plan"]])
        return agent

    def update(self, agent: Agent, attrs: Any) -> Agent:
        take([step_for(copy(agent), attrs["plan"])])
        return Agent.objects.get(pk=agent.pk)


def at(part: str, place: int, problem: str) -> ValidationError:
    detail: Any = {part: {place: [problem]}}
    return ValidationError(detail)


class CloneSerializer(Strict):
    name = AgentNameField(
        max_length=64, validators=[validate_agent_name], required=False, help_text="Without it: NAME-copy."
    )


class RestoreSerializer(Strict):
    prompt_only = serializers.BooleanField(default=False, help_text="Leave everything but the prompt as it is.")


class FieldChangeSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class VersionSerializer(serializers.Serializer[Any]):
    """A version of an agent, and what it changed in the one before it."""

    version = serializers.IntegerField()
    action = serializers.ChoiceField(["created", "changed", "deleted"])
    at = serializers.DateTimeField()
    user = serializers.CharField(allow_null=True, help_text="null: a command, or the server itself.")
    reason = serializers.CharField(allow_blank=True)
    changes = FieldChangeSerializer(many=True)


class ProfileSerializer(serializers.Serializer[Any]):
    """A ready-made beginning of an agent."""

    name = serializers.CharField()
    description = serializers.CharField()
    system_prompt = serializers.CharField()
    temperature = serializers.FloatField(allow_null=True)
    tools = serializers.ListField(child=serializers.CharField())


class AgentQuery(serializers.Serializer[Any]):
    search = serializers.CharField(required=False, max_length=200, help_text="In the name and the description.")
    enabled = serializers.BooleanField(required=False)
