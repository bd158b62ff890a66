"""The end of workers, one or all: what runs elsewhere goes on, what died is told at once, nothing is left behind."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest

from tests.agents.acting import asks, turns_of
from tests.agents.command_line import Installation
from tests.live import Live
from tests.live.asking import (
    ask,
    content_of,
    events,
    events_of,
    eventually,
    read_until,
    row_of,
    somebody,
    streaming,
    text_of,
)
from tests.openfang_site.workers_parts import (
    Client,
    a_client_of_each,
    alive,
    children,
    need_linux,
    two_workers,
    worker_ids,
)
from tests.upstream import Upstream, hangs, says, stalls

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    need_linux()
    with two_workers(tmp_path_factory.mktemp("workers"), session_upstream.base_url) as live:
        yield live


@pytest.fixture
def pair(running: Live, upstream: Upstream) -> Live:
    """A server of two workers, started anew by a test that finds it stopped."""
    if running.process.poll() is not None:
        running.log.close()
        running.start()
    with a_client_of_each(running, upstream):  # a test before this one may have left a worker that starts
        return running


class Streams:
    """Streams that have begun, and wait for their end."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._opened: list[tuple[httpx2.Response, Iterator[str]]] = []

    def add(self, response: httpx2.Response) -> None:
        lines = response.iter_lines()
        read_until(lines, "two")
        self._opened.append((response, lines))

    def rows(self) -> list[dict[str, Any]]:
        ids = ", ".join(f"'{response.headers['x-request-id'].removeprefix('req_')}'" for response, _ in self._opened)
        return self._live.usage(f"id IN ({ids})")

    def ended_well(self) -> list[bool]:
        """Read all to their end, and tell which of them were complete."""
        return [self._ended_well(lines) for _, lines in self._opened]

    def _ended_well(self, lines: Iterator[str]) -> bool:
        try:
            return text_of(events(lines)) == " three"
        except (httpx2.TransportError, AssertionError):
            return False


@contextmanager
def streams(live: Live, upstream: Upstream) -> Iterator[Streams]:
    """Open streams on both workers."""
    upstream.default = stalls("One two", then=" three")
    with ExitStack() as stack:
        begun = Streams(live)
        while {row["worker_id"] for row in begun.rows()} != worker_ids(live).keys():
            for _ in range(4):
                begun.add(stack.enter_context(streaming(live)))
        yield begun


def test_a_killed_worker_takes_its_own_streams_alone_and_is_replaced(pair: Live, upstream: Upstream):
    before = worker_ids(pair)
    with streams(pair, upstream) as begun, Client(pair) as client:
        victim, pid = next(iter(before.items()))
        expected = sorted("lost" if row["worker_id"] == victim else "ok" for row in begun.rows())
        os.kill(pid, signal.SIGKILL)
        # The lease of the dead would have been good for 20 s more.
        eventually(lambda: "running" not in {row["status"] for row in begun.rows() if row["worker_id"] == victim})
        upstream.default = says("Still here")
        assert content_of(client.chat()) == "Still here"
        upstream.release()
        assert sorted("ok" if well else "lost" for well in begun.ended_well()) == expected
        assert sorted(row["status"] for row in begun.rows()) == expected
    eventually(lambda: len(worker_ids(pair)) == 2)
    assert victim not in worker_ids(pair)
    assert len(before.keys() & worker_ids(pair).keys()) == 1


def test_the_tool_calls_of_a_killed_worker_are_taken_up_by_another(pair: Live, upstream: Upstream):
    upstream.model("expert-model").says("Answer one.")
    steward = upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), hangs())
    user, before = somebody(), len(upstream.requests)
    with streaming(pair, "steward", user=user) as response:
        upstream.wait_for_requests(before + 3)
        run = response.headers["x-request-id"].removeprefix("req_")
        eventually(lambda: pair.rows(f"SELECT id FROM agents_transcript WHERE id = '{run}'"))
        [row] = pair.usage(f"id = '{run}'")
        os.kill(worker_ids(pair)[row["worker_id"]], signal.SIGKILL)
        eventually(lambda: pair.usage(f"id = '{run}' AND status = 'lost'"))
    steward.says("Done.")
    answer = ask(pair, "steward", stream=True, user=user)
    assert text_of(events_of(answer)) == "Done."
    assert row_of(pair, answer)["worker_id"] != row["worker_id"]
    assert turns_of(upstream.requests[-1])[1:] == [("assistant", ["agent_ask"]), ("tool", "Answer one.")]
    assert [request.model for request in upstream.requests].count("expert-model") == 1


