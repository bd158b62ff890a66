"""`openfang usage`: what was used and what it cost."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.utils import timezone

from agents.limits.turns import own_turn
from agents.models import Agent, Status
from agents.usage.rollups import add_to_rollups
from tests.agents.admin_cast import key, request
from tests.agents.command_line import command

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path


@pytest.fixture
def used() -> None:
    """Three requests of today, and one of ten days ago; two of coder, one of them with Alice's key and failed."""
    coder, writer = (Agent.objects.create(name=name) for name in ("coder", "writer"))
    alice, now = key("alice"), timezone.now()
    with_key: dict[str, Any] = {"api_key_id": alice.pk, "api_key_name": "alice"}
    requests = [
        request(coder, started_at=now),
        request(coder, started_at=now, status=Status.FAILED, cost=None, model="beta", **with_key),
        request(writer, started_at=now, cost=Decimal("2.5")),
        request(writer, started_at=now - timedelta(days=10), cost=Decimal("1234.5")),
    ]
    with own_turn() as cursor:
        add_to_rollups(cursor, requests)


def rows(*words: str) -> list[list[str]]:
    return [line.split() for line in command("usage", *words).out.splitlines()]


def test_it_sums_up_by_agent_with_a_total(used: None) -> None:
    assert rows() == [
        ["AGENT", "REQUESTS", "FAILED", "PROMPT", "CACHED", "COMPLETION", "COST"],
        ["coder", "2", "1", "2,468", "0", "112", "$0.0012"],
        ["writer", "2", "0", "2,468", "0", "112", "$1,237.00"],
        ["total", "4", "1", "4,936", "0", "224", "$1,237.00"],
    ]
    assert "Requests whose cost is unknown, and comes on top: 1." in command("usage").err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--by", "key"], [["(no", "key)", "2"], ["alice", "1"]]),
        (["--by", "model"], [["acme/alpha", "2"], ["acme/beta", "1"]]),
        (["--by", "model", "--agent", "writer"], [["acme/alpha", "1"]]),
        (["--key", "alice"], [["coder", "1"]]),
    ],
)
def test_it_can_be_cut_in_other_ways(used: None, words: list[str], expected: list[list[str]]) -> None:
    found = rows("--period", "7d", *words)[1:-1]
    assert [line[: len(wanted)] for line, wanted in zip(found, expected, strict=True)] == expected


def test_days_without_requests_are_told_too(used: None) -> None:
    today = timezone.now().date()
    first = today - timedelta(days=10)
    found = rows("--by", "day", "--from", str(first))
    assert len(found) == 11 + 2
    assert found[1][:2] == [str(first), "1"]
    assert found[2][1] == "0"
    assert found[11][:2] == [str(today), "3"]


def test_programs_read_the_same_as_json(used: None) -> None:
    said = json.loads(command("usage", "--period", "7d", "--json").out)
    assert said["total"]["requests"] == 3
    assert Decimal(said["total"]["cost"]) == Decimal("2.50123")
    assert [(row["agent"], row["requests"], row["failed"]) for row in said["rows"]] == [
        ("coder", 2, 1),
        ("writer", 1, 0),
    ]


def test_an_empty_period_says_so(used: None) -> None:
    assert command("usage", "--from", "2020-01-01", "--to", "2020-01-31").out == "There were no requests.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--agent", "nobody"], "There is no agent 'nobody'"),
        (["--key", "nobody"], "There is no key named 'nobody'"),
        (["--from", "soon"], "'soon' is not a date such as 2026-11-30"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "ends on 2026-01-01, before it begins on 2026-01-02"),
    ],
)
def test_what_is_wrong_is_one_clear_line(words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        command("usage", *words)


def test_what_agents_used_that_are_gone_is_told_still(used: None) -> None:
    Agent.objects.all().delete()
    assert [row[0] for row in rows()[1:]] == ["coder", "writer", "total"]
