"""Clocks in the hands of a test: what ends by its time ends when the test says so, however slow the machine is."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def loop_clock() -> Iterator[Callable[[float], None]]:
    """Hand over what puts the clock of the running event loop forward by some seconds, all time limits with it."""
    loop, ahead = asyncio.get_running_loop(), 0.0
    real = loop.time

    def forward(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    with patch.object(loop, "time", lambda: real() + ahead):
        yield forward


@contextmanager
def stopped_clock() -> Iterator[None]:
    """Let it be one and the same moment, for what counts by the minute: else one might end between two requests."""
    now = time.time()
    with patch.object(time, "time", lambda: now):
        yield
