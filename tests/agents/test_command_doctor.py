"""`openfang doctor`: what is wrong is found, and told with what to do about it."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from agents.management.base import program
from agents.models import Agent, ApiKey, LanguageModel, Provider
from agents.tools import sandbox
from tests.agents.command_line import Installation
from tests.live import Live
from tests.live.background import Background
from tests.upstream import Upstream, fails

KEY = "sk-scripted-0123456789"


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path
    settings.OPENFANG_PORT = 0
    settings.REDIS_URL = ""
    settings.OPENFANG_DEFAULT_PROVIDER = ""
    monkeypatch.delenv("SCRIPTED_API_KEY", raising=False)


@pytest.fixture
def agent(db: None) -> Agent:
    """An agent that no model answers for until it is given one."""
    return Agent.objects.create(name="coder")


def use(agent: Agent, base_url: str, key_variable: str = "") -> None:
    provider = Provider.objects.create(name="scripted", base_url=base_url, api_key_env=key_variable)
    agent.model = LanguageModel.objects.create(provider=provider, name="alpha")
    agent.save()


Said = dict[str, tuple[str, str, str]]


def found(*words: str) -> Said:
    """Return what each check says: its state, its text, its advice. The exit code tells whether there is a problem."""
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("doctor", "--json", *words, stdout=out, stderr=err)
    except SystemExit as error:
        code = int(str(error.code))
    said = {row["check"]: (row["state"], row["text"], row["advice"]) for row in json.loads(out.getvalue())}
    assert code == any(state == "problem" for state, _, _ in said.values())
    assert KEY not in out.getvalue() + err.getvalue()
    return said


@contextmanager
def http(status: int, date: datetime, zone: str = "GMT") -> Iterator[str]:
    """A provider whose clock shows this."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", format_datetime(date, usegmt=True).replace("GMT", zone))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with Background(HTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.port}/v1"


