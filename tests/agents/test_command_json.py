"""`--json` wherever a command prints facts: programs read them, and no secret is among them."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agents.models import ApiKey
from tests.agents.command_line import Installation, command


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path


def said(*words: str) -> Any:
    return json.loads(command(*words, "--json").out)


@pytest.mark.django_db
def test_keys() -> None:
    assert said("key", "list") == []
    command("spawn", "coder")
    raw = command("key", "create", "ci", "--agent", "coder", "--rpm", "5", "--expires", "2199-01-01").out.strip()
    command("key", "create", "open")
    [scoped, open_key] = said("key", "list")
    key = ApiKey.objects.get(name="ci")
    assert {**scoped, "created_at": None} == {
        "id": str(key.pk),
        "name": "ci",
        "prefix": key.prefix,
        "owner": "",
        "agents": ["coder"],
        "requests_per_minute": 5,
        "tokens_per_minute": None,
        "max_parallel_requests": None,
        "networks": "",
        "created_at": None,
        "last_used_at": None,
        "expires_at": "2199-01-01T00:00:00+00:00",
        "revoked_at": None,
        "state": "active",
    }
    assert open_key["agents"] is None
    assert raw not in command("key", "list", "--json").out
    assert key.digest not in command("key", "list", "--json").out


@pytest.mark.django_db
def test_budgets() -> None:
    assert said("budget", "list") == []
    command("spawn", "coder")
    command("budget", "set", "20.5")
    command("budget", "set", "1000", "--tokens", "--agent", "coder", "--per", "day")
    [server, agent] = said("budget", "list")
    assert (server["key"], server["agent"], server["period"], server["unit"]) == (None, None, "month", "usd")
    assert (float(server["limit"]), float(server["spent"])) == (20.5, 0)
    assert (agent["agent"], agent["limit"], agent["unit"]) == ("coder", 1000, "tokens")


@pytest.mark.django_db
def test_tokens() -> None:
    assert said("token", "list") == []
    User.objects.create_superuser("ada")
    raw = command("token", "create", "ci", "--scope", "agents:write", "--expires", "2199-01-01").out.strip()
    [token] = said("token", "list")
    assert (token["name"], token["owner"], token["scopes"], token["state"]) == ("ci", "ada", ["agents:write"], "active")
    assert token["expires_at"] == "2199-01-01T00:00:00+00:00"
    assert raw not in command("token", "list", "--json").out


def test_a_server_that_does_not_run(tmp_path: Path) -> None:
    status = Installation(tmp_path).openfang("status", "--json")
    assert (status.returncode, json.loads(status.stdout)) == (3, {"state": "stopped"})


def test_a_server_that_runs(live: Any) -> None:
    status = json.loads(live.manage("status", "--json").stdout)
    assert (status["state"], status["url"]) == ("running", live.url)
    assert status["agents"] > 0
    assert status["uptime_seconds"] >= 0
