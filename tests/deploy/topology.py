"""The servers of docker-compose.yml as processes: two workers on one PostgreSQL and one Redis, behind Caddy."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import openai

from tests.live import Live
from tests.live.server import ROOT
from tests.services import Postgres, Redis, Service, missing_programs

KEY = "of_a-key-for-the-topology-of-two"
PROXY_SECONDS = 30


def missing() -> list[str]:
    """Return the packages that are missing here."""
    return [*missing_programs(), *(["caddy"] if shutil.which("caddy") is None else [])]


class Topology:
    """`workers` behind the proxy at `url`; they share a database, a cache and a data directory."""

    def __init__(self, workers: list[Live], url: str, postgres: Postgres, redis: Redis) -> None:
        self.workers = workers
        self.url = url
        self.postgres = postgres
        self.redis = redis

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=30)

    def async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=30)


@contextmanager
def running_topology(directory: Path, cast: str) -> Iterator[Topology]:
    """Start everything, and end it again."""
    with ExitStack() as stack:
        env = {"OPENFANG_API_KEY": KEY, "OPENFANG_TRUSTED_PROXIES": "127.0.0.1"}
        postgres, redis = Postgres(directory / "postgres"), Redis(directory / "redis")
        for service in (postgres, redis):
            stack.callback(service.stop)
            service.start()
            env[service.variable] = service.new_database()
        data = directory / "data"
        data.mkdir()
        workers = [stack.enter_context(Live(data, cast=cast, env=env)), stack.enter_context(Live(data, env=env))]
        url = stack.enter_context(_proxy(directory, [worker.url for worker in workers]))
        yield Topology(workers, url, postgres, redis)


def start_again(worker: Live) -> None:
    """Start a worker that has ended where it was, so that the proxy finds it."""
    worker.log.close()
    worker.start("--port", str(urlsplit(worker.url).port))


def ready(worker: Live) -> bool:
    return _ready(f"{worker.url}/readyz")


@contextmanager
def hung(service: Service) -> Iterator[None]:
    """Have a service and its children do nothing, not even refuse a connection."""
    assert service.process is not None
    parent = service.process.pid
    os.kill(parent, signal.SIGSTOP)  # first: from now on it makes no more children
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGSTOP)
    try:
        yield
    finally:
        for process in (parent, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@contextmanager
def gone(service: Service) -> Iterator[None]:
    """Have a service end, and start again where it was."""
    service.stop()
    try:
        yield
    finally:
        service.start()


@contextmanager
def _proxy(directory: Path, upstreams: list[str]) -> Iterator[str]:
    """Run Caddy with the project's own Caddyfile, but for the names: there is no DNS that knows these workers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    addresses = " ".join(url.removeprefix("http://") for url in upstreams)
    written = (ROOT / "deploy/Caddyfile").read_text()
    text, replaced = re.subn(r"dynamic a \{.*?\}", f"to {addresses}", written, flags=re.DOTALL)
    assert replaced == 1
    file = directory / "Caddyfile"
    file.write_text(text)
    env = {**os.environ, "HOME": str(directory), "OPENFANG_SITE": f"http://127.0.0.1:{port}"}
    with (directory / "caddy.log").open("ab") as log:
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PROXY_SECONDS
        while not _ready(f"http://127.0.0.1:{port}/readyz"):
            assert process.poll() is None and time.monotonic() < deadline, (directory / "caddy.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5, verify=False).status_code == 200
    except httpx2.TransportError:
        return False
