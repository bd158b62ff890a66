"""/api/keys: issued and shown once, listed without what proves them, changed, rotated with an overlap, revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.keyring import read_keys
from agents.models import Agent, ApiKey, changes_of
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def agents() -> list[Agent]:
    return [Agent.objects.create(name=name) for name in ("coder", "writer")]


def opens(raw: str) -> bool:
    return read_keys().authenticate(raw) is not None


def test_a_key_is_shown_once_and_opens_what_it_is_for(api: Caller) -> None:
    response = api.post("/api/keys", {"name": "alice", "owner": "Ann", "agents": ["coder"], "requests_per_minute": 5})

    assert response.status_code == 201
    made = response.json()
    raw = made.pop("key")
    assert raw.startswith("of_") and len(raw) == 43
    row = ApiKey.objects.get()
    key = read_keys().authenticate(raw)
    assert key is not None
    assert (key.agent_ids, key.requests_per_minute) == (frozenset([Agent.objects.get(name="coder").id]), 5)
    assert made == {
        "id": str(row.id),
        "name": "alice",
        "owner": "Ann",
        "prefix": raw[:11],
        "agents": ["coder"],
        "state": "active",
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "previous_until": None,
        "requests_per_minute": 5,
        "tokens_per_minute": 0,
        "max_parallel_requests": 0,
        "networks": "",
    }
    assert api.get("/api/keys/alice").json() == made
    assert api.get(f"/api/keys/{row.id}").json() == made
    for answer in (api.get("/api/keys"), api.patch("/api/keys/alice", {"owner": "Bea"})):
        assert raw not in answer.content.decode() and row.digest not in answer.content.decode()


def test_keys_are_listed_and_searched(api: Caller) -> None:
    for name, owner in (("alice", "Ann"), ("bob", "Team B"), ("carol", "")):
        ApiKey.objects.issue(name, owner=owner)

    listed = api.get("/api/keys").json()
    assert (listed["total"], [key["name"] for key in listed["data"]]) == (3, ["alice", "bob", "carol"])
    assert [key["name"] for key in api.get("/api/keys", search="team").json()["data"]] == ["bob"]


def test_all_agents_is_null_and_never_an_empty_list(api: Caller) -> None:
    assert api.post("/api/keys", {"name": "all"}).json()["agents"] is None
    assert error(api.post("/api/keys", {"name": "none", "agents": []}), 400)["param"] == "agents"
    api.post("/api/keys", {"name": "one", "agents": ["coder"]})

    assert error(api.patch("/api/keys/one", {"agents": []}), 400)["code"] == "empty"
    assert api.patch("/api/keys/one", {"agents": ["writer", "coder"]}).json()["agents"] == ["coder", "writer"]
    Agent.objects.all().delete()
    assert api.get("/api/keys/one").json()["agents"] == []
    assert api.patch("/api/keys/one", {"agents": None}).json()["agents"] is None


def test_a_key_is_changed_and_its_history_names_who_did(api: Caller) -> None:
    api.post("/api/keys", {"name": "alice"})
    later = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)

    changed = api.patch(
        "/api/keys/alice",
        {"expires_at": later.isoformat(), "networks": "10.0.0.0/8\n192.0.2.7", "tokens_per_minute": 9},
    ).json()

    assert changed["expires_at"] == later.isoformat().replace("+00:00", "Z")
    assert (changed["networks"], changed["tokens_per_minute"]) == ("10.0.0.0/8, 192.0.2.7/32", 9)
    assert changes_of(ApiKey).latest("history_id").history_user.username == "boss"


def test_a_rotated_keys_old_characters_stay_good_for_the_overlap(api: Caller) -> None:
    first = api.post("/api/keys", {"name": "alice"}).json()["key"]

    rotated = api.post("/api/keys/alice/rotate", {"overlap_hours": 1}).json()
    assert opens(first) and opens(rotated["key"])
    until = datetime.fromisoformat(rotated["previous_until"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < until <= timedelta(hours=1)
    at_once = api.post("/api/keys/alice/rotate", {"overlap_hours": 0}).json()["key"]
    assert not opens(first) and not opens(rotated["key"]) and opens(at_once)
    assert "key" not in api.get("/api/keys/alice").json()


def test_a_revoked_key_opens_nothing_and_stays_revoked(api: Caller) -> None:
    raw = api.post("/api/keys", {"name": "alice"}).json()["key"]

    assert api.post("/api/keys/alice/revoke").json()["state"] == "revoked"
    assert not opens(raw)
    assert api.post("/api/keys/alice/revoke").status_code == 200
    assert error(api.post("/api/keys/alice/rotate"), 409)["code"] == "revoked"
    assert error(api.patch("/api/keys/alice", {"owner": "x"}), 400)["code"] == "revoked"
    assert error(api.delete("/api/keys/alice"), 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "taken"}, "name"),
        ({"name": "x", "agents": ["nobody"]}, "agents[0]"),
        ({"name": "x", "agents": "coder"}, "agents"),
        ({"name": "x", "networks": "everywhere"}, "networks"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "max_parallel_requests": 1001}, "max_parallel_requests"),
        ({"name": "x", "requests_per_minute": -1}, "requests_per_minute"),
        ({"name": "x", "requests_per_minute": 2**70}, "requests_per_minute"),
        ({"name": "x", "digest": "0" * 64}, "digest"),
    ],
)
def test_what_is_wrong_is_named(api: Caller, body: dict[str, Any], param: str) -> None:
    ApiKey.objects.issue("taken")

    assert error(api.post("/api/keys", body), 400)["param"] == param
    assert ApiKey.objects.count() == 1


def test_a_list_takes_the_same_number_of_queries_however_long_it_is(
    api: Caller, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        api.post("/api/keys", {"name": f"key-{number}", "agents": ["coder", "writer"]})

    with django_assert_max_num_queries(10):
        assert len(api.get("/api/keys").json()["data"]) == 10
