"""The embedded model of a server with two workers: one process for both, whatever becomes of them."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.providers.embedded import EmbeddedModel
from tests.live import Live
from tests.live.asking import content_of, eventually, row_of
from tests.openfang_site.workers_parts import Client, alive, children, need_linux, two_workers, worker_ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    need_linux()
    if reason := EmbeddedModel().unavailable_because:
        pytest.skip(reason)
    with two_workers(tmp_path_factory.mktemp("workers")) as live:
        live.brief()
        yield live


def models(live: Live) -> list[int]:
    """The processes of the model, whoever has started them."""
    family = [live.process.pid, *children(live.process.pid)]
    descendants = {child for pid in family for child in children(pid)}
    return [pid for pid in descendants if "embedded_process" in Path(f"/proc/{pid}/cmdline").read_text()]


def answers_of_both(live: Live) -> None:
    """Ask until each worker has answered."""
    answered: set[str] = set()
    with contextlib.ExitStack() as stack:
        while answered < worker_ids(live).keys():
            client = stack.enter_context(Client(live))
            answer = client.chat("assistant")
            assert content_of(answer)
            answered.add(row_of(live, answer)["worker_id"])


def test_both_workers_answer_with_one_model(pair: Live):
    answers_of_both(pair)
    assert len(models(pair)) == 1


def test_it_outlives_a_worker(pair: Live):
    [model] = models(pair)
    victim = next(iter(worker_ids(pair).values()))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in worker_ids(pair).values() and len(worker_ids(pair)) == 2)
    answers_of_both(pair)
    assert models(pair) == [model]


def test_it_starts_again_after_it_was_killed(pair: Live):
    [model] = models(pair)
    os.kill(model, signal.SIGKILL)
    eventually(lambda: not alive(model))
    answers_of_both(pair)
    [another] = models(pair)
    assert another != model


def test_it_ends_with_a_supervisor_that_is_killed(pair: Live):
    everybody = [*children(pair.process.pid), *models(pair)]
    pair.kill()
    eventually(lambda: not any(map(alive, everybody)))
