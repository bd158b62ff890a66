"""Below /v1 every answer is in OpenAI's format, also where there is nothing; everything else is the web's."""

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict

WHAT_EXISTS = (
    "This server has POST /v1/chat/completions, GET /v1/models and GET /v1/models/{id}, described at /v1/openapi.json."
)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/embeddings", "/v1/completions", "/v1/chat", "/v1//models"])
def test_an_unknown_path_says_what_exists(live: Live, method: str, path: str):
    answer = raw.send(live, method, path, {"model": "openfang:coder", "input": "Hello!"})
    assert answer.status == 404
    assert strict.error(answer.json()).to_dict() == {
        "message": f"There is no {method} {path}. {WHAT_EXISTS}",
        "type": "invalid_request_error",
        "param": None,
        "code": "unknown_url",
    }
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["openai-processing-ms"].isdecimal()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/openfang:coder", "GET"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/models", "GET"),
    ],
)
def test_a_wrong_method_says_which_is_right(live: Live, method: str, path: str, allowed: str):
    answer = raw.send(live, method, path)
    assert answer.status == 405
    assert answer.headers["allow"] == allowed
    assert strict.error(answer.json()).to_dict() == {
        "message": f'Method "{method}" not allowed.',
        "type": "invalid_request_error",
        "param": None,
        "code": "method_not_allowed",
    }


def test_a_body_of_no_type_is_refused(live: Live):
    answer = raw.send(live, "POST", "/v1/chat/completions", b"{}", headers={"content-type": ""})
    assert answer.status == 415
    assert strict.error(answer.json()).code == "unsupported_media_type"


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/models/", "/v1/models/openfang:coder/"])
def test_a_slash_at_the_end_changes_nothing(live: Live, path: str):
    answer = raw.send(live, "POST" if "chat" in path else "GET", path, b"{}" if "chat" in path else None)
    assert answer.status == (400 if "chat" in path else 200)


def test_a_query_changes_nothing(live: Live):
    assert raw.send(live, "GET", "/v1/models?limit=1").body == raw.send(live, "GET", "/v1/models").body


def test_the_root_leads_to_the_admin(live: Live):
    answer = raw.send(live, "GET", "/")
    assert answer.status == 302
    assert answer.headers["location"] == "/admin/"
    assert raw.send(live, "GET", "/admin/login/").status == 200


@pytest.mark.parametrize("path", ["/v2/models", "/models", "/v1models"])
def test_paths_beside_v1_are_not_the_api(live: Live, path: str):
    answer = raw.send(live, "GET", path)
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")
