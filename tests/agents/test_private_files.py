"""The data directory is for the server's user alone, whatever the umask: no other account reads a thing in it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agents.private_files import close_to_others, open_to_others
from agents.tools.workspace import Workspace
from tests.agents.command_line import CEILING, ROOT, Installation

OWNER, ATTACKER = 47101, 47102  # user ids that no account has
READ = """
while IFS= read -r path; do
    if [ -d "$path" ]; then ls "$path"; else cat "$path"; fi >/dev/null 2>&1 && printf '%s\\n' "$path"
done
"""
# Python may be where other users cannot read it, so it loads everything before it becomes one.
START_AS_OWNER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "openfang_site.settings"
import django
django.setup()
from agents.management.server_state import holding_data_dir
os.setuid(int(sys.argv[1]))
with holding_data_dir():
    print("served")
"""


class Careless(Installation):
    """A server whose user has a umask that keeps nothing from anyone."""

    def openfang(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        before = os.umask(0)
        try:
            return super().openfang(*words, **environment)
        finally:
            os.umask(before)

    def done(self, *words: str, **environment: str) -> str:
        done = self.openfang(*words, **environment)
        assert done.returncode == 0, done
        return done.stdout

    def doctor(self, **environment: str) -> tuple[str, str, str]:
        said = self.openfang("doctor", "--offline", "--json", OPENFANG_PORT="0", **environment).stdout
        [row] = [row for row in json.loads(said) if row["check"] == "data directory"]
        return row["state"], row["text"], row["advice"]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that every account may enter, unlike pytest's own."""
    with TemporaryDirectory(prefix="openfang-home-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def server(home: Path) -> Careless:
    return Careless(home / "data")


def everything_in(directory: Path) -> list[Path]:
    return [directory, *directory.rglob("*")]


def readable_for_attacker(paths: list[Path]) -> list[Path]:
    """Return what a second user of the machine can read; only root can become one to try."""
    if os.geteuid() != 0:
        return []
    said = subprocess.run(
        ["sh", "-c", READ],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        timeout=CEILING,
        check=False,
        user=ATTACKER,
        group=ATTACKER,
        extra_groups=[],
    )
    return [Path(line) for line in said.stdout.splitlines()]


def assert_private(directory: Path) -> None:
    assert [f"{path} {mode:o}" for path, mode in open_to_others(directory)] == []
    assert readable_for_attacker(everything_in(directory)) == []


def test_a_directory_behind_a_symbolic_link_is_closed(home: Path) -> None:
    (home / "disk").mkdir()
    for name in ("disk/openfang.sqlite3", "database", "outside"):
        (home / name).touch()
    (home / "disk" / "link").symlink_to(home / "outside")
    (home / "data").symlink_to(home / "disk")
    (home / "other.sqlite3").symlink_to(home / "database")
    for path in (home / "disk", home / "disk" / "openfang.sqlite3", home / "database", home / "outside"):
        path.chmod(0o755)
    assert close_to_others(home / "data", home / "other.sqlite3").was_open
    assert [*open_to_others(home / "disk", home / "database")] == []
    assert (home / "outside").stat().st_mode & 0o777 == 0o755


def test_the_default_data_directory_may_be_a_symbolic_link(home: Path) -> None:
    """Its real path is the setting: the mode of a link says nothing, and doctor would complain for ever."""
    (home / "disk").mkdir()
    (home / "data").symlink_to(home / "disk")
    shutil.copytree(ROOT / "openfang_site", home / "openfang_site", ignore=shutil.ignore_patterns("__pycache__"))
    (home / "agents").symlink_to(ROOT / "agents")
    environment = {name: value for name, value in os.environ.items() if name != "OPENFANG_DATA_DIR"}
    code = "from openfang_site import settings; print(settings.OPENFANG_DATA_DIR)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert Path(said.strip()) == (home / "disk").resolve()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become the attacker")
def test_the_attacker_of_these_tests_reads_what_is_open(home: Path) -> None:
    (home / "open").touch()
    (home / "open").chmod(0o644)
    assert readable_for_attacker(everything_in(home)) == [home, home / "open"]


def test_from_the_first_start_on_nobody_else_can_read_a_thing(server: Careless) -> None:
    server.done("start", "--detach", OPENFANG_PORT="0")
    try:
        names = {path.name for path in everything_in(server.data_dir)}
        assert {"openfang.sqlite3", "openfang.sqlite3-wal", "openfang.sqlite3-shm"} <= names
        assert {"server.log", "server.lock", "server.json", "setup.lock", "secret_key"} <= names
        assert_private(server.data_dir)
    finally:
        server.done("stop")


@pytest.mark.slow
def test_neither_a_backup_nor_what_comes_out_of_it_can_be_read(server: Careless, home: Path) -> None:
    server.done("spawn", "coder")
    inside, outside = Path(server.done("backup").strip()), home / "backups" / "today.tar.gz"
    server.done("backup", str(outside))
    assert inside.is_relative_to(server.data_dir)
    assert_private(server.data_dir)
    assert_private(outside.parent)

    subprocess.run(["tar", "--extract", f"--file={outside}", f"--directory={home}"], check=True)
    assert_private(home / "database.sqlite3")
    assert_private(home / "secret_key")

    restored = Careless(home / "restored")
    for words in (["restore", str(outside)], ["restore", str(outside), "--force"]):
        restored.done(*words)
        assert_private(restored.data_dir)
    assert list(restored.data_dir.glob("before-restore-*"))


def opened(server: Careless) -> Careless:
    """Leave a data directory as older versions made it under the usual umask."""
    server.done("spawn", "coder")
    (server.data_dir / "workspaces" / "some-agent").mkdir(parents=True)
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", server.data_dir], check=True)
    return server


@pytest.mark.slow
def test_a_start_closes_a_directory_of_an_older_version_and_says_so(server: Careless) -> None:
    opened(server).done("start", "--detach", OPENFANG_PORT="0")
    server.done("stop")

    assert_private(server.data_dir)
    assert server.doctor()[0] == "ok"
    assert (
        f"Closed the data directory {server.data_dir} to other users of this machine: its mode was 0755 and is 0700 "
        "now. Run commands as the server's user.\n"
    ) in (server.data_dir / "server.log").read_text()


def test_the_command_that_doctor_names_closes_the_directory(home: Path) -> None:
    server = opened(Careless(home / "my data"))
    state, text, advice = server.doctor()
    assert (state, text) == ("problem", f"Other users of this machine can read {server.data_dir}.")

    subprocess.run(advice, shell=True, check=True)

    assert server.doctor()[0] == "ok"
    assert_private(server.data_dir)


def test_a_database_outside_the_data_directory_is_private_too(server: Careless, home: Path) -> None:
    database = home / "elsewhere.sqlite3"
    url = f"sqlite:///{database}"
    server.done("spawn", "coder", DATABASE_URL=url)
    assert_private(database)

    database.chmod(0o644)
    assert server.doctor(DATABASE_URL=url)[::2] == ("problem", f"chmod -R go= {database}")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_file_of_another_user_is_named_and_does_not_stop_the_start(server: Careless) -> None:
    data_dir = server.data_dir
    server.done("spawn", "coder")
    for path in everything_in(data_dir):
        os.chown(path, OWNER, OWNER)
    of_root = data_dir / "of-root"
    of_root.touch()
    of_root.chmod(0o644)

    started = subprocess.run(
        [sys.executable, "-c", START_AS_OWNER, str(OWNER)],
        env=server.environment({}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CEILING,
        check=False,
    )

    assert started.stdout == "served\n", started
    assert (
        f"Other users of this machine can open {of_root}, which belongs to another user than the server's. "
        f"As that user or root: chmod -R go= {of_root}\n"
    ) in started.stderr
    assert_private(data_dir / "openfang.sqlite3")


def test_the_folder_of_all_workspaces_is_closed_when_an_agent_first_writes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Workspace(tmp_path / "workspaces" / "some-agent").write("notes.txt", b"of an agent")
    finally:
        os.umask(before)

    assert not list(open_to_others(tmp_path / "workspaces"))
