"""No secret in a log line, whatever went wrong."""

import io
import logging
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import RequestFactory
from django.utils.module_loading import import_string
from django.views.debug import ExceptionReporter

from agents.redaction import REDACTED, Redaction
from openai_compat.consumers import OpenAIConsumer

OURS = "of_ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnop"
THEIRS = "sk-proj-0123456789abcdefghij"


@pytest.fixture
def log() -> Any:
    """What the server's own handler writes, with the formatter of the settings."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    options = dict(settings.LOGGING["formatters"]["text"])
    handler.setFormatter(import_string(options.pop("()"))(options["format"]))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"the key {OURS} was wrong", OURS[3:]),
        (f"{{'authorization': 'Bearer {OURS}'}}", OURS[3:]),
        ("Authorization: Bearer dGhpcyBpcyBhIHNlY3JldA==", "dGhpcy"),
        ("authorization: basic YWRhOnNlY3JldA==", "YWRhOn"),
        (f"Incorrect API key provided: {THEIRS}", "0123456789"),
        ("GROQ answered for gsk_0123456789abcdefABCDEF", "0123456789"),
        ("key=AIzaSyA0123456789abcdefghijklmnopqrstuv", "0123456789"),
        ("Cookie: sessionid=abcdef123456; csrftoken=xyz789", "abcdef123456"),
        ("Cookie: sessionid=abcdef123456; csrftoken=xyz789", "xyz789"),
        ("(b'cookie', b'sessionid=abcdef123456; other=987654')", "987654"),
        ("{'HTTP_COOKIE': 'other=987654'}", "987654"),
        ("csrfmiddlewaretoken=abcdefghij&username=ada", "abcdefghij"),
        ("could not connect to postgres://openfang:hunter22@db/openfang", "hunter22"),
        ("redis://:hunter22@cache:6379/0 is down", "hunter22"),
        ("the webhook https://hooks.example/T0/B0/own-secret failed", "own-secret"),
        ("the mail server refused own-password", "own-password"),
        ("signed with first-old-key", "first-old-key"),
    ],
)
def test_what_looks_like_a_secret_or_is_one_of_ours_is_taken_out(text: str, secret: str) -> None:
    redact = Redaction(
        {
            "EMAIL_HOST_PASSWORD": "own-password",
            "OPENFANG_ALERT_WEBHOOK": "https://hooks.example/T0/B0/own-secret",
            "OPENFANG_SECRET_KEY_FALLBACKS": "first-old-key,second-old-key",
            "EMPTY_KEY": "",
        }
    )
    assert secret in text
    assert secret not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "OpenFang is ready at http://127.0.0.1:4200/admin/",
        "A key is needed: Authorization header is missing.",
        "key of_ABCDEFG… was revoked",
        "/admin/agents/provider/3/change/",
        "The token of the playground has expired; monkeys and cookies are fine.",
    ],
)
def test_other_words_stay_as_they_are(text: str) -> None:
    assert Redaction({"SOME_KEY": "short", "PATH": "/usr/bin"})(text) == text


async def test_a_crash_while_a_key_is_in_the_headers_logs_none_of_it(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(view: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        headers = request.scope["headers"]
        raise RuntimeError(f"cannot read {headers} or {dict(request.headers)} or {request.META}")

    monkeypatch.setattr("openai_compat.views.models.Models.dispatch", crash)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/models",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {OURS}".encode()),
            (b"cookie", b"sessionid=abcdef123456"),
            (b"x-provider", THEIRS.encode()),
        ],
    }
    communicator: Any = ApplicationCommunicator(OpenAIConsumer.as_asgi(), scope)  # type: ignore[no-untyped-call]
    await communicator.send_input({"type": "http.request", "body": b""})
    head = await communicator.receive_output(60)
    body = await communicator.receive_output(60)
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(60)

    assert head["status"] == 500
    said = log.getvalue() + body["body"].decode()
    assert "RuntimeError: cannot read" in said
    for secret in (OURS[3:], "abcdef123456", THEIRS[8:]):
        assert secret not in said


def test_djangos_error_report_has_no_secret_setting_header_or_cookie(settings: Any) -> None:
    settings.DEBUG = True
    settings.REDIS_URL = "redis://:hunter22@cache:6379/0"
    settings.OPENFANG_ALERT_WEBHOOK = "https://hooks.example/own-secret"
    request = RequestFactory().get("/", headers={"authorization": f"Bearer {OURS}", "cookie": "sessionid=abcdef123456"})
    try:
        raise RuntimeError("broken")
    except RuntimeError as error:
        report = ExceptionReporter(request, type(error), error, error.__traceback__).get_traceback_text()
    assert "RuntimeError" in report
    for secret in (OURS[3:], "abcdef123456", "hunter22", "own-secret", settings.SECRET_KEY):
        assert secret not in report
