"""A line of the log for every request, for programs as JSON: who asked what of whom, never what was said."""

import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from asgiref.testing import ApplicationCommunicator

from agents.redaction import REDACTED
from openai_compat.consumers import OpenAIConsumer
from openai_compat.request_ids import request_id as request_id_of_log
from openfang_site.observability.lines import JSONLines, TextLines
from openfang_site.observability.request_log import logged
from tests.live import Live
from tests.live.asking import TIMEOUT, ask, body, eventually, read_until, request_id, url_of
from tests.openai_compat.raw import send
from tests.upstream import Upstream, fails, says, stalls

Line = dict[str, Any]
Lines = Callable[..., list[Line]]


@pytest.fixture(scope="module")
def machine(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server whose log is read by a program."""
    env = {"OPENFANG_LOG_FORMAT": "json"}
    with Live(tmp_path_factory.mktemp("json"), cast=session_upstream.base_url, keys=True, env=env) as live:
        eventually(lambda: "Ctrl-C" in live.output)  # the end of what it says to people, after its note for programs
        yield live


@pytest.fixture
def lines(machine: Live, upstream: Upstream) -> Lines:
    """The lines that this test has brought about, once there is one that fits."""
    before = len(machine.output)

    def found(**facts: Any) -> list[Line]:
        complete, _, _ = machine.output[before:].rpartition("\n")
        written = [json.loads(line) for line in complete.splitlines()]
        return [line for line in written if facts.items() <= line.items()]

    return lambda **facts: eventually(lambda: found(**facts))


def test_a_request_is_one_line(machine: Live, upstream: Upstream, lines: Lines):
    upstream.says("A word")
    response = ask(machine, key=machine.keys["alice"])
    [line] = lines(logger="openfang_site.requests")
    assert {name: line[name] for name in line.keys() - {"time", "duration_ms", "message"}} == {
        "level": "INFO",
        "logger": "openfang_site.requests",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "request_id": response.headers["x-request-id"],
        "key": "alice",
        "agent": "coder",
        "streamed": False,
        "prompt_tokens": 10,
        "completion_tokens": 2,
    }
    assert 0 <= line["duration_ms"] < TIMEOUT * 1000
    assert line["message"].startswith(f"POST /v1/chat/completions 200 {line['duration_ms']} ms request_id=req_")


def test_refused_requests_have_lines_as_well(machine: Live, upstream: Upstream, lines: Lines):
    ask(machine, key="of_wrong00000000000000000000000000")
    [stranger] = lines(status=401)
    assert "key" not in stranger
    assert "agent" not in stranger
    ask(machine, "openfang:nobody", key=machine.keys["alice"])
    [astray] = lines(status=404)
    assert (astray["key"], astray["path"]) == ("alice", "/v1/chat/completions")
    upstream.turns(fails(401))
    ask(machine, key=machine.keys["alice"])
    [failed] = lines(status=502)
    assert (failed["agent"], failed["error"]) == ("coder", "provider_refused")


def test_what_is_refused_before_it_is_read_has_a_line(machine: Live, lines: Lines):
    answer = send(machine, "POST", "/v1/chat/completions?key=1", headers={"content-length": "999999999"})
    assert answer.status == 413
    [line] = lines(status=413)
    assert (
        line.items()
        >= {
            "level": "INFO",
            "logger": "openfang_site.requests",
            "method": "POST",
            "path": "/v1/chat/completions",
            "request_id": answer.headers["x-request-id"],
            "error": "request_too_large",
        }.items()
    )
    address = urlsplit(machine.url)
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT) as connection:
        connection.sendall(b"what is this?\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    [unread] = lines(status=400)
    assert (unread["method"], unread["path"], unread["error"]) == ("-", "-", "bad_request")
    assert unread["message"].startswith("- - 400 ")


def test_a_wrong_host_is_told_in_a_line_and_not_as_an_error_of_the_server(machine: Live, lines: Lines):
    assert send(machine, "GET", "/admin/login/", headers={"host": "strange.example"}).status == 400
    [line] = lines(logger="django.security.DisallowedHost")
    assert line["level"] == "WARNING"
    assert "strange.example" in line["message"]
    assert "exception" not in line


def test_a_client_that_leaves_has_a_line_with_what_it_used(machine: Live, upstream: Upstream, lines: Lines):
    upstream.turns(stalls("One two three four"))
    headers = {"authorization": f"Bearer {machine.keys['alice']}"}
    with (
        httpx2.Client(timeout=TIMEOUT, verify=False, headers=headers) as client,
        client.stream("POST", url_of(machine), json=body(stream=True)) as response,
    ):
        read_until(response.iter_lines(), "four")
    [line] = lines(error="client_disconnected")
    assert line["request_id"] == f"req_{request_id(response)}"
    assert (line["status"], line["streamed"], line["completion_tokens"]) == (200, True, 5)


def test_no_word_of_a_conversation_and_no_key_is_in_the_log(machine: Live, upstream: Upstream, lines: Lines):
    upstream.turns(says("An answer about pomegranates"), fails(400, {"error": {"message": "no pomegranates"}}))
    messages = [{"role": "user", "content": "A question about pomegranates"}]
    for _ in range(2):
        ask(machine, key=machine.keys["alice"], messages=messages, user="ada@example.com")
    lines(status=400)
    for word in ("pomegranate", "ada@example.com", machine.keys["alice"]):
        assert word not in machine.output


def test_what_is_written_during_a_request_names_it(machine: Live, upstream: Upstream, lines: Lines):
    upstream.turns(
        fails(400, {"error": {"message": "No", "param": "temperature", "code": "unsupported_value"}}), says("Hello")
    )
    response = ask(machine, "listener", key=machine.keys["alice"])
    assert response.status_code == 200
    [noted] = lines(logger="agents.providers.openai_compatible")
    assert noted["request_id"] == response.headers["x-request-id"]
    assert "is left out" in noted["message"]


def test_pages_have_lines_without_their_query_and_probes_and_files_have_none(machine: Live, lines: Lines):
    for path in ("/healthz", "/metrics", "/static/unfold/js/app.js", "/admin/login/?next=/admin/agents/"):
        assert httpx2.get(f"{machine.url}{path}", timeout=TIMEOUT, verify=False).status_code == 200
    # Of a POST of the test before this one the line may come only now.
    [line] = lines(logger="openfang_site.requests", method="GET")
    assert (line["path"], line["status"]) == ("/admin/login/", 200)
    assert "request_id" not in line


def test_people_read_the_same_as_text_and_no_path_makes_a_line_of_its_own(live: Live, upstream: Upstream):
    before = len(live.output)
    upstream.says("Hello")
    response = ask(live, stream=True)
    url = f"{live.url}/v1/x%0a2026-11-22 12:00:00,000 ERROR forged"
    httpx2.get(url, timeout=TIMEOUT, verify=False)

    def both() -> list[str] | None:
        complete, _, _ = live.output[before:].rpartition("\n")
        told = response.headers["x-request-id"] in complete and "forged" in complete
        return complete.splitlines() if told else None

    written = eventually(both)
    [line] = [line for line in written if response.headers["x-request-id"] in line]
    assert " INFO openfang_site.requests: POST /v1/chat/completions 200 " in line
    assert line.endswith(" agent=coder streamed=True prompt_tokens=10 completion_tokens=1")
    [forged] = [line for line in written if "forged" in line]
    assert r"GET '/v1/x\n2026-11-22 12:00:00,000 ERROR forged' 404 " in forged


SECRET = 'se"cret\\value'


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a server writes that has a secret whose JSON is another text."""
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONLines())
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_secrets_are_taken_out_of_json_before_it_is_json(log: io.StringIO):
    try:
        raise RuntimeError(f"{SECRET} in a traceback")
    except RuntimeError:
        facts = {"path": f"/{SECRET}", "status": 500, "none": None, "odd": Path(SECRET)}
        logging.getLogger("test").exception("%(path)s Bearer abc\\", facts)
    line = json.loads(log.getvalue())
    assert (line["path"], line["status"], line["none"]) == (f"/{REDACTED}", 500, None)
    assert line["odd"] == REDACTED
    assert line["message"] == f"/{REDACTED} Bearer {REDACTED}"
    assert f"RuntimeError: {REDACTED} in a traceback" in line["exception"]
    assert "cret\\" not in log.getvalue()


