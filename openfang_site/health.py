"""Health checks for probes, without secrets: /healthz says whether this process has to be restarted, /readyz whether it
can take requests.

Both are answered before Django, which would insist on OPENFANG_ALLOWED_HOSTS: probes call a process by its address.
"""

import asyncio
import json
import time
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from agents.errors import AgentError, LimitsUnavailable
from agents.limits.cache import outage, refusing
from agents.limits.counting import ask_cache
from agents.runs import engine

PATHS = ("/healthz", "/readyz")
ANSWER_SECONDS = 3.0
KEPT_SECONDS = 1.0  # so that strangers who ask in a loop cost nothing
# Read at the start: an upgrade changes the files under a process that serves on.
KNOWN_MIGRATIONS = frozenset(MigrationLoader(None).disk_migrations)
LONGEST_BACKLOG = 1000  # rows that wait to be written: a commit takes hundreds


class Readiness:
    """What was found when somebody last asked, for a second; callers at the same time share the asking."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._found: dict[str, bool] = {}
        self._fresh_until = 0.0

    async def checks(self) -> dict[str, bool]:
        async with self._asking:
            if time.monotonic() >= self._fresh_until:
                self._found = await look()
                self._fresh_until = time.monotonic() + KEPT_SECONDS
            return self._found


readiness = Readiness()


async def health(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer /healthz and /readyz."""
    if scope["path"].endswith("/healthz"):
        # A database that is slow or away is no reason to restart; a writer that has stopped never comes back.
        stopped = engine.ledger.has_stopped
        await _answer(send, 503 if stopped else 200, {"status": "usage writer stopped" if stopped else "alive"})
        return
    status, said = await found()
    await _answer(send, status, said)


async def found() -> tuple[int, dict[str, Any]]:
    """Return whether this process can take requests, as an HTTP status and in words."""
    checks = await readiness.checks()
    said = {name: "ok" if good else "failed" for name, good in checks.items()}
    if engine.stopping:
        return 503, {"status": "stopping", "checks": said}
    if all(good for name, good in checks.items() if name != "cache" or refusing()):
        return 200, {"status": "ready", "checks": said}
    return 503, {"status": "not ready", "checks": said}


async def look() -> dict[str, bool]:
    """Ask what this process needs: through the ledger's thread, so that no further connection is opened."""
    database = migrations = False
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            migrations = await engine.ledger.perform(migrated)
            database = True
    except (AgentError, TimeoutError):
        pass
    writes = engine.ledger.works and engine.ledger.backlog <= LONGEST_BACKLOG
    return {
        "database": database,
        "migrations": migrations,
        "usage_writer": writes,
        "cache": await ask_cache(cache_answers),
    }


def migrated() -> bool:
    """Say whether the database has every migration of this version; a later version's may be there, too."""
    return MigrationRecorder(connection).applied_migrations().keys() >= KNOWN_MIGRATIONS


def cache_answers() -> bool:
    try:
        cache.get("openfang-ready")
    except LimitsUnavailable:
        return False
    return not outage.holds


async def _answer(send: Any, status: int, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
