"""A usage writer that cannot go on ends its process, with an exit code that has another one started."""

from pathlib import Path

import pytest

from tests.live import Live
from tests.live.asking import ask, content_of, eventually
from tests.live.server import CEILING, ROOT
from tests.openfang_site.workers_parts import need_linux, two_workers, worker_ids
from tests.upstream import Upstream, says

BROKEN = ROOT / "tests" / "live" / "broken_writer.py"
NOT_RECORDED = "The usage of this request could not be recorded."


def test_a_server_whose_writer_cannot_go_on_fails_what_waits_for_it_and_ends(tmp_path: Path, upstream: Upstream):
    with Live(tmp_path, cast=upstream.base_url, program=BROKEN) as live:
        upstream.says("Hello")
        assert content_of(ask(live)) == "Hello"
        (live.data_dir / "break").touch()
        answer = ask(live)
        assert (answer.status_code, answer.json()["error"]["message"]) == (503, NOT_RECORDED)
        assert live.process.wait(timeout=CEILING) == 1
        assert "TypeError: a bug in the writer" in live.output
        assert live.output.rstrip().endswith("so this process has ended; the log says why.")
        assert len(upstream.requests) == 1


@pytest.mark.slow
def test_a_worker_whose_writer_cannot_go_on_is_replaced(tmp_path: Path, upstream: Upstream):
    need_linux()
    upstream.default = says("Hello")
    with two_workers(tmp_path, upstream.base_url, program=BROKEN) as live:
        before = worker_ids(live)
        (live.data_dir / "break").touch()
        eventually(lambda: ask(live).status_code == 503 or not (live.data_dir / "break").exists())
        eventually(lambda: len(worker_ids(live)) == 2 and worker_ids(live).keys() != before.keys())
        assert content_of(ask(live)) == "Hello"
        assert len(worker_ids(live).keys() & before.keys()) == 1
        assert not live.usage("status = 'running'")
