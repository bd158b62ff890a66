"""`openfang backup`: all of a server in one file, taken while it serves."""

import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError

from agents.management.backups import postgresql
from agents.management.base import program
from tests.agents.command_line import ROOT, Installation
from tests.agents.databases import Database, backup, coder
from tests.live import Live
from tests.live.asking import ask, content_of, eventually
from tests.upstream import Upstream, says

__all__ = ["backup", "coder"]  # fixtures
pytestmark = pytest.mark.slow


def test_a_server_is_backed_up_while_it_serves_and_not_restored_while_it_runs(
    live: Live, upstream: Upstream, tmp_path: Path
) -> None:
    path = tmp_path / "backup.tar.gz"
    upstream.turns(says("Before."), says("After."))
    content_of(ask(live))
    before = len(live.usage())

    live.manage("backup", str(path))

    content_of(ask(live))
    assert len(live.usage()) == before + 1
    refused = Installation(live.data_dir)
    refused.environment = lambda more: live.env  # type: ignore[method-assign]
    assert refused.refusal("restore", str(path), "--force") == (
        f"OpenFang is running on {live.url}. Stop it first: {program()} stop"
    )
    assert json.loads(live.manage("status", "--json").stdout)["url"] == live.url
    with tarfile.open(path) as archive:
        stamp = json.load(archive.extractfile("backup.json"))  # type: ignore[arg-type]
    if stamp["engine"] == "sqlite":
        restored = Database(tmp_path / "restored")
        assert f", {before:,} request" in restored.done("restore", str(path))


def test_writers_do_not_keep_a_backup_from_being_of_one_moment(tmp_path: Path) -> None:
    server, new = Database(tmp_path / "data"), Database(tmp_path / "new")
    server.done("spawn", "coder")
    stop, written = threading.Event(), 0

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(server.data_dir / "openfang.sqlite3", timeout=20)

    def write() -> None:
        nonlocal written
        with closing(connect()) as database:
            while not stop.is_set():
                with database:
                    database.executemany("INSERT INTO pairs VALUES (?, zeroblob(900))", [(written,), (written,)])
                written += 1

    with closing(connect()) as database, database:
        database.execute("CREATE TABLE pairs (number INTEGER, ballast BLOB)")
        # More than one step of the copying: 12 MB.
        database.executemany("INSERT INTO pairs VALUES (-1, zeroblob(900))", [()] * 12_000)
    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: written > 0)
    before = written
    try:
        server.done("backup", str(tmp_path / "backup.tar.gz"))
    finally:
        stop.set()
        writer.join()

    assert written > before
    new.done("restore", str(tmp_path / "backup.tar.gz"))
    with closing(sqlite3.connect(new.data_dir / "openfang.sqlite3")) as database:
        [(rows, numbers)] = database.execute("SELECT count(*), max(number) FROM pairs WHERE number >= 0").fetchall()
    assert rows == 2 * (numbers + 1)
    assert before <= numbers + 1 <= written


def test_a_backup_can_be_sent_on(coder: Database) -> None:
    sent = subprocess.run(
        [sys.executable, ROOT / "manage.py", "backup", "-"],
        env=coder.environment({}),
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(sent.stdout)) as archive:
        assert archive.getnames() == ["backup.json", "database.sqlite3", "secret_key"]
    assert not list(coder.data_dir.glob(".openfang-backup-*"))


def test_without_a_name_it_goes_into_the_data_directory(coder: Database) -> None:
    path = Path(coder.done("backup").strip())
    assert path.parent == coder.data_dir / "backups"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_written_over_and_nothing_half_done_is_left(coder: Database, backup: Path, tmp_path: Path) -> None:
    assert coder.refusal("backup", str(backup)) == f"{backup} is there already, and is not written over."
    (tmp_path / "file").touch()
    assert "The backup could not be written to " in coder.refusal("backup", str(tmp_path / "file" / "x.tar.gz"))
    assert Database(tmp_path / "empty").refusal("backup") == "There is nothing to back up: the database is empty."
    assert not list(tmp_path.rglob("*.part"))


def test_without_pg_dump_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(postgresql, "glob", lambda _: [])
    with pytest.raises(CommandError, match="pg_dump is not installed"):
        postgresql._run("pg_dump")
