"""The servers of docker-compose.yml as processes: two workers on one PostgreSQL and one Redis, behind Caddy."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import openai

from tests.deploy.names import Names
from tests.live import Live
from tests.live.asking import TIMEOUT
from tests.live.server import ROOT
from tests.services import Postgres, Redis, Service, free_port

KEY = "of_a-key-for-the-topology-of-two"
CADDY = Path(sys.executable).with_name("caddy")  # that of requirements-dev.txt: a system's own may be older
PROXY_SECONDS = 60


class Worker(Live):
    """A server of the service `web`: at an address of its own, and at the port that all of them have."""

    def __init__(self, data_dir: Path, address: str, port: int, *, cast: str = "", env: dict[str, str]) -> None:
        super().__init__(data_dir, cast=cast, env=env)
        self.address = address
        self._port = port

    def start(self, *args: str) -> None:
        super().start("--host", self.address, "--port", str(self._port), *args)


class Topology:
    """`workers` behind the proxy at `url`; they share a database, a cache and a data directory."""

    def __init__(self, directory: Path, postgres: Postgres, redis: Redis) -> None:
        self.postgres = postgres
        self.redis = redis
        self.url = ""
        self.port = free_port()
        self.workers: list[Worker] = []
        self._directory = directory
        self._started = 0
        self._env = {
            "OPENFANG_API_KEY": KEY,
            "OPENFANG_TRUSTED_PROXIES": "127.0.0.1",
            **{service.variable: service.new_database() for service in (postgres, redis)},
        }

    def add_worker(self, cast: str = "") -> Worker:
        """Start one more, which the proxy finds."""
        self._started += 1
        worker = Worker(self._directory, f"127.0.0.{self._started}", self.port, cast=cast, env=self._env)
        self.workers.append(worker)  # known by name before it listens, as containers are
        worker.__enter__()
        return worker

    def remove_worker(self, worker: Worker) -> int:
        """Have one end and return its exit code; it is known by name until then."""
        code = worker.stop()
        self.workers.remove(worker)
        return code

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT)

    def async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT)


@contextmanager
def running_topology(directory: Path, cast: str) -> Iterator[Topology]:
    """Start everything, and end it again."""
    with ExitStack() as stack:
        postgres, redis = Postgres(directory / "postgres"), Redis(directory / "redis")
        for service in (postgres, redis):
            stack.callback(service.stop)
            service.start()
        data = directory / "data"
        data.mkdir()
        topology = Topology(data, postgres, redis)
        stack.callback(lambda: [worker.stop() for worker in topology.workers])
        topology.add_worker(cast)
        topology.add_worker()
        names = stack.enter_context(Names(lambda: [worker.address for worker in topology.workers]))
        topology.url = stack.enter_context(_proxy(directory, topology.port, names.port))
        yield topology


def start_again(worker: Live) -> None:
    """Start a worker that has ended where it was, so that the proxy finds it."""
    worker.log.close()
    worker.start()


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
def _proxy(directory: Path, workers: int, names: int) -> Iterator[str]:
    """Run Caddy with the project's own Caddyfile, told the port of the workers and that of whom to ask for names."""
    assert CADDY.exists(), f"There is no {CADDY}: pip install --requirement requirements-dev.lock"
    port = free_port()
    text = (ROOT / "deploy/Caddyfile").read_text()
    assert text.count("port 4200") == 1
    text = text.replace("port 4200", f"port {workers}\nresolvers 127.0.0.1:{names}")
    file = directory / "Caddyfile"
    file.write_text(text)
    env = {**os.environ, "HOME": str(directory), "OPENFANG_SITE": f"http://127.0.0.1:{port}"}
    with (directory / "caddy.log").open("ab") as log:
        command = [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(file)]
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
