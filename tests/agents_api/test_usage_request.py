"""/api/usage/{id}: one request with its calls of models and tools, and no word of what was said in it."""

from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent, StoredContent, UsageRecord, UsageStep
from tests.agents.admin_cast import NOON, request
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db

NOTHING: dict[str, Any] = {
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cached_tokens": 0,
    "reasoning_tokens": 0,
    "first_token_ms": None,
    "result_bytes": None,
    "http_status": None,
    "attempt": None,
    "backoff_ms": None,
}


@pytest.fixture
def record() -> UsageRecord:
    """A request that called a model, a tool that failed, and the model again."""
    record = request(Agent.objects.create(name="coder"))
    record.steps.all().delete()
    UsageStep.objects.create(
        record=record,
        position=2,
        kind="tool",
        name="calculator",
        error_code="tool_failed",
        error_text="The tool reported an error.",
        started_ms=500,
        duration_ms=12,
        arguments='{"expression": "pomegranates"}',
        result_bytes=40,
        cost=Decimal(0),
    )
    for position, started in ((1, 5), (3, 520)):
        UsageStep.objects.create(
            record=record,
            position=position,
            kind="llm",
            name="alpha",
            provider="acme",
            token_source="provider",
            http_status=200,
            attempt=1,
            started_ms=started,
            first_token_ms=100,
            duration_ms=400,
            prompt_tokens=600,
            completion_tokens=20,
            cached_tokens=300,
            reasoning_tokens=5,
            cost=Decimal("0.0005") if position == 1 else None,
        )
    return record


def test_a_request_has_its_row_and_its_steps_in_their_order(api: Caller, record: UsageRecord) -> None:
    row = api.get("/api/usage").json()["data"][0]

    shown = api.get(f"/api/usage/{record}").json()

    steps = shown.pop("steps")
    assert shown == row
    call = {
        "kind": "llm",
        "provider": "acme",
        "name": "alpha",
        "error_code": "",
        "error_text": "",
        "http_status": 200,
        "attempt": 1,
        "backoff_ms": None,
        "first_token_ms": 100,
        "duration_ms": 400,
        "prompt_tokens": 600,
        "completion_tokens": 20,
        "cached_tokens": 300,
        "reasoning_tokens": 5,
        "token_source": "provider",
        "result_bytes": None,
    }
    tool = {
        **NOTHING,
        "position": 2,
        "kind": "tool",
        "provider": "",
        "name": "calculator",
        "error_code": "tool_failed",
        "error_text": "The tool reported an error.",
        "started_ms": 500,
        "duration_ms": 12,
        "token_source": "none",
        "cost_usd": "0",
        "result_bytes": 40,
    }
    assert steps == [
        {**call, "position": 1, "started_ms": 5, "cost_usd": "0.0005"},
        tool,
        {**call, "position": 3, "started_ms": 520, "cost_usd": None},
    ]


def test_the_id_is_taken_as_clients_and_logs_show_it(api: Caller, record: UsageRecord) -> None:
    for shown in (f"req_{record.id.hex}", f"chatcmpl-{record.id}", str(record.id), record.id.hex):
        assert api.get(f"/api/usage/{shown}").json()["request_id"] == f"req_{record.id.hex}"


@pytest.mark.parametrize("wrong", ["req_976a11e979964fbab96dc3de831567de", "req_", "coder", "%00", "summary.json"])
def test_what_is_no_request_is_not_found(api: Caller, record: UsageRecord, wrong: str) -> None:
    assert error(api.get(f"/api/usage/{wrong}"), 404)["code"] == "not_found"


def test_a_request_is_read_and_nothing_else(api: Caller, record: UsageRecord) -> None:
    assert api.client.head(f"/api/usage/{record}").status_code == 200
    assert error(api.delete(f"/api/usage/{record}"), 405)["code"] == "method_not_allowed"
    assert UsageRecord.objects.exists()


def test_what_the_server_keeps_of_a_conversation_is_not_told(api: Caller, record: UsageRecord) -> None:
    StoredContent.objects.create(id=record.id, content=b"pomegranates", expires_at=NOON)

    assert "pomegranates" not in api.get(f"/api/usage/{record}").content.decode()
