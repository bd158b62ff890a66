"""Nasty values in each field, query and path of the document never cause a server error."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from agents.api.views.docs import document
from agents.models import Agent, ApiKey, Budget, McpServer
from tests.agents.admin_cast import model, request
from tests.agents_api.conftest import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
URLS = ["http://[", "http://[::1", "http://a]b", "http://a:99999", "http://a b"]
TEXTS = [
    *URLS,
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "a\nb",
        "\ud800",
        "\u00e9" * 300,
        "x" * 5000,
        "%00",
        "%",
        "../..",
        "null",
        "-1",
        "1e999",
    ),
    *("NaN", "javascript:alert(1)", "${", "${A}", "{{x}}", "9999-99-99", "0000-00-00T00:00:00Z"),
    *("9999-12-31T23:59:59+23:59", "00000000-0000-0000-0000-000000000000", "10.0.0.0/99"),
]
OTHERS: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        2**31,
        2**63,
        10**400,
        1.5,
        1e308,
        [],
        {},
        [None],
        [[]],
        ["\x00"],
        [{}],
        {"": ""},
        {"a": None},
    ),
    *(["http://["], {"a": ["\ud800"]}, [{"server": "\x00", "tool": "\ud800"}], {"X": "a\r\nb"}, [1, "a", None]),
]


@pytest.fixture(autouse=True)
def rows(db: None) -> dict[str, str]:
    """Something behind each kind of path."""
    alpha = model()
    agent = Agent.objects.create(name="coder", model=alpha)
    server = McpServer.objects.create(name="web", url="http://127.0.0.1:9/mcp")
    _, _ = ApiKey.objects.issue("alice")
    Budget.objects.create(agent=agent, limit=10**12)
    request(agent)
    return {"agents": "coder", "keys": "alice", "providers": "acme", "mcp": str(server.pk), "models": str(alpha.pk)}


def operations(*methods: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method in methods:
            if method in item and path != "/api/health":
                yield method, path, item[method]


def filled(path: str, rows: dict[str, str]) -> str:
    noun = path.split("/")[2]
    return path.replace("{id}", rows.get(noun, "1")).replace("{name}", rows.get(noun, "x"))


def fields(operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    found = content.get("application/json", {}).get("schema", {})
    if "$ref" in found:
        found = document()["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return list(found.get("properties", ()))


GIVEN = {
    "/api/providers": {"name": "new", "base_url": "http://a/v1"},
    "/api/mcp/servers": {"name": "new", "url": "http://a/mcp"},
    "/api/models": {"provider": "acme", "name": "new"},
    "/api/budgets": {"limit": "1", "unit": "usd", "period": "day"},
}


def failed(answer: Any) -> bool:
    # 502: an MCP server of the rows is asked, and does not exist.
    status: int = answer.status_code
    return status >= 500 and status != 502


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, o in operations("post", "patch") if fields(o)])
def test_no_value_of_a_field(api: Caller, rows: dict[str, str], method: str, path: str) -> None:
    api.client.raise_request_exception = False
    operation = document()["paths"][path][method]
    base = GIVEN.get(path, {"name": "new"} if "name" in fields(operation) else {}) if method == "post" else {}
    wrong = []
    for place, field in enumerate(fields(operation)):
        for value in [*TEXTS[place % 3 :: 3], *URLS[place % 2 :: 2], *OTHERS[place % 2 :: 2]]:  # all take minutes
            body = json.dumps({**base, field: value})
            answer = api.client.generic(method.upper(), filled(path, rows), body, content_type="application/json")
            if failed(answer):
                wrong.append((field, value, answer.status_code))
    assert wrong == []


@pytest.mark.parametrize("path", [path for _, path, _ in operations("get")])
def test_no_value_of_a_query_or_a_path(api: Caller, rows: dict[str, str], path: str) -> None:
    api.client.raise_request_exception = False
    names = [
        given["name"] for given in document()["paths"][path]["get"].get("parameters", ()) if given["in"] == "query"
    ]
    texts = [text.encode(errors="replace").decode() for text in TEXTS]
    wrong: list[Any] = []
    for name in [*names, "nothing"]:
        wrong += [(name, text) for text in texts if failed(api.get(filled(path, rows), **{name: text}))]
    if "{" in path:
        for text in texts:
            place = path.replace("{id}", quote(text, safe="")).replace("{name}", quote(text, safe=""))
            wrong += [(place, text)] if failed(api.client.get(place)) else []
    assert wrong == []
