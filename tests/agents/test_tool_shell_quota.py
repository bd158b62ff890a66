"""What shell commands may put on the disk: they are killed when the workspace reaches its limit."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.tools import sandbox, shell
from tests.unprivileged import SERVER_USER, folder_of, python_as

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the workspace is measured on Linux")
QUOTA, FILES = 2_000_000, 200
TOO_MUCH = f"[Killed: the workspace holds more than its {QUOTA:,} bytes; delete some files.]"
MODES = [
    pytest.param(sandbox.kind(), marks=pytest.mark.skipif(not sandbox.kind(), reason="needs a sandbox"), id="sandbox"),
    pytest.param(None, id="bare"),
]


class Shell:
    def __init__(self, workspace: Path, kind: sandbox.Kind | None) -> None:
        self.workspace = workspace
        self.kind = kind

    async def run(self, command: str) -> str:
        return await shell.run(command, self.workspace, 200, self.kind)


@pytest.fixture(params=MODES)
def sh(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setattr(shell, "QUOTA", QUOTA)
    monkeypatch.setattr(shell, "MAX_ENTRIES", FILES)
    monkeypatch.setattr(shell, "END_SECONDS", 60)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    yield Shell(workspace, request.param)
    for folder, _, _ in os.walk(workspace):
        os.chmod(folder, 0o700)


FILL = "for i in $(seq 60); do head -c 100000 /dev/zero > f$i; sleep 0.02; done; echo all written; sleep 60"
GROW = {
    "many files": FILL,
    "a folder below": f"mkdir -p a/b/c; cd a/b/c; {FILL}",
    "in the background": f"({FILL}) & setsid sh -c '{FILL}' & wait",
    "files that are deleted and still open": (
        "for i in $(seq 60); do exec {fd}> f; rm f; head -c 100000 /dev/zero >&$fd; sleep 0.02; done; sleep 60"
    ),
}


@pytest.mark.parametrize("command", GROW.values(), ids=GROW)
async def test_a_command_that_fills_the_workspace_is_killed(sh: Shell, command: str) -> None:
    answer = await sh.run(command)
    assert answer == f"{TOO_MUCH}\n[Exit code 137]" or answer.endswith(f"{TOO_MUCH}\n[Exit code 137]")


async def test_a_single_file_ends_at_the_limit(sh: Shell) -> None:
    answer = await sh.run("head -c 50000000 /dev/zero > big; echo $?")
    assert "0\n[Exit code 0]" not in answer
    assert (sh.workspace / "big").stat().st_size <= QUOTA


async def test_a_command_that_makes_too_many_files_is_killed(sh: Shell) -> None:
    answer = await sh.run("for i in $(seq 100000); do : > f$i; done")
    assert f"[Killed: the workspace holds more than its {FILES} files; delete some.]" in answer


async def test_folders_cannot_be_too_deep_to_be_measured(sh: Shell) -> None:
    answer = await sh.run("for i in $(seq 150); do mkdir d; cd d; done; sleep 60")
    assert "[Killed: the workspace has folders more than 100 deep.]" in answer


def test_a_folder_cannot_be_closed_to_the_measurement() -> None:
    """As a user without rights: root reads every folder."""
    hide = ["/bin/sh", "-c", "mkdir d; cd d; chmod 300 .; exec sleep 60"]
    words, options = python_as(SERVER_USER, "-I", "-S", str(shell.PROGRAM), str(QUOTA), str(FILES), *hide)
    with folder_of(SERVER_USER) as workspace:
        process = subprocess.Popen(
            words, cwd=workspace, env={"PATH": os.environ["PATH"]}, stdin=-1, stdout=-1, text=True, **options
        )
        assert process.stdout is not None
        assert "[Killed: the workspace has a folder that can't be read" in process.stdout.read()
        process.communicate()
        (workspace / "d").chmod(0o700)


async def test_a_full_workspace_can_be_tidied_up_but_does_not_grow(sh: Shell) -> None:
    (sh.workspace / "old").write_bytes(bytes(2 * QUOTA))
    assert await sh.run("ls") == "old\n[Exit code 0]"
    assert TOO_MUCH in await sh.run("head -c 1000000 /dev/zero > new; sleep 60")
    assert await sh.run("rm old new; echo tidied") == "tidied\n[Exit code 0]"
    assert await sh.run("head -c 1000000 /dev/zero > new; sleep 0.5; echo kept") == "kept\n[Exit code 0]"


async def test_a_link_to_elsewhere_does_not_count(sh: Shell, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(2 * QUOTA))
    (sh.workspace / "link").symlink_to(tmp_path)
    assert await sh.run("sleep 0.5; echo kept") == "kept\n[Exit code 0]"


async def test_two_commands_of_one_workspace_count_together(sh: Shell) -> None:
    half = "for i in $(seq 40); do head -c 100000 /dev/zero > {0}$i; sleep 0.02; done; sleep 60"
    answers = await asyncio.gather(sh.run(half.format("a")), sh.run(half.format("b")))
    assert all(TOO_MUCH in answer for answer in answers)
