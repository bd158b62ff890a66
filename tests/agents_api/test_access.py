"""Who may do what: tokens by their scopes, everybody by their role, and nobody else anything."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS

from agents.api.views.docs import document
from agents.errors import LimitsUnavailable
from agents.limits.wrong_keys import wrong_keys
from agents.models import AdminToken, Agent, ApiKey, Budget, McpServer, Provider, Scope, changes_of
from agents.setup.roles import ADMINISTRATOR, EDITOR, VIEWER, make_roles
from tests.agents.admin_cast import model, request
from tests.agents_api.conftest import Caller, error
from tests.clocks import stopped_clock

pytestmark = pytest.mark.django_db

JSON = "application/json"
NOUNS = {
    "agents": "agents",
    "profiles": "agents",
    "keys": "keys",
    "providers": "providers",
    "models": "providers",
    "mcp": "mcp",
    "budgets": "budgets",
    "usage": "usage",
    "health": "",
    "schema": "",
    "docs": "",
}


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A row behind each kind of path; and a memory of right keys that begins empty."""
    monkeypatch.setattr(wrong_keys, "_known", type(wrong_keys._known)())
    agent = Agent.objects.create(name="coder")
    ApiKey.objects.issue("alice")
    alpha = model()
    record = request(agent)
    headers = {"Authorization": "Bearer ${MCP_SERVERS_TOKEN}"}
    McpServer.objects.create(name="time", url="http://127.0.0.1:9/mcp", headers=headers)
    budget = Budget.objects.create(agent=agent, limit=1)
    version = changes_of(Agent).get().history_id
    ids = {"agents": "coder", "keys": "alice", "models": str(alpha.pk), "budgets": str(budget.pk)}
    return {**ids, "providers": "acme", "mcp": "time", "usage": str(record), "version": str(version)}


