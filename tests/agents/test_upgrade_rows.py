"""An upgrade from the version before: what stops working is named with the line that restores it, and rows are kept."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agents.exposed_variables import read_exposed_variables
from agents.models import Agent, McpServer, Provider
from agents.tools import sandbox
from openfang_site.checkup import stopped_rows
from tests.agents.command_line import ROOT
from tests.agents.databases import Database, engine, make, postgres
from tests.agents.old_schema import VERSION_BEFORE

__all__ = ["engine", "make", "postgres"]  # fixtures
LAB = (
    "The provider lab names LAB_KEY, which this server may not send to http://lab:8000/v1.",
    "LAB_KEY@http://lab:8000",
)
SEARCH = (
    "The MCP server search names SEARCH_TOKEN, which this server may not send to https://mcp.example.com/mcp.",
    "SEARCH_TOKEN@mcp.example.com",
)
CODE = ("The MCP server code names GITHUB_TOKEN, which this server may not give to a program.", "GITHUB_TOKEN")


def findings() -> list[tuple[str, str]]:
    return [(finding.text, finding.advice) for finding in stopped_rows()]


@pytest.mark.django_db
class TestWhatStops:
    @pytest.fixture(autouse=True)
    def nothing_listed(self, settings: Any) -> None:
        settings.OPENFANG_EXPOSED_VARIABLES = ()

    @pytest.fixture
    def rows(self) -> None:
        Provider.objects.create(name="lab", base_url="http://lab:8000/v1", api_key_env="LAB_KEY")
        headers = {"Authorization": "Bearer ${SEARCH_TOKEN}", "X-Also": "${SEARCH_TOKEN}"}
        McpServer.objects.create(name="search", url="https://mcp.example.com/mcp", headers=headers)
        McpServer.objects.create(name="code", transport="stdio", command="code-mcp", environment=["GITHUB_TOKEN"])

    def test_each_row_is_named_with_the_setting_that_restores_it(self, rows: None, settings: Any) -> None:
        settings.OPENFANG_EXPOSED_VARIABLES = read_exposed_variables(["OTHER@https://other.test"])
        assert sorted(findings()) == sorted(
            (text, f"If it is meant to have it, set OPENFANG_EXPOSED_VARIABLES=OTHER@other.test,{entry}")
            for text, entry in (LAB, SEARCH, CODE)
        )

    def test_the_settings_that_are_named_restore_all_of_them(self, rows: None, settings: Any) -> None:
        lines = [advice.partition("OPENFANG_EXPOSED_VARIABLES=")[2] for _, advice in findings()]
        settings.OPENFANG_EXPOSED_VARIABLES = read_exposed_variables(lines)
        assert findings() == []

    def test_rows_that_go_on_working_are_not_named(self) -> None:
        Provider.objects.create(name="groq", base_url="https://api.groq.com/openai/v1", api_key_env="GROQ_API_KEY")
        Provider.objects.create(name="keyless", base_url="http://lab:8000/v1")
        kept = Provider(name="kept", base_url="http://lab:8000/v1", api_key_env="LAB_KEY")
        kept.keep_key("sk-entered-in-the-admin")
        kept.save()
        McpServer.objects.create(name="off", url="https://mcp.test/${TOKEN}", enabled=False)
        assert findings() == []

    def test_a_variable_that_is_never_sent_gets_no_line(self) -> None:
        Provider.objects.create(name="odd", base_url="http://lab:8000/v1", api_key_env="OPENFANG_SECRET_KEY")
        [(_, advice)] = findings()
        assert advice == "Name another variable: this one is never sent."

    def test_agents_whose_shell_is_refused_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("coder", "ops"):
            Agent.objects.create(name=name, tools=["shell"])
        monkeypatch.setattr(sandbox, "are_commands_refused", lambda: True)
        monkeypatch.setattr(sandbox, "describe", lambda: "Commands are refused: no sandbox works here.")
        [(text, advice)] = findings()
        assert text == "coder, ops: Commands are refused: no sandbox works here."
        assert advice.startswith("Install bubblewrap")


@pytest.mark.django_db
def test_a_worker_of_the_version_before_can_still_write_every_table() -> None:
    """While workers are replaced one by one, old ones write rows without the new columns."""
    before = MigrationExecutor(connection).loader.project_state([VERSION_BEFORE]).apps
    wrong = []
    with connection.cursor() as cursor:
        for model in before.get_app_config("agents").get_models():
            described = connection.introspection.get_table_description(cursor, model._meta.db_table)
            columns = {column.name: column for column in described}
            old = {field.column for field in model._meta.concrete_fields}
            wrong += [f"{model._meta.db_table}.{name} is gone" for name in old - columns.keys()]
            wrong += [
                f"{model._meta.db_table}.{name} needs a value"
                for name, column in columns.items()
                if name not in old and not column.null_ok and column.default is None
            ]
    assert wrong == []


def old_database(database: Database) -> None:
    program = [sys.executable, "-m", "tests.agents.old_schema", "--rows-that-stop"]
    subprocess.run(program, env=database.environment({}), cwd=ROOT, check=True)


def rows_of(database: Database, query: str) -> list[tuple[Any, ...]]:
    if database.url:
        with psycopg.connect(database.url) as postgres_connection:
            return postgres_connection.execute(query.encode()).fetchall()
    with closing(sqlite3.connect(database.data_dir / "openfang.sqlite3")) as sqlite:
        return sqlite.execute(query).fetchall()


def doctor(database: Database, **environment: str) -> list[tuple[str, str, str]]:
    said = database.openfang("doctor", "--offline", "--json", OPENFANG_PORT="0", **environment)
    return [(row["check"], row["text"], row["advice"]) for row in json.loads(said.stdout)]


@pytest.mark.slow
def test_doctor_names_them_before_the_upgrade_and_the_start_after_it(make: Any) -> None:
    database: Database = make("data")
    old_database(database)
    kept = rows_of(database, "SELECT name, api_key_env FROM agents_provider WHERE name = 'lab'")

    before = doctor(database)

    for text, entry in (LAB, SEARCH):
        line = f"OPENFANG_EXPOSED_VARIABLES={entry}"
        assert ("environment variables", text, f"If it is meant to have it, set {line}") in before
    assert ("sessions", "The upgrade ends 1 session of the web admin.", "People sign in once more.") in before
    assert not any(text.startswith("The database cannot be used") for _, text, _ in before)
    assert rows_of(database, "SELECT count(*) FROM django_session") == [(1,)]  # doctor has changed nothing

    with database.server() as server:
        assert server.terminate() == 0
    for said in (LAB[0], SEARCH[0], "The upgrade has ended 1 session of the web admin: people sign in once more."):
        assert said in server.greeting
    assert rows_of(database, "SELECT name, api_key_env FROM agents_provider WHERE name = 'lab'") == kept
    assert rows_of(database, "SELECT count(*) FROM django_session") == [(0,)]

    after = doctor(database)
    assert {advice for check, _, advice in after if check == "environment variables"} == {
        f"If it is meant to have it, set OPENFANG_EXPOSED_VARIABLES={entry}" for _, entry in (LAB, SEARCH)
    }
    restored = doctor(database, OPENFANG_EXPOSED_VARIABLES=f"{LAB[1]},{SEARCH[1]}")
    assert not [check for check, _, _ in restored if check == "environment variables"]
