"""`openfang serve-model`: the embedded model as a service, and servers that use it in place of one of their own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from django.core.management import call_command

from agents.providers.embedded import EmbeddedModel
from tests.agents.command_line import CEILING, ROOT, Installation, command, refused, told
from tests.live import Live
from tests.live.asking import TIMEOUT, ask, content_of, row_of
from tests.openfang_site.workers_parts import alive, children, need_linux, two_workers

NOBODY = "http://127.0.0.1:9/v1"
SECRET_KEY = "a-secret-key-that-all-of-them-have"


class Service:
    """`openfang serve-model` in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._installation = Installation(directory)
        self.port = 0  # once it has one, it is started on it again

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "serve-model", "--port", str(self.port)],
            env=self._installation.environment({"OPENFANG_SECRET_KEY": SECRET_KEY}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        port = told(r"^The embedded model is at http://127\.0\.0\.1:(\d+)/v1$", first)
        assert port, first + self.end()[1]
        self.port = int(port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def model(self) -> int:
        """The process that has the model itself."""
        [pid] = children(self.process.pid)
        return pid

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit status and what it said on standard error."""
        _, err = self.process.communicate(timeout=CEILING)
        return self.process.returncode, err


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    need_linux()
    if reason := EmbeddedModel().unavailable_because:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that nothing is done to."""
    with Service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "service") as service:
        yield service


def environment(service: Service) -> dict[str, str]:
    return {"OPENFANG_EMBEDDED_URL": service.url, "OPENFANG_SECRET_KEY": SECRET_KEY}


def finding() -> dict[str, Any]:
    """Return what `openfang doctor` says of the embedded model."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--json", stdout=out)
    [found] = [row for row in json.loads(out.getvalue()) if row["check"] == "embedded model"]
    return dict(found)


@pytest.mark.slow
def test_a_server_uses_it_misses_it_and_has_it_again(service: Service, tmp_path: Path):
    (tmp_path / "data").mkdir()
    with Live(tmp_path / "data", env=environment(service)) as live:
        live.brief()
        answer = ask(live, "assistant")
        assert answer.status_code == 200 and content_of(answer)
        row = row_of(live, answer)
        assert (row["status"], row["provider"], row["token_source"]) == ("ok", "embedded", "provider")
        assert children(live.process.pid) == []

        service.kill()
        failed = ask(live, "assistant")
        error = failed.json()["error"]
        assert (failed.status_code, error["code"]) == (502, "provider_unavailable")
        assert re.fullmatch(r"Embedded \(SmolLM2-135M\) cannot be reached \(Client\w+\)\.", error["message"])
        assert row_of(live, failed)["status"] == "failed"

        service.start()
        assert content_of(ask(live, "assistant"))


@pytest.mark.slow
def test_the_workers_of_a_server_use_it_and_start_none(service: Service, tmp_path: Path):
    with two_workers(tmp_path / "workers", env=environment(service)) as live:
        live.brief()
        assert content_of(ask(live, "assistant"))
        workers = children(live.process.pid)
        assert len(workers) == 2
        assert not [child for worker in workers for child in children(worker)]


def test_the_doctor_says_whether_it_is_there_and_knows_the_key(shared: Service, db: None, settings: Any):
    call_command("spawn", "assistant", stdout=StringIO())
    settings.OPENFANG_DEFAULT_PROVIDER = "embedded"
    settings.OPENFANG_EMBEDDED_URL, settings.SECRET_KEY = shared.url, SECRET_KEY
    assert (finding()["state"], finding()["text"].split(". ")[0]) == ("ok", f"It answers at {shared.url}")

    settings.SECRET_KEY = "another"
    assert (finding()["state"], finding()["text"]) == (
        "problem",
        f"The embedded model at {shared.url} refuses this server's key: both need the same OPENFANG_SECRET_KEY. "
        "It is used by assistant.",
    )

    settings.OPENFANG_EMBEDDED_URL = NOBODY
    assert (finding()["state"], finding()["text"]) == (
        "problem",
        f"The embedded model cannot be reached at {NOBODY} (ClientConnectorError). It is used by assistant.",
    )


def test_testing_the_provider_asks_it(shared: Service, db: None, settings: Any):
    command("agents")  # the catalog's rows
    settings.OPENFANG_EMBEDDED_URL, settings.SECRET_KEY = shared.url, SECRET_KEY
    assert "smollm2-135m-instruct said" in command("provider", "test", "embedded").out
    settings.OPENFANG_EMBEDDED_URL = NOBODY
    assert refused("provider", "test", "embedded") == (
        f"The embedded model cannot be reached at {NOBODY} (ClientConnectorError)."
    )


def test_only_its_health_is_told_without_the_key(shared: Service):
    root = shared.url.removesuffix("/v1")
    assert httpx2.get(f"{root}/health", timeout=TIMEOUT, verify=False).json() == {"status": "ok"}
    chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    for headers in ({}, {"authorization": f"Bearer {SECRET_KEY}"}):
        answer = httpx2.post(
            f"{shared.url}/chat/completions", json=chat, headers=headers, timeout=TIMEOUT, verify=False
        )
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


def test_the_health_check_of_its_container_asks_it(shared: Service):
    def check(port: int) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "deploy" / "ready.py"), str(port), "/health"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert check(shared.port).returncode == 0
    failed = check(9)
    assert failed.returncode == 1
    assert "does not answer" in failed.stderr


def test_a_port_that_is_taken_is_told(shared: Service, tmp_path: Path):
    assert Installation(tmp_path).refusal("serve-model", "--port", str(shared.port)) == (
        f"Can't listen on 127.0.0.1, port {shared.port}: another process uses that port."
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_model(service: Service, number: signal.Signals):
    model = service.model
    service.process.send_signal(number)
    assert service.end() == (0, "")
    assert not alive(model)


@pytest.mark.slow
def test_it_ends_with_its_model_so_that_whoever_keeps_it_starts_it_again(service: Service):
    os.kill(service.model, signal.SIGKILL)
    status, err = service.end()
    assert status == 1
    assert err.endswith("openfang: The embedded model has ended.\n")


@pytest.mark.parametrize("url", ["model:8080", "ftp://model/v1", "http://ada:geheim@model/v1", "http://model/v1?a=b"])
def test_an_address_that_is_none_stops_the_start_without_being_told(url: str, tmp_path: Path):
    assert Installation(tmp_path).refusal("agents", OPENFANG_EMBEDDED_URL=url) == (
        "OPENFANG_EMBEDDED_URL is not the URL of an API, such as http://model:8080/v1."
    )
