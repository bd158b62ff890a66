"""`openfang restore`: a backup in the place of a server's data, or refused before anything is changed."""

import io
import json
import shutil
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from glob import glob
from pathlib import Path

import pytest

from tests.agents.databases import Database, backup, coder, engine, make, postgres

__all__ = ["backup", "coder", "engine", "make", "postgres"]  # fixtures
pytestmark = pytest.mark.slow
KEEP_KEY = """
from agents.models import Provider
lab = Provider.objects.get(name="groq")
lab.keep_key("gsk-kept-0123456789")
lab.save()
"""
LOG_IN = """
from django.contrib.sessions.models import Session
from agents.sessions import SessionStore
store = SessionStore()
store["_auth_user_id"] = "1"
store.save()
row = Session.objects.get()
print(row.session_key, row.session_data)
"""
SESSIONS = 'from django.contrib.sessions.models import Session; print("", Session.objects.count(), "sessions")'
LEASE = """
from datetime import timedelta
from django.utils import timezone
from agents.models import Worker
Worker.objects.create(hostname="elsewhere", pid=1, lease_expires_at=timezone.now() + timedelta(hours=1))
"""
KEPT_KEY = 'from agents.models import Provider; print(Provider.objects.get(name="groq").kept_key())'


@pytest.fixture
def writer(coder: Database, tmp_path: Path) -> Database:
    """An SQLite like the other one, with a secret key of its own."""
    server = Database(Path(shutil.copytree(coder.data_dir, tmp_path / "writer")))
    (server.data_dir / "secret_key").write_text("of-the-writer")
    return server


def test_what_is_backed_up_is_there_after_the_restore(make, tmp_path):
    old, new, path = make("old"), make("new"), tmp_path / "backup.tar.gz"
    old.done("spawn", "coder")
    old.done("shell", "-c", KEEP_KEY)
    workspace = old.data_dir / "workspaces" / "some-agent"
    workspace.mkdir(parents=True)
    (workspace / "notes.txt").write_text("of an agent")
    (workspace / "outside").symlink_to("/etc/passwd")

    before = old.done("export")

    said = old.openfang("backup", str(path))

    assert said.stdout == f"{path}\n"
    assert "It holds the secret key" in said.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    old.done("agent", "kill", "coder", "--yes")
    assert new.done("restore", str(path)).startswith("Restored: 1 agent, 0 keys, 0 requests.")
    assert new.done("export") == before
    assert new.done("shell", "-c", KEPT_KEY).endswith("gsk-kept-0123456789\n")
    assert (new.data_dir / "workspaces" / "some-agent" / "notes.txt").read_text() == "of an agent"
    assert not (new.data_dir / "workspaces" / "some-agent" / "outside").exists()
    assert (new.data_dir / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_backup_has_nothing_of_a_session(make, tmp_path):
    old, new, path = make("old"), make("new"), tmp_path / "backup.tar.gz"
    old.done("spawn", "coder")
    stored, data = old.done("shell", "-c", LOG_IN).split()[-2:]

    old.done("backup", str(path))

    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member).read()  # type: ignore[union-attr]
            assert stored.encode() not in content and data.encode() not in content
    if new.url:
        listed = subprocess.run(["tar", "-xzOf", path, "database.pgdump"], capture_output=True, check=True).stdout
        dump = tmp_path / "dump"
        dump.write_bytes(listed)
        script = subprocess.run([program_of("pg_restore"), "-f", "-", dump], capture_output=True, check=True).stdout
        assert b"django_session" in script and stored.encode() not in script
    new.done("restore", str(path))
    assert new.done("shell", "-c", SESSIONS).endswith(" 0 sessions\n")
    assert old.done("shell", "-c", SESSIONS).endswith(" 1 sessions\n")


def program_of(name: str) -> str:
    return shutil.which(name) or max(glob(f"/usr/lib/postgresql/*/bin/{name}"))


def test_data_that_is_there_is_moved_away_only_when_that_is_asked_for(make, tmp_path):
    old, new, path = make("old"), make("new"), tmp_path / "backup.tar.gz"
    old.done("spawn", "coder")
    old.done("backup", str(path))
    new.done("spawn", "writer")

    assert new.refusal("restore", str(path)).startswith("This server has data already. With --force")
    restored = new.openfang("restore", str(path), "--force")

    assert restored.returncode == 0, restored
    agents = new.done("agents")
    assert "coder" in agents
    assert "writer" not in agents
    [aside] = new.data_dir.glob("before-restore-*")
    assert (aside / "secret_key").read_text() != (new.data_dir / "secret_key").read_text()
    assert f"The old data is in {aside}" in restored.stderr
    if not new.url:
        with closing(sqlite3.connect(aside / "openfang.sqlite3")) as database:
            assert database.execute("SELECT name FROM agents_agent").fetchall() == [("writer",)]
    else:
        query = f"SELECT name FROM {aside.name.replace('-', '_')}.agents_agent"
        program = (
            f"from django.db import connection; c = connection.cursor(); c.execute('{query}'); print(c.fetchall())"
        )
        assert new.done("shell", "-c", program).endswith("[('writer',)]\n")