class TestWell:
    def test_a_server_in_order_has_no_problem(
        self, agent: Agent, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCRIPTED_API_KEY", KEY)
        upstream.models = ["alpha"]
        use(agent, upstream.base_url, "SCRIPTED_API_KEY")
        said = found()
        assert {state for state, _, _ in said.values()} == {"ok"}
        assert list(said) == [
            *(
                "data directory",
                "disk",
                "server",
                "database",
                "access",
                "secret key",
                "quarantine",
                "agents",
                "provider scripted",
            )
        ]

    def test_a_running_server_is_asked_whether_it_is_ready(self, live: Live) -> None:
        said = json.loads(live.manage("doctor", "--offline", "--json").stdout)
        [server] = [row for row in said if row["check"] == "server"]
        assert server == {
            "check": "server",
            "state": "ok",
            "text": f"It runs at {live.url} and is ready.",
            "advice": "",
        }

    def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(self, tmp_path: Path) -> None:
        said = Installation(tmp_path / "new").openfang("doctor", OPENFANG_PORT="0")
        assert (said.returncode, said.stderr) == (0, "")
        assert "ok       database: SQLite, still empty: the first start makes its tables.\n" in said.stdout
        assert said.stdout.endswith("\nNo problems, 0 warnings.\n")


class TestProviders:
    def test_a_key_that_is_missing_is_named_with_the_agents_that_need_it(self, agent: Agent) -> None:
        use(agent, "http://127.0.0.1:9/v1", "SCRIPTED_API_KEY")
        state, text, advice = found()["provider scripted"]
        assert (state, advice) == ("problem", f"When that is mended: {program()} provider test scripted")
        assert text == (
            "scripted has no API key: SCRIPTED_API_KEY is not set in the environment of the server, and none is kept "
            "here. It is used by coder."
        )

    def test_a_key_that_is_refused_is_named(
        self, agent: Agent, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCRIPTED_API_KEY", KEY)
        upstream.models = fails(401)
        use(agent, upstream.base_url, "SCRIPTED_API_KEY")
        state, text, _ = found()["provider scripted"]
        assert state == "problem"
        assert text.startswith("scripted refused this server's API key, so check SCRIPTED_API_KEY (HTTP 401).")

    def test_one_that_cannot_be_reached_is_named(self, agent: Agent) -> None:
        use(agent, "http://127.0.0.1:9/v1")
        state, text, _ = found()["provider scripted"]
        assert state == "problem"
        assert text.startswith("scripted cannot be reached at http://127.0.0.1:9/v1: nothing listens on port 9")
        assert "provider scripted" not in found("--offline")

    def test_one_without_a_list_of_models_is_there_all_the_same(self, agent: Agent) -> None:
        with http(404, datetime.now(UTC)) as url:
            use(agent, url)
            said = found()
        assert said["provider scripted"][0] == "ok"
        assert "clock" not in said

    @pytest.mark.parametrize("zone", ["GMT", "-0000"])
    @pytest.mark.parametrize(("minutes", "words"), [(-10, "ahead of"), (10, "behind")])
    def test_a_clock_that_is_wrong_is_a_warning(self, agent: Agent, minutes: int, words: str, zone: str) -> None:
        with http(200, datetime.now(UTC) + timedelta(minutes=minutes), zone) as url:
            use(agent, url)
            state, text, _ = found()["clock"]
        assert state == "warning"
        assert f" s {words} that of scripted." in text

    def test_the_embedded_model_is_missed_by_the_agents_that_use_it(
        self, agent: Agent, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call_command("agents", stdout=StringIO())  # the catalog's rows
        settings.OPENFANG_DEFAULT_PROVIDER = "embedded"
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        state, text, _ = found()["embedded model"]
        assert state == "problem"
        assert "is not installed" in text
        assert text.endswith("It is used by coder.")

    def test_an_agent_that_no_model_answers_for_is_named(self, agent: Agent) -> None:
        LanguageModel.objects.all().delete()
        assert found()["agents"][:2] == ("problem", "No model answers for coder.")

    def test_an_agent_whose_shell_is_refused_is_named(
        self, agent: Agent, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "shell" not in found()
        monkeypatch.setattr(sandbox, "kind", lambda: None)
        Agent.objects.update(tools=["shell"])
        state, text, advice = found()["shell"]
        assert (state, text.split(" (")[0]) == ("problem", "coder: Commands are refused: no sandbox works here")
        assert "Install bubblewrap" in advice
        settings.OPENFANG_SHELL_UNSANDBOXED = True
        assert found()["shell"][0] == "warning"
        monkeypatch.setattr(sandbox, "kind", lambda: sandbox.Kind.LANDLOCK)
        assert found()["shell"][0] == "ok"

    def test_without_agents_it_says_how_to_make_one(self, db: None) -> None:
        assert found()["agents"][0] == "warning"


class TestSurroundings:
    def test_a_port_that_another_program_has_taken(self, db: None, settings: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            settings.OPENFANG_PORT = taken.getsockname()[1]
            state, text, advice = found()["server"]
        assert (state, text) == ("problem", f"It does not run, and another program uses port {settings.OPENFANG_PORT}.")
        assert "OPENFANG_PORT" in advice

    def test_a_public_address_without_a_key(self, db: None, settings: Any) -> None:
        settings.OPENFANG_HOST = "0.0.0.0"
        state, _, advice = found()["access"]
        assert state == "problem"
        assert advice.endswith("openfang key create NAME")
        settings.OPENFANG_API_KEY = "key-of-16-characters"
        assert found()["access"][0] == "ok"

    def test_keys_of_which_none_is_good_any_more(self, db: None) -> None:
        key, _ = ApiKey.objects.issue("alice")
        assert found()["access"][:2] == ("ok", "1 API key: every request needs one.")
        key.revoke()
        state, text, advice = found()["access"]
        assert (state, text) == (
            "warning",
            "Every API key is revoked or expired, and every request needs one: nobody is let in.",
        )
        assert advice.endswith("openfang key create NAME")

    def test_a_redis_that_does_not_answer(self, db: None, settings: Any) -> None:
        settings.REDIS_URL = "redis://ada:sk-scripted-0123456789@127.0.0.1:9/0"
        state, text, _ = found()["redis"]
        assert (state, text) == ("problem", "Redis does not answer (ConnectionError): limits do not hold together.")

    @pytest.mark.parametrize(("free", "state"), [(100 * 1024**2, "problem"), (500 * 1024**2, "warning")])
    def test_a_disk_that_is_nearly_full(self, db: None, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
        usage = shutil.disk_usage("/")
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=free))
        assert found()["disk"][0] == state

    def test_a_data_directory_that_others_can_read(self, db: None, tmp_path: Path) -> None:
        (tmp_path / "secret_key").touch(mode=0o644)
        assert found()["data directory"] == ("ok", str(tmp_path), "")  # no other user gets as far as the file

        tmp_path.chmod(0o755)
        assert found()["data directory"] == (
            "problem",
            f"Other users of this machine can read {tmp_path}.",
            f"chmod -R go= {tmp_path}",
        )

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
    def test_a_data_directory_that_cannot_be_written(self, db: None, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        assert found()["data directory"][0] == "problem"
        tmp_path.chmod(0o700)


class TestDatabase:
    def test_a_secret_key_that_does_not_open_what_is_kept(self, db: None, settings: Any) -> None:
        for name in ("one", "two"):
            provider = Provider(name=name, base_url="http://127.0.0.1:9/v1")
            provider.keep_key(KEY)
            provider.save()
        assert found()["secret key"][0] == "ok"
        settings.SECRET_KEY = "another"
        state, text, advice = found()["secret key"]
        assert (state, text.endswith("2 of 2 providers' keys.")) == ("problem", True)
        assert "OPENFANG_SECRET_KEY_FALLBACKS" in advice

    def test_one_that_is_newer_than_this_version(self, db: None) -> None:
        MigrationRecorder(connection).record_applied("agents", "9999_future")
        state, text, _ = found()["database"]
        assert state == "problem"
        assert text.endswith("does not know its migration agents.9999_future.")

    def test_one_that_lacks_a_migration(self, db: None) -> None:
        recorder = MigrationRecorder(connection)
        recorder.record_unapplied("agents", max(name for app, name in recorder.applied_migrations() if app == "agents"))
        assert found()["database"][:2] == (
            "warning",
            f"{'SQLite' if connection.vendor == 'sqlite' else 'PostgreSQL'} lacks 1 migration of this version.",
        )

    def test_one_that_does_not_answer(self, tmp_path: Path) -> None:
        said = Installation(tmp_path).openfang(
            "doctor", DATABASE_URL="postgres://ada:geheim@127.0.0.1:9/openfang", OPENFANG_PORT="0"
        )
        assert said.returncode == 1
        assert "PROBLEM  database: The database cannot be used: " in said.stdout
        assert "geheim" not in said.stdout + said.stderr
