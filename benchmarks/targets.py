"""What is measured: this server, the floor under it, and what a user would pick instead."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from benchmarks.load import Request
from benchmarks.loads import Load
from benchmarks.peers import Peer
from benchmarks.processes import ROOT, Process, environment, printed_url, running

PROGRAM = (sys.executable, str(ROOT / "manage.py"))
OURS, GUARDED, TWO_WORKERS = "OpenFang", "OpenFang, key", "OpenFang, two workers"
BARE, DIRECT = "bare consumer", "no server"


class Target(Struct, frozen=True):
    """A server under load; `prefix` stands before the names of its models, `database` is where ours has its rows."""

    name: str
    base_url: str
    process: Process
    headers: tuple[str, ...] = ()
    prefix: str = ""
    agents: bool = False
    database: Path | None = None

    def can(self, load: Load) -> bool:
        """Tell whether this target is put under a load; a key of a hundred parallel requests is not for a crowd."""
        if self.name == TWO_WORKERS:
            return load.spread
        return (self.agents or not load.agents_only) and not (load.once and self.headers and self.agents)

    def request(self, load: Load) -> Request:
        url = urlsplit(self.base_url)
        assert url.hostname and url.port
        body = load.body(self.prefix)
        head = [
            f"POST {url.path}/chat/completions HTTP/1.1",
            f"Host: {url.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *self.headers,
        ]
        data = "\r\n".join([*head, "", ""]).encode() + body
        return Request(url.hostname, url.port, data, load.expected)


@contextmanager
def targets(installed: list[Peer]) -> Iterator[list[Target]]:
    """Start the upstream and everything that is measured against it, and end all of it with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openfang-bench-")))
        provider, upstream = stack.enter_context(running([sys.executable, "-m", "benchmarks.upstream"], printed_url))
        started = [
            stack.enter_context(ours(folder / "open", upstream)),
            stack.enter_context(ours(folder / "guarded", upstream, guarded=True)),
        ]
        if shutil.which("redis-server"):
            redis_url = stack.enter_context(_redis(folder / "redis"))
            started.append(stack.enter_context(ours(folder / "workers", upstream, redis_url=redis_url)))
        started.append(stack.enter_context(_bare(upstream)))
        for peer in installed:
            process, url = stack.enter_context(peer.run(upstream))
            started.append(Target(peer.name, url, process, peer.headers(upstream)))
        yield [*started, Target(DIRECT, upstream, provider)]


@contextmanager
def _bare(upstream: str) -> Iterator[Target]:
    with running([sys.executable, "-m", "benchmarks.bare", upstream], printed_url) as (process, url):
        yield Target(BARE, url, process)


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    folder.mkdir()
    url = f"unix://{folder}/socket"
    command = ["redis-server", "--port", "0", "--unixsocket", f"{folder}/socket", "--save", "", "--dir", str(folder)]
    with running(command, lambda said: url if "ready to accept connections" in said.lower() else None):
        yield url


@contextmanager
def ours(
    data_dir: Path,
    upstream: str,
    *,
    guarded: bool = False,
    redis_url: str = "",
    database_url: str = "",
    program: Sequence[str] = PROGRAM,
) -> Iterator[Target]:
    """Run this server with default settings and a database of its own; with a Redis, two workers."""
    data_dir.mkdir()
    env = {"OPENFANG_DATA_DIR": str(data_dir), "DATABASE_URL": database_url, "CI": ""}
    env |= {"REDIS_URL": redis_url, "OPENFANG_WORKERS": "2" if redis_url else ""}
    command = [sys.executable, "-m", "benchmarks.agents", upstream, *(["--key"] if guarded else [])]
    made = subprocess.run(command, env=environment(env), cwd=ROOT, check=True, capture_output=True, text=True)
    note = data_dir / "server.json"

    def ready(_said: str) -> str | None:
        return f"{json.loads(note.read_text())['url'].rstrip('/')}/v1" if note.exists() else None

    with running([*program, "start", "--port", "0"], ready, env=env) as (process, url):
        name = GUARDED if guarded else TWO_WORKERS if redis_url else OURS
        headers = (f"Authorization: Bearer {made.stdout.strip()}",) if guarded else ()
        database = data_dir / "openfang.sqlite3"
        yield Target(name, url, process, headers, prefix="openfang:", agents=True, database=database)
