"""What the tests of the web admin look at: a provider's models, an agent, requests that it answered."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.models import Agent, ApiKey, LanguageModel, Provider, Status, UsageRecord, UsageStep

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def model(name: str = "alpha", provider: str = "acme", **fields: Any) -> LanguageModel:
    at, _ = Provider.objects.get_or_create(
        name=provider, defaults={"base_url": "https://acme.test/v1", "api_key_env": "ACME_API_KEY"}
    )
    return LanguageModel.objects.create(provider=at, name=name, **fields)


def request(agent: Agent, minutes: int = 0, **fields: Any) -> UsageRecord:
    """A request that began some minutes after noon, with one step."""
    defaults: dict[str, Any] = {
        "started_at": NOON + timedelta(minutes=minutes),
        "worker_id": uuid.uuid4(),
        "agent": agent,
        "agent_name": agent.name,
        "endpoint": "/v1/chat/completions",
        "status": Status.OK,
        "requested_model": f"openfang:{agent.name}",
        "provider": "acme",
        "model": "alpha",
        "prompt_tokens": 1234,
        "completion_tokens": 56,
        "cost": Decimal("0.00123"),
        "duration_ms": 1234,
    }
    record = UsageRecord.objects.create(**defaults | fields)
    UsageStep.objects.create(record=record, position=0, kind="llm", name="alpha", provider="acme", duration_ms=900)
    return record


def agent_form(**fields: Any) -> dict[str, Any]:
    """What a browser posts from the form of a new agent, with a row for each of `fallbacks` and `mcp_tools`."""
    fallbacks = fields.pop("fallbacks", [])
    rows = {f"fallbacks-{row}-model": pk for row, pk in enumerate(fallbacks)}
    rows |= {f"fallbacks-{row}-position": row for row in range(len(fallbacks))}
    totals = {"fallbacks-TOTAL_FORMS": len(fallbacks), "fallbacks-INITIAL_FORMS": 0}
    chosen = fields.pop("mcp_tools", [])
    rows |= {f"mcp_tools-{row}-choice": choice for row, choice in enumerate(chosen)}
    totals |= {"mcp_tools-TOTAL_FORMS": len(chosen), "mcp_tools-INITIAL_FORMS": 0}
    limits = {"max_llm_calls": 10, "max_tool_calls": 50, "run_timeout": 600}
    return {"name": "coder", "enabled": "on", "tool_activity": "automatic", **limits, **totals, **rows, **fields}


def errors(response: Any) -> list[str]:
    """The messages beside the fields of a refused form."""
    found = dict(response.context["adminform"].form.errors)
    for formset in response.context["inline_admin_formsets"]:
        for form in formset.formset.forms:
            found |= form.errors
    return [message for messages in found.values() for message in messages]


def text(response: Any) -> str:
    """A page without its markup and with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).replace("\N{NO-BREAK SPACE}", " ").split())


def key(name: str = "alice", **fields: Any) -> ApiKey:
    issued, _ = ApiKey.objects.issue(name, **fields)
    return issued
