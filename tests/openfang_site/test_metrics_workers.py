"""Several workers on one port: whichever of them is asked tells the figures of all, each with the worker's name."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from openfang_site.observability.metrics import responses
from openfang_site.observability.workers import GONE_SECONDS, desk
from tests.live.asking import eventually
from tests.live.server import ROOT
from tests.openfang_site.metrics_parts import Figures
from tests.openfang_site.workers_parts import Client, two_workers

pytestmark = pytest.mark.slow

NAME = "openfang_http_responses_total"
COLLEAGUE = """
import sys
from pathlib import Path
import django
django.setup()
from openfang_site.observability.metrics import responses
from openfang_site.observability.workers import desk
responses.add("418")
with desk.shared(Path(sys.argv[1]), worker="2"):
    sys.stdin.read()
"""


@contextmanager
def colleague(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A second worker, in a process of its own, that has answered 418 once."""
    command = [sys.executable, "-c", COLLEAGUE, str(directory)]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "openfang_site.settings"}
    with subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def told_of(worker: str) -> Figures | None:
    told = Figures(desk.text())
    return told if worker in told.values("worker") else None


def test_a_worker_tells_its_own_figures_and_those_of_the_others(tmp_path: Path):
    with colleague(tmp_path), desk.shared(tmp_path, worker="1"):
        told = eventually(lambda: told_of("2"))
        assert told.of(NAME, worker="2", status="418") == 1
        assert told.of(NAME, worker="1", status="418") == 0
        # What has happened here is told at once, and not only when it is written down for the others.
        before = told.of(NAME, worker="1")
        responses.add("201")
        assert Figures(desk.text()).of(NAME, worker="1") == before + 1
        assert told.of("process_resident_memory_bytes", worker="1") > 0
        assert told.of("process_resident_memory_bytes", worker="2") > 0
        assert told.text.count(f"# TYPE {NAME} ") == 1


def test_a_worker_that_leaves_takes_its_figures_with_it(tmp_path: Path):
    with desk.shared(tmp_path / "desk", worker="1"):
        with colleague(tmp_path / "desk") as process:
            eventually(lambda: told_of("2"))
            assert process.stdin
            process.stdin.close()
            assert process.wait() == 0
        assert told_of("2") is None
    assert not (tmp_path / "desk").exists()


def test_what_a_killed_worker_has_left_is_told_no_more_after_a_while(tmp_path: Path):
    with desk.shared(tmp_path, worker="1"):
        with colleague(tmp_path):
            eventually(lambda: told_of("2"))
        long_ago = time.time() - GONE_SECONDS - 1
        os.utime(tmp_path / "2.json", (long_ago, long_ago))
        assert told_of("2") is None
        assert told_of("1") is not None


def test_whichever_worker_of_a_server_is_asked_tells_of_both(tmp_path: Path):
    def told(client: Client) -> bool:
        now = Figures(client.get("/metrics").text)
        return now.values("worker") == {"0", "1"} and now.of(NAME, status="404") == 1

    with two_workers(tmp_path) as live, Client(live) as first, Client(live) as second:
        assert first.get("/v1/nothing").status_code == 404
        for client in (first, second):
            assert eventually(lambda client=client: told(client))


def test_a_server_of_one_worker_names_none():
    assert Figures(desk.text()).values("worker") == set()
