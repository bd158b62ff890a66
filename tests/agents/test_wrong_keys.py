"""Whoever tries keys out has no more tries where several workers answer; each knows for itself who came before."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache

from agents.errors import RateLimitExceeded
from agents.limits.wrong_keys import WrongKeys
from tests.clocks import stopped_clock

ADDRESS = "192.0.2.7"
ALICE, BOB = uuid4(), uuid4()


@pytest.fixture
def workers(settings: Any) -> Iterator[tuple[WrongKeys, WrongKeys]]:
    """Two that count in one cache."""
    settings.OPENFANG_WRONG_KEYS_PER_MINUTE = 4
    cache.clear()
    with stopped_clock():
        yield WrongKeys(), WrongKeys()
    cache.clear()


def test_tries_at_several_workers_add_up(workers: tuple[WrongKeys, WrongKeys]) -> None:
    one, other = workers
    for worker in (one, other, one, other):
        worker.wrong(ADDRESS)
    for worker in workers:
        with pytest.raises(RateLimitExceeded):
            worker.wrong(ADDRESS)
        with pytest.raises(RateLimitExceeded):  # as right and wrong keys are answered alike, nothing is learnt
            worker.right(ADDRESS, ALICE)


def test_a_bearer_who_came_before_is_let_in_and_opens_the_way_for_no_other(
    workers: tuple[WrongKeys, WrongKeys],
) -> None:
    one, other = workers
    one.right(ADDRESS, ALICE)
    for _ in range(4):
        other.wrong(ADDRESS)

    one.right(ADDRESS, ALICE)
    for worker, address, key in ((one, ADDRESS, BOB), (other, ADDRESS, ALICE)):
        with pytest.raises(RateLimitExceeded):
            worker.right(address, key)
    other.right("192.0.2.8", ALICE)
