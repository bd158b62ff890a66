"""Errors have one shape, whatever is wrong, and are always JSON."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from django.db import IntegrityError, OperationalError
from django.test import Client

from agents.models import Agent
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db


def sent(api: Caller, body: bytes, content_type: str = "application/json") -> Any:
    return api.client.generic("POST", "/api/agents", body, content_type=content_type)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/nothing", "There is no GET /api/nothing. GET /api/schema lists what there is."),
        ("/api/agents/", "There is no GET /api/agents/. Paths end without a slash."),
        ("/api/", "Paths end without a slash."),
        ("/api/agents/x/y/z", "There is no GET /api/agents/x/y/z."),
        ("/api/models/first", "There is no GET /api/models/first."),
    ],
)
def test_an_unknown_path_is_told_to_everybody(path: str, said: str) -> None:
    found = error(Caller("").get(path), 404)

    assert found["code"] == "unknown_url"
    assert said in found["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "agents/x"),
        ("POST", "usage"),
        ("DELETE", "agents"),
        ("OPTIONS", "agents"),
        ("TRACE", "keys"),
        ("QUERY", "agents"),
        ("BODY", "agents"),
    ],
)
def test_a_wrong_method_is_named(api: Caller, method: str, path: str) -> None:
    found = error(api.client.generic(method, f"/api/{path}"), 405)

    assert found["message"] == f'Method "{method}" not allowed.'
    assert found["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "x"',
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b"[" * 5000,
        b'{"name": "x", "name',
        b'{"a":' * 50 + b"1" + b"}" * 50,
    ],
)
def test_a_body_that_is_not_json_is_refused(api: Caller, body: bytes) -> None:
    found = error(sent(api, body), 400)

    assert (found["code"], found["type"]) in (
        ("invalid_json", "invalid_request_error"),
        ("required", "invalid_request_error"),
    )
    assert not Agent.objects.exists()


def test_other_bodies_than_json_are_refused(api: Caller) -> None:
    assert error(sent(api, b"name=x", "application/x-www-form-urlencoded"), 415)["code"] == "unsupported_media_type"
    assert error(sent(api, b"--", "multipart/form-data; boundary=x"), 415)["code"] == "unsupported_media_type"


def test_a_body_that_is_too_large_is_refused(api: Caller) -> None:
    found = error(sent(api, b'{"name": "x", "system_prompt": "' + b"a" * 5_000_000 + b'"}'), 413)

    assert found["code"] == "request_too_large"
    assert sent(api, b'{"name": "x", "system_prompt": "' + b"a" * 3_000_000 + b'"}').status_code == 201


def test_what_accepts_no_json_is_told_so_in_json(api: Caller) -> None:
    answer = api.client.get("/api/agents", headers={"accept": "text/html"})

    assert error(answer, 406)["code"] == "not_acceptable"


def test_another_host_is_refused_in_json(api: Caller) -> None:
    answer = api.client.get("/api/agents", headers={"host": "evil.test"})

    assert error(answer, 400)["code"] == "bad_request"
    assert api.client.get("/admin/", headers={"host": "evil.test"})["content-type"].startswith("text/html")


def test_text_that_cannot_be_sent_back_does_no_harm(api: Caller) -> None:
    found = error(sent(api, '{"n\u0000a\u202eme": 1}'.encode()), 400)
    assert found["code"] in ("unknown_field", "invalid_json")
    for path in ("agents/%00", "keys/a%00b", "agents/%ff%fe", "agents/..%2f", "providers/x%00"):
        assert error(api.get(f"/api/{path}"), 404)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (IntegrityError("UNIQUE constraint failed: secret_table"), 409, "conflict"),
        (OperationalError("could not connect to secret-host"), 503, "database_unavailable"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
def test_what_fails_inside_is_not_told(
    caller: Callable[..., Caller], raised: Exception, status: int, code: str
) -> None:
    api = caller("admin")
    api.client.raise_request_exception = False

    with patch("agents.api.serializers.agents.make", side_effect=raised):
        found = error(api.post("/api/agents", {"name": "x"}), status)

    assert found["code"] == code
    assert "secret" not in found["message"]


def test_errors_of_pages_stay_pages(client: Client) -> None:
    assert client.get("/nothing")["content-type"].startswith("text/html")
