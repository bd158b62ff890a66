"""A server that is told to stop: running answers end, or are cut after their time; nothing is left behind."""

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.live import Live
from tests.live.asking import ask, events, eventually, read_until, request_id, row_of, streaming, text_of
from tests.upstream import Upstream, hangs, stalls

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
STOPPED = {
    "message": "The server stopped before the answer was complete.",
    "type": "api_error",
    "param": None,
    "code": "server_stopped",
}


@pytest.fixture(scope="module")
def patient_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("patient"), cast=session_upstream.base_url) as live:
        yield live


@pytest.fixture
def patient(patient_server: Live, upstream: Upstream) -> Live:
    """A server that waits for its answers; started anew by each test that finds it stopped."""
    return started(patient_server)


@pytest.fixture
def impatient(patient_server: Live, upstream: Upstream) -> Iterator[Live]:
    """A server that waits one second for its answers."""
    if patient_server.process.poll() is None:
        patient_server.stop()
    patient_server.env["OPENFANG_DRAIN_SECONDS"] = "1"
    yield started(patient_server)
    del patient_server.env["OPENFANG_DRAIN_SECONDS"]


def started(live: Live) -> Live:
    if live.process.poll() is not None:
        live.log.close()
        live.start()
    return live


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def assert_it_ends(live: Live) -> None:
    """A server that was signalled ends well: nothing of it is left, no traceback either."""
    assert live.process.wait(timeout=120) == 0, live.output
    assert "Traceback" not in live.output
    assert not (live.data_dir / "server.json").exists()
    assert live.rows("SELECT * FROM agents_worker") == []
    assert live.usage("status = 'running'") == []


@SIGNALS
def test_running_answers_end_before_the_server_does(patient: Live, upstream: Upstream, number: int):
    upstream.turns(stalls("One two", then=" three"), stalls("One two", then=" three"))
    with streaming(patient) as first, streaming(patient) as second:
        lines = [first.iter_lines(), second.iter_lines()]
        for each in lines:
            read_until(each, "two")
        patient.process.send_signal(number)
        upstream.release()
        for each in lines:
            assert text_of(events(each)) == " three"
    assert_it_ends(patient)
    assert [row_of(patient, response)["status"] for response in (first, second)] == ["ok", "ok"]


@SIGNALS
def test_an_answer_that_does_not_end_is_cut_and_recorded(impatient: Live, upstream: Upstream, number: int):
    upstream.turns(stalls("One two"))
    with streaming(impatient) as response:
        lines = response.iter_lines()
        read_until(lines, "two")
        helpers = children(impatient.process.pid)
        impatient.process.send_signal(number)
        assert list(events(lines)) == [{"error": STOPPED}]
    assert_it_ends(impatient)
    assert not any(Path(f"/proc/{pid}").exists() for pid in helpers)
    row = row_of(impatient, response)
    assert (row["status"], row["error_code"], row["http_status"]) == ("failed", "server_stopped", 200)
    assert (row["token_source"], row["completion_tokens"]) == ("estimated", 2)
    assert upstream.requests[0].client_gone.wait(60)


def test_a_client_that_leaves_a_stopping_server_has_left(patient: Live, upstream: Upstream):
    upstream.turns(stalls("One two"))
    with streaming(patient) as response:
        lines = response.iter_lines()
        read_until(lines, "two")
        patient.process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(patient))
    assert_it_ends(patient)
    row = row_of(patient, response)
    assert (row["status"], row["error_code"]) == ("cancelled", "client_disconnected")


def test_a_request_whose_answer_has_not_begun_is_told(impatient: Live, upstream: Upstream):
    upstream.turns(hangs())
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask, impatient)
        upstream.wait_for_requests(1)
        impatient.process.send_signal(signal.SIGTERM)
        response = asking.result(timeout=60)
    assert response.status_code == 503
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert_it_ends(impatient)
    row = impatient.usage()[-1]
    assert (row["status"], row["error_code"], row["http_status"]) == ("failed", "server_stopped", 503)


def test_a_second_signal_cuts_at_once(patient: Live, upstream: Upstream):
    upstream.turns(stalls("One two"))
    with streaming(patient) as response:
        lines = response.iter_lines()
        read_until(lines, "two")
        patient.process.send_signal(signal.SIGINT)
        eventually(lambda: not accepts(patient))
        patient.process.send_signal(signal.SIGINT)
        assert list(events(lines)) == [{"error": STOPPED}]
    assert_it_ends(patient)
    assert patient.usage(f"id = '{request_id(response)}'")[0]["error_code"] == "server_stopped"


def accepts(live: Live) -> bool:
    """Whether the server still takes connections: it stops that first."""
    address = urlsplit(live.url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
    except OSError:
        return False
    return True
