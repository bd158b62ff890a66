"""`openfang start`, `stop` and `status` as an administrator meets them: real processes on data of their own."""

import json
import os
import re
import signal
import socket
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError

from agents.providers.embedded import EmbeddedModel
from openfang_site import worker
from tests.agents.command_line import CEILING, Installation, Server, command, told


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation") / "data")


@pytest.fixture(scope="module")
def first(installation: Installation) -> Iterator[Server]:
    """The first server of the installation."""
    with installation.server() as server:
        yield server


def models(url: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/v1/models", timeout=CEILING) as answer:
        return [model["id"] for model in json.load(answer)["data"]]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + CEILING
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def children(pid: int) -> list[int]:
    fields = [(int(stat.split()[0]), int(stat.rsplit(")", 1)[1].split()[1])) for stat in stats()]
    return [child for child, parent in fields if parent == pid]


def stats() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            yield path.read_text()


def rows(installation: Installation, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(installation.data_dir / "openfang.sqlite3")) as database:
        return database.execute(query).fetchall()


# The tests of one installation follow its life, in their order.


def test_the_first_start_says_where_everything_is(first):
    assert f"Admin   {first.url}/admin/" in first.greeting
    assert re.search(r"Agents  assistant  embedded/smollm2-135m-instruct", first.greeting)
    assert "Stop it with Ctrl-C." in first.greeting
    assert models(first.url) == ["openfang:assistant"]


def test_the_first_start_prints_the_password_that_opens_the_admin(first, installation):
    [(username, password)] = rows(installation, "SELECT username, password FROM auth_user")
    assert username == "admin"
    assert check_password(first.password, password)


def test_a_second_server_on_the_same_data_is_refused_and_told_where_the_first_is(first, installation):
    refusal = installation.refusal("start", "--port", "0")
    assert refusal == f"OpenFang is running already on {first.url} (process {first.process.pid})."


def test_status_tells_where_it_runs_and_what_it_has_to_do(first, installation):
    status = installation.openfang("status")
    assert status.returncode == 0
    assert f"Address   {first.url}\n" in status.stdout
    assert f"Process   {first.process.pid}, up " in status.stdout
    assert "Agents    1\n" in status.stdout
    assert "Requests  0 in the last hour\n" in status.stdout


def test_a_running_server_serves_what_is_spawned(first, installation):
    said = installation.openfang("spawn", "coder").stdout
    assert "It is served now as openfang:coder." in said
    assert f"curl {first.url}/v1/chat/completions" in said
    wait_until(lambda: models(first.url) == ["openfang:assistant", "openfang:coder"])


def test_sigterm_ends_it_cleanly_and_leaves_no_process(first, installation):
    if EmbeddedModel().available:
        wait_until(lambda: children(first.process.pid) != [])
    family = children(first.process.pid)
    assert first.terminate() == 0
    wait_until(lambda: not any(alive(pid) for pid in family))
    assert not (installation.data_dir / "server.json").exists()


def test_a_second_start_makes_nothing_and_prints_no_password(first, installation):
    with installation.server() as again:
        assert again.password is None
        assert models(again.url) == ["openfang:assistant", "openfang:coder"]
        assert again.terminate() == 0
    assert len(rows(installation, "SELECT id FROM auth_user")) == 1


def test_a_database_that_is_newer_than_the_code_is_refused(first, installation):
    with closing(sqlite3.connect(installation.data_dir / "openfang.sqlite3")) as database, database:
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('agents', '9999_x', '2199-01-01')")
    assert "newer than this version of OpenFang, which does not know its migration agents.9999_x" in (
        installation.refusal("start", "--port", "0")
    )


# In the background


def test_a_server_in_the_background_is_ready_when_the_command_returns(tmp_path):
    installation = Installation(tmp_path)
    started = installation.openfang("start", "--port", "0", "--detach")
    url = told(r"API +(http://\S+)/v1", started.stdout)
    note = json.loads((tmp_path / "server.json").read_text())
    try:
        assert url is not None
        assert models(url) == ["openfang:assistant"]
        assert note["url"] == url
        assert started.stdout.endswith("openfang stop\n")
        password = told(r"password (\w+)", started.stdout)
        assert password is not None
        assert password not in (tmp_path / "server.log").read_text()
    finally:
        os.kill(note["pid"], signal.SIGKILL)
    wait_until(lambda: not alive(note["pid"]))

    # What a killed server leaves behind does not count as a server.
    assert (tmp_path / "server.json").exists()
    status = installation.openfang("status")
    assert (status.returncode, status.stdout) == (3, "OpenFang is not running.\n")
    again = installation.openfang("start", "--port", "0", "--detach")
    assert again.returncode == 0
    pid = json.loads((tmp_path / "server.json").read_text())["pid"]
    stopped = installation.openfang("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "OpenFang has stopped.\n")
    wait_until(lambda: not alive(pid))
    nothing = installation.openfang("stop")
    assert (nothing.returncode, nothing.stdout) == (0, "OpenFang is not running.\n")


def test_a_background_start_that_fails_says_why(tmp_path):
    message = Installation(tmp_path).refusal("start", "--host", "0.0.0.0", "--port", "0", "--detach")
    assert message.startswith("Serving on 0.0.0.0 would let anybody in")


# What stands in the way of a start


@pytest.fixture
def refusal(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a start in this process that must fail before it serves."""
    settings.OPENFANG_DATA_DIR = tmp_path
    monkeypatch.setattr(worker, "serve_alone", lambda *_: pytest.fail("it serves"))

    def run(*words: str) -> str:
        with pytest.raises(CommandError) as error:
            command("start", *words)
        return str(error.value)

    return run


def test_a_taken_port_is_refused(refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert refusal("--port", port) == f"Can't listen on 127.0.0.1, port {port}: another process uses that port."


def test_a_host_that_is_none_is_refused(refusal):
    message = refusal("--host", "no-such-host.invalid", "--port", "0")
    assert message.startswith("Can't listen on no-such-host.invalid, port 0: ")


@pytest.mark.parametrize("host", ["::", "0.0.0.0"])
def test_it_is_not_open_to_other_machines_without_a_key(refusal, host):
    message = refusal("--host", host, "--port", "0")
    assert message.startswith(f"Serving on {host} would let anybody in: there is no API key. To make one: ")
    assert message.endswith("openfang key create NAME")


def test_a_default_provider_that_is_none_is_refused(refusal, settings):
    settings.OPENFANG_DEFAULT_PROVIDER = "nobody"
    message = refusal("--port", "0")
    assert message.startswith("OPENFANG_DEFAULT_PROVIDER and OPENFANG_DEFAULT_MODEL: There is no provider 'nobody'.")


@pytest.mark.parametrize("port", ["70000", "http", "-1"])
def test_a_port_that_is_none_is_refused(refusal, port):
    assert refusal(f"--port={port}") == f"Error: argument --port: '{port}' is not a port from 0 to 65535"


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    blocked = Installation(tmp_path / "file" / "data")
    assert f"The data directory {blocked.data_dir} cannot be written" in blocked.refusal("start")
    assert f"The data directory {blocked.data_dir} cannot be written" in blocked.refusal(
        "start", OPENFANG_SECRET_KEY="x"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "DATABASE_URL is not the URL of a database"),
        ("postgres://ada:geheim@127.0.0.1:1/openfang", "The database cannot be used: connection failed"),
    ],
)
def test_a_database_that_cannot_be_reached_is_refused_without_its_password(tmp_path, url, message):
    refusal = Installation(tmp_path).refusal("start", DATABASE_URL=url)
    assert message in refusal
    assert "geheim" not in refusal


def test_what_is_no_address_of_a_redis_is_refused_without_its_password(tmp_path):
    refusal = Installation(tmp_path).refusal("start", REDIS_URL="ada:geheim@127.0.0.1:1")
    assert refusal.startswith("REDIS_URL is not the URL of a Redis: ")
    assert "geheim" not in refusal
