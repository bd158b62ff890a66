"""The shell's sandbox where bubblewrap does not work, as in a container: Landlock, against a hostile command."""

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from agents.tools import sandbox, shell
from agents.tools.landlock_process import CALLS
from agents.tools.sandbox import Kind
from tests.agents.tool_parts import Caller
from tests.unprivileged import SERVER_USER, as_user, folder_of, python_as

pytestmark = pytest.mark.skipif(sandbox.landlock_refusal() is not None, reason=str(sandbox.landlock_refusal()))
SECRET = "sk-of-the-server-alone"


class Shell(Caller):
    async def run(self, command: str, seconds: float = 60) -> str:
        return await shell.run(command, self.workspace, seconds, Kind.LANDLOCK)


@pytest.fixture
def sh(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


async def test_a_command_works_in_the_workspace(sh: Shell) -> None:
    assert await sh.run("echo made > a; mkdir d; mv a d/b; cat d/b; ln d/b c; rm -r d; ls; pwd") == (
        f"made\nc\n{sh.workspace}\n[Exit code 0]"
    )
    assert await sh.run("python3 -c 'import tempfile; print(tempfile.TemporaryFile().write(b\"x\"))'") == (
        "1\n[Exit code 0]"
    )
    assert await sh.run("echo x > script; chmod +x script; cat < <(echo y) | sort; git init -q . 2> /dev/null; :") == (
        "y\n[Exit code 0]"
    )


async def test_files_of_the_server_cannot_be_read_or_changed(sh: Shell) -> None:
    before = sh.secret.read_bytes()
    (sh.workspace / "link").symlink_to(sh.secret)
    answer = await sh.run(
        f"cat {sh.secret} link /etc/passwd; ls / /home /root {sh.workspace.parent}; ln {sh.secret} hard; "
        f"echo x > {sh.secret}; truncate -s 0 {sh.secret}; rm {sh.secret}; mv {sh.secret} .; "
        f"touch /tmp/openfang-x /dev/shm/openfang-x; cat /proc/{os.getpid()}/cmdline"
    )
    assert "SECRET" not in answer
    assert "root:" not in answer
    assert answer.count("Permission denied") + answer.count("Invalid cross-device link") >= 12
    assert sh.secret.read_bytes() == before


async def test_devices_work(sh: Shell) -> None:
    assert await sh.run("head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom > /dev/null") == "3\n[Exit code 0]"


@pytest.mark.parametrize("allowed", [False, True])
async def test_there_is_a_network_only_if_it_is_allowed(sh: Shell, settings, allowed: bool) -> None:
    settings.OPENFANG_SHELL_NETWORK = allowed
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await sh.run(f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2> /dev/null && echo connected")
    assert ("connected" in answer) is allowed
    udp = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print('made')"
    assert ("made" in await sh.run(f'python3 -c "{udp}"')) is allowed


@pytest.mark.parametrize("allowed", [False, True])
async def test_services_of_this_machine_cannot_be_reached_over_their_sockets(
    sh: Shell, settings, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    settings.OPENFANG_SHELL_NETWORK = allowed
    monkeypatch.chdir(sh.workspace)  # the path of a socket has at most 107 characters
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), "service")
    async with server:
        connect = "import socket; socket.socket(socket.AF_UNIX).connect('service'); print('connected')"
        assert "Operation not permitted" in await sh.run(f'python3 -c "{connect}" 2>&1 | tail -1')


async def test_there_are_no_further_namespaces_and_no_privileges(sh: Shell) -> None:
    assert "[Exit code 1]" in await sh.run("unshare --user true 2> /dev/null")
    clone, new_user = CALLS[platform.machine()][2], 0x10000011
    namespace = f"import ctypes; print(ctypes.CDLL(None).syscall({clone}, {new_user}, 0, 0, 0, 0))"
    assert await sh.run(f'python3 -c "{namespace}"') == "-1\n[Exit code 0]"
    bounds = (
        "import ctypes; c = ctypes.CDLL(None).prctl; print(c(39, 0, 0, 0, 0), [n for n in range(41) if c(23, n) == 1])"
    )
    capabilities = "[]" if os.geteuid() == 0 else ""  # others have none that they could use
    assert f"1 {capabilities}" in await sh.run(f'python3 -c "{bounds}"')
    assert "Operation not permitted" in await sh.run("touch file; chown 12345 file")


@pytest.mark.parametrize("way", ["sandbox", "enclosed", "bare"])
def test_other_processes_of_its_user_cannot_be_read_or_ended(way: str) -> None:
    """As a user without rights, who can otherwise open every process of that user."""
    with folder_of(SERVER_USER) as folder, subprocess.Popen(["/bin/sleep", "60"], env={"K": SECRET}, **as_user()) as it:
        attack = ["/bin/sh", "-c", f"cat /proc/{it.pid}/environ /proc/{it.pid}/maps; kill -9 {it.pid}; echo lives"]
        if way == "sandbox":
            attack = sandbox.sandboxed(attack, folder, Kind.LANDLOCK)
        elif way == "enclosed":
            attack = sandbox.enclosed(attack)
        else:
            attack = [sys.executable, "-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])", *attack]
        words, options = python_as(SERVER_USER, *attack[1:])
        done = subprocess.run(
            words, env={"PATH": os.environ["PATH"]}, cwd=folder, capture_output=True, text=True, check=False, **options
        )
        alive = it.poll() is None
        it.kill()
    assert alive is (way != "bare")
    assert (SECRET in done.stdout) is (way == "bare")
    assert (done.stderr.count("Permission denied") == 2) is (way != "bare")
    assert done.stdout.endswith("lives\n")


def test_a_kernel_without_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = sandbox.LANDLOCK.read_text().replace("SCOPED_ABI = 6", "SCOPED_ABI = 99")
    (tmp_path / "old.py").write_text(old)
    monkeypatch.setattr(sandbox, "LANDLOCK", tmp_path / "old.py")
    sandbox.landlock_refusal.cache_clear()
    try:
        assert sandbox.landlock_refusal() == (
            "Landlock does not work here: Landlock needs Linux 6.12 or later, on x86-64 or arm64"
        )
    finally:
        sandbox.landlock_refusal.cache_clear()


def test_the_administrator_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "bubblewrap_refusal", lambda: "bubblewrap is not installed")
    assert sandbox.describe().startswith("Commands run in a sandbox (Landlock): they can write only to the agent's")