def test_a_record_that_is_formatted_with_more_than_names_stays_readable(log: io.StringIO):
    logging.getLogger("test").warning("%s of %d", "one", 2)
    line = json.loads(log.getvalue())
    assert (line["message"], line["level"], line["logger"]) == ("one of 2", "WARNING", "test")
    assert line["time"].endswith("+00:00")


async def test_a_keys_name_makes_no_line_of_its_own(caplog: pytest.LogCaptureFixture):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["openfang.key"] = SimpleNamespace(name="alice\nERROR forged")

    with caplog.at_level(logging.INFO, "openfang_site.requests"):
        await logged(app, {"method": "GET", "path": "/v1/models"}, None, None)
    [message] = caplog.messages
    # Nothing was sent: the client had left.
    assert message.startswith("GET /v1/models 499 ")
    assert message.endswith(r" ms key='alice\nERROR forged'")


async def test_an_unforeseen_error_is_told_with_its_request(log: io.StringIO, monkeypatch: pytest.MonkeyPatch):
    async def crash(view: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("openai_compat.views.models.Models.dispatch", crash)
    scope = {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "headers": []}
    communicator: Any = ApplicationCommunicator(OpenAIConsumer.as_asgi(), scope)  # type: ignore[no-untyped-call]
    await communicator.send_input({"type": "http.request", "body": b""})
    head = await communicator.receive_output(60)
    await communicator.receive_output(60)
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(60)

    line = json.loads(log.getvalue())
    assert line["request_id"].encode() == dict(head["headers"])[b"x-request-id"]
    assert line["level"] == "ERROR"
    assert "RuntimeError: broken" in line["exception"]


def test_text_names_the_request_before_the_traceback():
    token = request_id_of_log.set("req_1")
    try:
        raise RuntimeError("broken")
    except RuntimeError as error:
        exc_info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("test", logging.ERROR, "", 0, "It %s.", ("broke",), exc_info)
        first, *others = TextLines("%(levelname)s %(message)s").format(record).splitlines()
    finally:
        request_id_of_log.reset(token)
    assert first == "ERROR It broke. [req_1]"
    assert others[-1] == "RuntimeError: broken"