def operations(rows: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Every method and path that there is, with the noun of its scopes."""
    for path, methods in document()["paths"].items():
        noun = path.split("/")[2]
        own = rows.get(noun, "")
        filled_in = path.replace("{id}", own).replace("{name}", own).replace("{version}", rows["version"])
        for method in methods:
            yield method.upper(), filled_in, noun
    yield "GET", "/api/schema", "schema"
    yield "GET", "/api/docs", "docs"


def test_the_table_names_every_path(rows: dict[str, str]) -> None:
    found = list(operations(rows))

    assert {noun for _, _, noun in found} == set(NOUNS)
    assert len(found) == len(set(found)) > 35
    assert not [path for _, path, _ in found if "{" in path]


def test_without_a_token_nothing_is_told(rows: dict[str, str]) -> None:
    nobody = Caller("")
    for method, path, noun in operations(rows):
        answer = nobody.client.generic(method, path)
        if noun == "docs":
            assert answer.status_code == 302
            assert answer["location"] == "/admin/login/?next=/api/docs"
            continue
        found = error(answer, 401)
        assert (found["code"], answer["www-authenticate"]) == ("invalid_token", "Bearer"), path
        assert "Authorization: Bearer ofa_" in found["message"]


@pytest.mark.parametrize("scope", Scope.values)
def test_a_scope_opens_what_it_says_and_nothing_else(
    caller: Callable[..., Caller], rows: dict[str, str], scope: str
) -> None:
    token = caller(scope)
    wrong = []
    for method, path, noun in operations(rows):
        answer = token.client.generic(method, path, content_type="application/json")
        needed = f"{NOUNS[noun]}:{'read' if method in SAFE_METHODS else 'write'}"
        opens = scope in ("admin", needed) or not NOUNS[noun]
        opens = opens or (scope.endswith(":write") and needed == scope.replace("write", "read"))
        refused = answer.status_code == 403
        if opens == refused or answer.status_code == 500:
            wrong.append(f"{method} {path}: {answer.status_code}")
        if (
            refused
            and (said := error(answer, 403))
            and (said["code"], needed in said["message"])
            != (
                "insufficient_scope",
                True,
            )
        ):
            wrong.append(f"{method} {path}: {said}")
    assert wrong == []


ROLES = {VIEWER: {"usage": "r"}, EDITOR: {"usage": "r", "agents": "w", "profiles": "r"}}


@pytest.mark.parametrize("role", [VIEWER, EDITOR, ADMINISTRATOR])
def test_the_owners_role_is_the_ceiling_of_every_token(
    caller: Callable[..., Caller], rows: dict[str, str], role: str
) -> None:
    token = caller("admin", role=role)
    wrong = []
    for method, path, noun in operations(rows):
        answer = token.client.generic(method, path, content_type="application/json")
        may = ROLES.get(role, dict.fromkeys(NOUNS, "w")).get(noun, "") if NOUNS[noun] else "r"
        opens = bool(may) and (method in SAFE_METHODS or may == "w")
        if opens == (answer.status_code == 403) or answer.status_code == 500:
            wrong.append(f"{method} {path}: {answer.status_code}")
    assert wrong == []


def test_a_token_stops_with_its_owner(caller: Callable[..., Caller]) -> None:
    token, boss = caller("admin"), User.objects.get(username="boss")
    assert token.get("/api/agents").status_code == 200

    for field in ("is_active", "is_staff"):
        User.objects.filter(pk=boss.pk).update(**{field: False})
        assert error(token.get("/api/agents"), 401)["code"] == "invalid_token"
        User.objects.filter(pk=boss.pk).update(**{field: True})
    assert token.get("/api/agents").status_code == 200


def test_a_revoked_and_an_expired_token_open_nothing(caller: Callable[..., Caller]) -> None:
    for ending in ({"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(seconds=1)}):
        token = caller("admin")
        AdminToken.objects.filter(prefix=token.raw[:12]).update(**ending)
        assert error(token.get("/api/agents"), 401)["code"] == "invalid_token"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "Token"])
def test_only_admin_tokens_open_it(caller: Callable[..., Caller], scheme: str) -> None:
    _, key = ApiKey.objects.issue("bob")
    raw = caller("admin").raw
    for sent in (key, raw[:-1], raw + "x", raw[:-1] + "!", "ofa_", "", "\u00e9" * 44, "playground.x"):
        answer = Client(headers={"authorization": f"{scheme} {sent}"}).get("/api/agents")
        assert error(answer, 401)["code"] == "invalid_token", sent
    answer = Client(headers={"authorization": f"{scheme} {raw}"}).get("/api/agents")
    assert answer.status_code == (200 if scheme.lower() == "bearer" else 401)


def test_whoever_guesses_tokens_is_slowed_and_bearers_that_are_known_are_not(
    caller: Callable[..., Caller], settings: Any
) -> None:
    settings.OPENFANG_WRONG_KEYS_PER_MINUTE = 3
    known, unknown = caller("admin"), caller("admin")
    assert known.get("/api/agents").status_code == 200
    wrong = Caller("ofa_" + "x" * 40)

    with stopped_clock():
        assert [wrong.get("/api/agents").status_code for _ in range(3)] == [401] * 3

        for guesser in (wrong, unknown):
            answer = guesser.get("/api/agents")
            assert error(answer, 429)["type"] == "rate_limit_error"
            assert int(answer["retry-after"]) in range(1, 62)
        assert known.get("/api/agents").status_code == 200


def test_the_page_of_the_api_answers_errors_as_the_api_does(caller: Callable[..., Caller], settings: Any) -> None:
    settings.OPENFANG_WRONG_KEYS_PER_MINUTE = 1
    wrong = Caller("ofa_" + "x" * 40)

    with stopped_clock():
        assert error(wrong.get("/api/docs"), 401)["code"] == "invalid_token"
        assert error(wrong.get("/api/docs"), 429)["type"] == "rate_limit_error"
        assert error(caller("admin").get("/api/docs"), 429)["type"] == "rate_limit_error"
    with patch.object(wrong_keys, "wrong", side_effect=LimitsUnavailable("Redis is away.")):
        assert error(wrong.get("/api/docs"), 503)["message"] == "Redis is away."


def test_requests_a_minute_are_counted_as_on_v1(caller: Callable[..., Caller]) -> None:
    token = caller("admin")
    AdminToken.objects.update(requests_per_minute=2)

    with stopped_clock():
        first, second, third = (token.get("/api/agents") for _ in range(3))

    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert second["x-ratelimit-remaining-requests"] == "0"
    assert error(third, 429) == {
        "message": "Rate limit exceeded",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert int(third["retry-after"]) in range(1, 62)


def test_the_use_of_a_token_is_noted(caller: Callable[..., Caller]) -> None:
    token = caller("admin")
    assert AdminToken.objects.get().last_used_at is None

    token.get("/api/agents")

    used = AdminToken.objects.get().last_used_at
    assert used is not None and timezone.now() - used < timedelta(minutes=1)
    token.get("/api/agents")
    assert AdminToken.objects.get().last_used_at == used
    AdminToken.objects.update(last_used_at=used - timedelta(minutes=2))
    token.get("/api/agents")
    again = AdminToken.objects.get().last_used_at
    assert again is not None and again >= used


class TestSession:
    """Whoever is logged in to the web admin tries things out with that."""

    @pytest.fixture
    def browser(self, boss: User) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(boss)
        return client

    def test_it_reads(self, browser: Client) -> None:
        assert browser.get("/api/agents").json()["data"][0]["name"] == "coder"

    def test_it_changes_with_the_csrf_token_only(self, browser: Client) -> None:
        refused = browser.post("/api/agents/coder/disable", content_type=JSON)
        assert "CSRF" in error(refused, 403)["message"]
        page = browser.get("/api/docs")
        token = page.content.decode().partition('data-csrf="')[2].partition('"')[0]

        changed = browser.post("/api/agents/coder/disable", content_type=JSON, headers={"x-csrftoken": token})

        assert changed.json()["enabled"] is False
        assert changes_of(Agent).latest("history_id").history_user.username == "boss"
        elsewhere = {"x-csrftoken": token, "origin": "https://evil.test"}
        refused = browser.post("/api/agents/coder/enable", content_type=JSON, headers=elsewhere)
        assert "CSRF" in error(refused, 403)["message"]

    def test_the_role_is_the_ceiling(self, client: Client) -> None:
        make_roles()
        viewer = User.objects.create_user("viewer", is_staff=True)
        viewer.groups.add(Group.objects.get(name=VIEWER))
        client.force_login(viewer)

        assert client.get("/api/usage").status_code == 200
        assert error(client.get("/api/agents"), 403)["code"] == "permission_denied"

    def test_somebody_who_may_not_use_the_admin_is_nobody(self, client: Client) -> None:
        client.force_login(User.objects.create_user("customer"))

        assert error(client.get("/api/usage"), 401)["code"] == "invalid_token"

    def test_a_wrong_token_is_not_made_good_by_a_session(self, browser: Client) -> None:
        answer = browser.get("/api/agents", headers={"authorization": "Bearer ofa_wrong"})
        assert error(answer, 401)["code"] == "invalid_token"


def test_no_secret_is_in_any_answer(
    caller: Callable[..., Caller], rows: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = caller("admin")
    _, key = ApiKey.objects.issue("carol")
    ApiKey.objects.get(name="carol").rotate(timedelta(hours=1))
    provider = Provider.objects.get(name="acme")
    provider.keep_key("sk-kept-0123456789")
    provider.save()
    monkeypatch.setenv("ACME_API_KEY", "sk-environment-0123456789")
    monkeypatch.setenv("MCP_SERVERS_TOKEN", "mcp-environment-0123456789")
    secrets = {
        "sk-kept",
        "sk-environment",
        "mcp-environment",
        key,
        token.raw,
        bytes(provider.encrypted_api_key).decode(),
    }
    for row in ApiKey.objects.all():
        secrets |= {row.digest, row.previous_digest} - {""}
    secrets |= set(AdminToken.objects.values_list("digest", flat=True))

    told = []
    for method, path, _ in operations(rows):
        # What is deleted would not be there for those after it.
        if method != "DELETE":
            answer = token.client.generic(method, path, b"{}", content_type="application/json").content.decode()
            told += [f"{method} {path}: {secret}" for secret in secrets if secret in answer]
    assert told == []


def test_no_answer_is_kept_on_its_way(caller: Callable[..., Caller]) -> None:
    token = caller("admin")
    for answer in (token.get("/api/keys"), token.get("/api/nothing"), Caller("").get("/api/keys")):
        assert answer["cache-control"] == "no-store"