def test_the_key_and_workspaces_of_a_directory_in_use_are_kept_also_where_its_database_is_new(
    backup: Path, tmp_path: Path
) -> None:
    new = Database(tmp_path / "new")
    workspace = new.data_dir / "workspaces" / "some-agent"
    workspace.mkdir(parents=True)
    (workspace / "notes.txt").write_text("of an agent")
    (new.data_dir / "secret_key").write_text("of-before")

    new.done("restore", str(backup))

    [aside] = new.data_dir.glob("before-restore-*")
    assert (aside / "secret_key").read_text() == "of-before"
    assert (aside / "workspaces" / "some-agent" / "notes.txt").read_text() == "of an agent"


def test_a_database_that_workers_elsewhere_serve_is_not_replaced(postgres, tmp_path):
    served, path = Database(tmp_path / "served", postgres.new_database()), tmp_path / "backup.tar.gz"
    served.done("spawn", "coder")
    served.done("backup", str(path))
    served.done("shell", "-c", LEASE)
    refusal = Database(tmp_path / "elsewhere", served.url).refusal("restore", str(path), "--force")
    assert refusal == "Workers serve this database: 1. Stop them first; a killed one counts for 20 s."


def test_a_dump_that_fails_leaves_the_old_data_in_its_place(postgres, tmp_path):
    new, path = Database(tmp_path / "new", postgres.new_database()), tmp_path / "backup.tar.gz"
    new.done("spawn", "writer")
    new.done("backup", str(path))
    changed(path, {"database.pgdump": b"PGDMP is not all there is to it"})
    assert new.refusal("restore", str(path), "--force").startswith("pg_restore failed: ")
    assert "writer" in new.done("agents")


def test_a_backup_of_one_engine_is_none_of_the_other(backup, postgres, tmp_path):
    new = Database(tmp_path / "new", postgres.new_database())
    assert new.refusal("restore", str(backup)) == (
        "This is a backup of SQLite, and DATABASE_URL names PostgreSQL: it goes into SQLite only."
    )


def test_a_restored_server_serves(backup: Path, tmp_path: Path) -> None:
    new = Database(tmp_path / "new")
    new.done("restore", str(backup))
    assert not list(new.data_dir.glob("before-restore-*"))
    with new.server() as server:
        assert "coder" in server.greeting
        assert server.terminate() == 0


def changed(path: Path, files: dict[str, bytes]) -> Path:
    """Put other contents into a backup; what is not in it is added."""
    with tarfile.open(path) as archive:
        contents = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (contents | files).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def stamp_of(path: Path, **fields: object) -> bytes:
    with tarfile.open(path) as archive:
        stamp = json.load(archive.extractfile("backup.json"))  # type: ignore[arg-type]
    return json.dumps({**stamp, **fields}).encode()


def test_a_backup_of_a_newer_version_is_refused_before_anything_is_touched(backup: Path, tmp_path: Path) -> None:
    new = Database(tmp_path / "new")
    changed(backup, {"backup.json": stamp_of(backup, openfang="9.0", migrations=["agents.9999_future"])})
    assert new.refusal("restore", str(backup)) == (
        "OpenFang 9.0 has made this backup, and 0.1.0 does not know its migration agents.9999_future. Update OpenFang."
    )
    changed(backup, {"backup.json": stamp_of(backup, version=2)})
    assert "This backup's form 2 is not known to OpenFang 0.1.0. Update it." in new.refusal("restore", str(backup))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"backup.json": b"{}"}, "This is not a backup of OpenFang"),
        ({"../outside": b"x"}, "The backup has a file '../outside' that does not belong there."),
        ({"workspaces/../../outside": b"x"}, "outside the destination"),
        ({"database.sqlite3": b"SQLite format 3\x00 and nothing"}, "The database in this backup is damaged ("),
    ],
)
def test_what_is_wrong_with_a_backup_is_one_line_and_changes_nothing(
    writer: Database, backup: Path, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    before = (writer.data_dir / "openfang.sqlite3").read_bytes()
    assert message in writer.refusal("restore", str(changed(backup, files)), "--force")
    assert (writer.data_dir / "openfang.sqlite3").read_bytes() == before
    assert (writer.data_dir / "secret_key").read_text() == "of-the-writer"
    assert not (tmp_path / "outside").exists()
    assert not list(writer.data_dir.glob("before-restore-*"))


def test_a_file_that_is_no_backup_is_one_line(backup: Path, tmp_path: Path) -> None:
    new = Database(tmp_path / "new")
    whole = backup.read_bytes()
    for name, content in (("text", b"hello"), ("cut", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(content)
        assert f"{tmp_path / name} is no backup, or a damaged one (" in new.refusal("restore", str(tmp_path / name))
    assert "cannot be read (No such file or directory)." in new.refusal("restore", str(tmp_path / "missing"))


def test_another_secret_key_in_the_environment_is_refused(coder: Database, backup: Path, tmp_path: Path) -> None:
    new = Database(tmp_path / "new")
    refusal = new.refusal("restore", str(backup), OPENFANG_SECRET_KEY="another-one")
    assert refusal.startswith("OPENFANG_SECRET_KEY is not the key of this backup")
    key = (coder.data_dir / "secret_key").read_text()
    assert new.openfang("restore", str(backup), OPENFANG_SECRET_KEY=key).returncode == 0
