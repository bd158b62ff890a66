"""A PostgreSQL and a Redis for the time of the tests, from the programs that are installed: empty, on loopback.

PostgreSQL does not run as root: there it runs as the user `postgres`, whom its Debian package makes.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Self

import psycopg
import redis

START_SECONDS = 60
DATABASES = 5000  # one for each server of the tests, whose counters would meet in a common one


# Those of this process: with `--services` the tests', else none.
started: list["Service"] = []


def new_databases() -> dict[str, str]:
    """Return the variables with which a server has databases of its own on what is started."""
    return {service.variable: service.new_database() for service in started}


def missing_programs() -> list[str]:
    """Return what has to be installed before these can be started."""
    found = {"postgresql": _postgresql_program("postgres"), "redis-server": shutil.which("redis-server")}
    return [package for package, program in found.items() if program is None]


class Service(ABC):
    """A server program that is started with an empty directory, and ended with what it has made."""

    variable: str

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    @abstractmethod
    def new_database(self) -> str:
        """Return the URL of a database that is empty."""

    def start(self) -> Self:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.directory)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # PostgreSQL would wait for its clients at a SIGTERM
            self.process.wait(timeout=START_SECONDS)


class Postgres(Service):
    variable = "DATABASE_URL"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._made = 0
        directory.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        options = ["--username=openfang", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions"]
        initdb = [*_as_postgres(), str(_postgresql_program("initdb")), f"--pgdata={directory / 'data'}", *options]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=directory)

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
            # The machine's end is the data's end.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        program = [*_as_postgres(), str(_postgresql_program("postgres")), "-D", str(self.directory / "data")]
        return [*program, *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        return f"postgres://openfang@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        self._made += 1
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE openfang_{self._made}".encode())
        return self.url(f"openfang_{self._made}")


class Redis(Service):
    variable = "REDIS_URL"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._made = 0
        directory.mkdir(parents=True)

    def command(self) -> Sequence[str]:
        options = {"--bind": "127.0.0.1", "--port": self.port, "--save": "", "--databases": DATABASES}
        return ["redis-server", *(str(word) for option in options.items() for word in option)]

    def answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def new_database(self) -> str:
        self._made += 1
        return f"redis://127.0.0.1:{self.port}/{self._made}"


def _postgresql_program(name: str) -> str | None:
    """Find a program of PostgreSQL, which Debian keeps off the PATH."""
    return shutil.which(name) or max(glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None)


def _as_postgres() -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def free_port() -> int:
    """Return a port of loopback for a server; on Linux nobody else is given it as long as this process lives."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        if sys.platform == "linux":
            # Never closed: a server may listen beside what only holds the port, but who asks for any port gets another.
            probe.detach()
        return port
