"""/api on a server that runs: its health, tokens beside keys, and its being closed where /v1 is open."""

import httpx2
import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT, ask, eventually
from tests.upstream import Upstream, says

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=[])]


def token(live: Live, name: str, *scopes: str) -> str:
    boss = "from django.contrib.auth.models import User; User.objects.filter(username='boss') or "
    live.manage("shell", "--no-imports", "-c", f"{boss}User.objects.create_superuser('boss')")
    words = [word for scope in scopes for word in ("--scope", scope)]
    return live.manage("token", "create", name, *words).stdout.strip()


def call(live: Live, method: str, path: str, raw: str = "", **options: object) -> httpx2.Response:
    headers = {"authorization": f"Bearer {raw}"} if raw else {}
    return httpx2.request(method, f"{live.url}{path}", headers=headers, timeout=TIMEOUT, verify=False, **options)  # type: ignore[arg-type]


def test_its_health_is_what_readyz_says(live: Live) -> None:
    raw = token(live, "watcher", "usage:read")

    answer = call(live, "GET", "/api/health", raw)

    ready = call(live, "GET", "/readyz")
    assert (answer.status_code, answer.json()) == (200, ready.json())
    assert answer.json()["status"] == "ready"
    assert call(live, "GET", "/api/health").status_code == 401


def test_api_is_closed_where_v1_is_open(live: Live) -> None:
    assert call(live, "GET", "/v1/models").status_code == 200

    for raw in ("", "dummy", "of_" + "x" * 40):
        answer = call(live, "GET", "/api/agents", raw)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")


def test_an_api_key_opens_v1_and_a_token_api_and_neither_the_other(guarded: Live) -> None:
    raw, key = token(guarded, "deployment", "admin"), guarded.keys["alice"]

    assert call(guarded, "GET", "/v1/models", key).status_code == 200
    assert call(guarded, "GET", "/api/agents", raw).status_code == 200
    assert call(guarded, "GET", "/api/agents", key).json()["error"]["code"] == "invalid_token"
    assert call(guarded, "GET", "/v1/models", raw).json()["error"]["code"] == "invalid_api_key"


def test_what_is_made_is_served_and_what_is_used_is_summed(live: Live, upstream: Upstream) -> None:
    upstream.turns(says("Hello"))
    raw = token(live, "maker", "agents:write", "usage:read")
    body = {"name": "made-by-api", "model": "scripted/scripted-model"}

    assert call(live, "POST", "/api/agents", raw, json=body).status_code == 201
    eventually(lambda: "openfang:made-by-api" in call(live, "GET", "/v1/models").text)
    assert ask(live, "made-by-api").status_code == 200

    [row] = call(live, "GET", "/api/usage?agent=made-by-api", raw).json()["data"]
    total = call(live, "GET", "/api/usage/summary?agent=made-by-api", raw).json()["total"]
    assert (row["status"], row["agent"], total["requests"]) == ("ok", "made-by-api", 1)
    assert total["prompt_tokens"] == row["prompt_tokens"] > 0
    assert call(live, "POST", "/api/agents/made-by-api/disable", raw).json()["enabled"] is False
    assert call(live, "DELETE", "/api/agents/made-by-api", raw).status_code == 204


def test_a_foreign_host_is_refused_in_json(live: Live) -> None:
    headers = {"host": "evil.test"}
    answer = httpx2.get(f"{live.url}/api/agents", headers=headers, timeout=TIMEOUT, verify=False)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
