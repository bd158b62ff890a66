"""A server of two workers, and ways to tell which of them has answered."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT, body, row_of
from tests.openai_compat.limits_parts import need_redis
from tests.services import Redis
from tests.upstream import Upstream

PASSWORD = "a-password-for-two-workers"


@contextmanager
def two_workers(
    directory: Path, cast: str = "", *, keys: bool = False, env: dict[str, str] | None = None, **more: Any
) -> Iterator[Live]:
    need_redis()
    redis = Redis(directory / "redis").start()
    data = directory / "data"
    data.mkdir()
    settings = {"OPENFANG_WORKERS": "2", "REDIS_URL": redis.new_database(), "OPENFANG_ADMIN_PASSWORD": PASSWORD}
    settings |= env or {}
    try:
        with Live(data, cast=cast, keys=keys, env=settings, **more) as live:
            yield live
    finally:
        redis.stop()


def worker_ids(live: Live) -> dict[str, int]:
    """The workers of a server as its rows name them, and their processes."""
    return {row["id"]: row["pid"] for row in live.rows("SELECT id, pid FROM agents_worker")}


class Client(httpx2.Client):
    """Somebody whose connection stays open, so that the same worker answers every request."""

    def __init__(self, live: Live, key: str = "dummy") -> None:
        headers = {"authorization": f"Bearer {key}"}
        stays_open = httpx2.Limits(keepalive_expiry=None)  # by itself it opens another after five idle seconds
        super().__init__(base_url=live.url, headers=headers, timeout=TIMEOUT, limits=stays_open, verify=False)

    def chat(self, model: str = "coder", *, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        return self.post("/v1/chat/completions", json=body(model, **fields), headers=headers)


@contextmanager
def a_client_of_each(live: Live, upstream: Upstream, key: str = "dummy") -> Iterator[list[Client]]:
    """Open connections until each worker has one."""
    clients: dict[str, Client] = {}
    with ExitStack() as stack:
        while len(clients) < 2:
            client = stack.enter_context(Client(live, key))
            upstream.says("Hello")
            clients[row_of(live, client.chat())["worker_id"]] = client
        yield list(clients.values())


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def need_linux() -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("only Linux tells the children of a process")