def eventually_both_say(live: Live, words: str, since: int) -> None:
    eventually(lambda: live.output[since:].count(words) == 2)


def test_a_signal_lets_the_answers_of_all_workers_end(pair: Live, upstream: Upstream):
    pids = [pair.process.pid, *children(pair.process.pid)]
    with streams(pair, upstream) as begun:
        said = len(pair.output)
        pair.process.send_signal(signal.SIGTERM)
        eventually_both_say(pair, "Stopping: running answers", said)
        upstream.release()
        assert all(begun.ended_well())
        assert pair.process.wait(timeout=120) == 0
        assert {row["status"] for row in begun.rows()} == {"ok"}
    assert worker_ids(pair) == {}
    assert not any(map(alive, pids))
    assert not (pair.data_dir / "server.json").exists()
    assert "Traceback" not in pair.output


def test_a_second_signal_cuts_the_answers_of_all_workers(pair: Live, upstream: Upstream):
    with streams(pair, upstream) as begun:
        said = len(pair.output)
        pair.process.send_signal(signal.SIGTERM)
        eventually_both_say(pair, "Stopping: running answers", said)
        pair.process.send_signal(signal.SIGTERM)
        assert not any(begun.ended_well())
        assert pair.process.wait(timeout=120) == 0
        assert {(row["status"], row["error_code"]) for row in begun.rows()} == {("failed", "server_stopped")}


def test_workers_whose_supervisor_was_killed_end_their_answers_and_themselves(pair: Live, upstream: Upstream):
    pids = children(pair.process.pid)
    with streams(pair, upstream) as begun:
        said = len(pair.output)
        pair.process.kill()
        pair.process.wait()
        eventually_both_say(pair, "The supervisor is gone", said)
        upstream.release()
        assert all(begun.ended_well())
        assert {row["status"] for row in begun.rows()} == {"ok"}
    eventually(lambda: not any(map(alive, pids)))
    assert worker_ids(pair) == {}


def test_all_workers_are_replaced_without_a_failed_request(pair: Live, upstream: Upstream):
    before = worker_ids(pair)
    upstream.default = says("Hello")
    replaced = Event()

    def ask_until_replaced() -> list[int]:
        statuses = []
        while not replaced.is_set():
            with Client(pair) as client:
                statuses += [client.chat().status_code]
        return statuses

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask_until_replaced) for _ in range(2)]
        pair.process.send_signal(signal.SIGHUP)
        try:
            eventually(lambda: len(worker_ids(pair).keys() - before.keys()) == 2, seconds=120)
            eventually(lambda: not any(map(alive, before.values())))
        finally:
            replaced.set()
        statuses = [status for each in asking for status in each.result()]
    assert len(statuses) > 2
    assert set(statuses) == {200}
    assert len(worker_ids(pair)) == 2
    assert pair.process.poll() is None


def test_workers_in_the_background_are_started_and_stopped_as_one_server(running: Live, tmp_path: Path):
    environment = {name: running.env[name] for name in ("OPENFANG_WORKERS", "REDIS_URL")}
    installation = Installation(tmp_path / "data")
    started = installation.openfang("start", "--detach", "--port", "0", **environment)
    try:
        assert "OpenFang is ready." in started.stdout, started
        status = installation.openfang("status", **environment)
        assert status.stdout.startswith("OpenFang is running.")
    finally:
        stopped = installation.openfang("stop", **environment)
    assert stopped.stdout == "OpenFang has stopped.\n"
    assert installation.openfang("status", **environment).stdout == "OpenFang is not running.\n"
