"""The shell tool, in the sandbox where there is one and without it: real commands, real processes."""

import asyncio
import os
import sys
import tracemalloc
import uuid
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import sandbox, shell
from tests.agents.tool_parts import Caller
from tests.clocks import loop_clock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
needs_sandbox = pytest.mark.skipif(sandbox.bubblewrap_refusal() is not None, reason=str(sandbox.bubblewrap_refusal()))
BUBBLEWRAP = sandbox.Kind.BUBBLEWRAP
SECRET = "sk-of-the-server-alone"


class Shell(Caller):
    def __init__(self, folder: Path, kind: sandbox.Kind | None) -> None:
        super().__init__(folder)
        self.kind = kind

    async def run(self, command: str, seconds: float = 60) -> str:
        return await shell.run(command, self.workspace, seconds, self.kind)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the end of what was killed as long as that takes on a busy machine."""
    monkeypatch.setattr(shell, "END_SECONDS", 60)


@pytest.fixture(params=[pytest.param(BUBBLEWRAP, marks=needs_sandbox, id="sandbox"), pytest.param(None, id="bare")])
def sh(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return Shell(tmp_path, request.param)


@pytest.fixture
def confined(tmp_path: Path) -> Shell:
    return Shell(tmp_path, BUBBLEWRAP)


def marked_processes(mark: str) -> list[int]:
    """Return the processes whose command line holds `mark`."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                command = Path("/proc", name, "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if mark.encode() in command:
                found.append(int(name))
    return found


@pytest.fixture
def mark() -> str:
    return f"mark-{uuid.uuid4()}"


async def started(sh: Shell, script: str) -> "asyncio.Task[str]":
    """Start a command that holds a FIFO open for writing once it is under way, and wait until it is."""
    os.mkfifo(sh.workspace / "ready")
    running = asyncio.create_task(sh.run(script))
    await asyncio.to_thread((sh.workspace / "ready").read_bytes)
    return running


async def test_output_and_exit_code_are_told(sh):
    assert await sh.run("echo out; echo err >&2; exit 3") == "out\nerr\n[Exit code 3]"
    assert await sh.run("true") == "[Exit code 0]"
    assert await sh.run("kill -9 $$") == "[Exit code 137]"


async def test_a_command_works_in_the_workspace(sh):
    (sh.workspace / "in.txt").write_text("given")
    assert await sh.run('cat in.txt; echo made > "$HOME/out.txt"') == "given\n[Exit code 0]"
    assert (sh.workspace / "out.txt").read_text() == "made\n"


async def test_the_tool_runs_where_the_sandbox_allows(tmp_path, settings):
    settings.OPENFANG_SHELL_UNSANDBOXED = True
    caller = Caller(tmp_path)
    expected = sandbox.WORKSPACE if sandbox.kind() is BUBBLEWRAP else str(caller.workspace)
    assert await caller.call(shell.tool, command="pwd") == f"{expected}\n[Exit code 0]"


@pytest.mark.parametrize("seconds", [0, 301])
async def test_a_time_limit_out_of_range_is_refused(tmp_path, seconds):
    with pytest.raises(ToolFailed, match="timeout_seconds"):
        await Caller(tmp_path).call(shell.tool, command="true", timeout_seconds=seconds)


@pytest.mark.parametrize("name", ["a b", "it's", 'say "hi"', "$(touch hacked)", "`touch hacked`", "-rf", "a;b", "ü*?"])
async def test_a_workspace_with_an_odd_name_is_nothing_but_a_name(tmp_path, name):
    for number, kind in enumerate({None, sandbox.kind()}):
        workspace = tmp_path / str(number) / name
        workspace.mkdir(parents=True)
        assert await shell.run("echo x > y; ls", workspace, 60, kind) == "y\n[Exit code 0]"
        assert [path.name for path in workspace.iterdir()] == ["y"]


@pytest.mark.parametrize("command", ["-c", "--version", "-i"])
async def test_a_command_is_never_an_option_of_the_shell(sh, command):
    assert "[Exit code 127]" in await sh.run(command)


async def test_quotes_and_line_ends_reach_the_shell_as_they_are(sh):
    assert await sh.run("printf '%s|' \"a b\" 'c\"d' $'e\\tf'\ncat <<'END'\n$HOME `x`\nEND") == (
        'a b|c"d|e\tf|$HOME `x`\n[Exit code 0]'
    )


async def test_a_nul_is_refused(sh):
    with pytest.raises(ToolFailed, match="NUL"):
        await sh.run("echo a\0b")


async def test_nothing_of_the_servers_environment_is_there(sh, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    answer = await sh.run("env; tr '\\0' '\\n' < /proc/self/environ; tr '\\0' '\\n' < /proc/$PPID/environ")
    assert SECRET not in answer
    names = {line.split("=")[0] for line in answer.split("\n") if "=" in line}
    assert names <= {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}


async def test_there_is_no_input_and_no_terminal(sh):
    assert await sh.run("cat; tty; (: < /dev/tty) 2> /dev/null || echo none") == "not a tty\nnone\n[Exit code 0]"


async def test_a_command_that_takes_too_long_is_stopped_and_what_it_said_is_kept(sh, mark):
    running = await started(sh, f"echo begun; echo > ready; sleep 600; echo {mark}")
    with loop_clock() as forward:
        forward(60)
        answer = await running
    assert answer == "begun\n[Stopped: the time limit of 60 s was reached.]"
    assert marked_processes(mark) == []


async def test_what_is_left_in_the_background_is_gone_after_the_call(sh, mark):
    background = f"bash -c 'sleep 600; : {mark}'"
    command = f"{background} & nohup {background} & setsid {background} & (setsid {background} &) ; echo done"
    assert "done\n[Exit code 0]" in await sh.run(f"{command} 2> /dev/null")
    assert marked_processes(mark) == []


async def test_a_cancelled_command_is_gone(sh, mark):
    sleeper = f"bash -c 'sleep 600; : {mark}'"
    running = await started(sh, f"setsid nohup {sleeper} & {sleeper} & echo > ready; wait")
    assert len(marked_processes(mark)) >= 2
    running.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait([running])
    assert running.cancelled()
    assert marked_processes(mark) == []


async def test_a_command_ends_with_the_server(sh, mark, tmp_path):
    os.mkfifo(sh.workspace / "ready")
    command = f"setsid bash -c 'sleep 600; : {mark}' & echo > ready; wait"
    program = (
        "import asyncio, sys; from pathlib import Path; import django; django.setup()\n"
        "from agents.tools import shell\n"
        "kind = shell.sandbox.Kind[sys.argv[3]] if sys.argv[3] else None\n"
        "asyncio.run(shell.run(sys.argv[1], Path(sys.argv[2]), 300, kind))"
    )
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, command, str(sh.workspace), sh.kind.name if sh.kind else ""),
        cwd=Path(__file__).parents[2],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "openfang_site.settings"},
    )
    await asyncio.to_thread((sh.workspace / "ready").read_bytes)
    pids = [pid for pid in marked_processes(mark) if pid != server.pid]
    watched = [os.pidfd_open(pid) for pid in pids]
    server.kill()
    await server.wait()
    async with asyncio.timeout(60):
        for descriptor in watched:
            await ended(descriptor)
    assert marked_processes(mark) == []


async def ended(pidfd: int) -> None:
    """Wait until the process behind a descriptor has ended."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, over.set)
    await over.wait()
    loop.remove_reader(pidfd)
    os.close(pidfd)


async def test_a_flood_of_output_is_cut_in_the_middle_and_bounded_in_memory(sh):
    tracemalloc.start()
    try:
        answer = await sh.run("echo FIRST; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo LAST; exit 1")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.startswith("FIRST\nxxx")
    assert answer.endswith("x\nLAST\n[Exit code 1]")
    assert f"[... {50_000_012 - 28_000:,} bytes are cut here ...]" in answer
    assert len(answer) <= shell.tool.max_result
    assert peak < 5_000_000


async def test_processes_are_bounded(sh):
    # Not a real bomb, which would be this machine's end if the limit did not hold: it stops at 1000.
    answer = await sh.run("for i in $(seq 1000); do sleep 60 & done 2> /dev/null; echo all 1000 are started", 20)
    assert "all 1000 are started" not in answer


async def test_memory_is_bounded_for_one_process(sh):
    answer = await sh.run("python3 -c 'x = bytes(3_000_000_000)' 2>&1 | tail -1")
    assert "MemoryError" in answer


async def test_a_file_does_not_grow_without_end(sh):
    await sh.run("head -c 150000000 /dev/zero > big")
    assert (sh.workspace / "big").stat().st_size == 100_000_000


@needs_sandbox
async def test_the_sandbox_shows_nothing_of_the_server(confined):
    answer = await confined.run(
        f"cat {confined.secret} /etc/passwd /etc/shadow; ls /home /root /var /proc/{os.getpid()}"
    )
    assert "SECRET" not in answer
    assert "root:" not in answer
    assert answer.count("No such file or directory") == 7
    assert await confined.run("ls -d /proc/[0-9]* | wc -l | tr -d ' '") in {f"{n}\n[Exit code 0]" for n in range(2, 9)}


@needs_sandbox
async def test_in_the_sandbox_only_the_workspace_and_tmp_can_be_written(confined):
    answer = await confined.run(
        "for f in /x /usr/x /etc/x /dev/x /proc/x /tmp/x x; do (echo > $f) 2> /dev/null && echo $f; done"
    )
    assert answer == "/tmp/x\nx\n[Exit code 0]"
    assert await confined.run("ls /tmp") == "[Exit code 0]"


@needs_sandbox
async def test_in_the_sandbox_a_link_or_a_hard_link_leads_nowhere(confined):
    (confined.workspace / "link").symlink_to(confined.secret)
    assert "SECRET" not in await confined.run("cat link")
    assert "[Exit code 1]" in await confined.run("ln /usr/bin/env hard 2> /dev/null")


@needs_sandbox
async def test_in_the_sandbox_memory_files_are_bounded(confined):
    answer = await confined.run("cat /dev/zero | head -c 90000000 > /tmp/a && head -c 90000000 /dev/zero > /tmp/b")
    assert "No space left on device" in answer
    assert "No space left on device" in await confined.run(
        "head -c 90000000 /dev/zero > /dev/shm/a && head -c 90000000 /dev/zero > /dev/shm/b"
    )


@needs_sandbox
@pytest.mark.parametrize("allowed", [False, True])
async def test_in_the_sandbox_there_is_a_network_only_if_it_is_allowed(confined, settings, allowed):
    settings.OPENFANG_SHELL_NETWORK = allowed
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await confined.run(f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2> /dev/null && echo connected")
    assert ("connected" in answer) is allowed


@needs_sandbox
async def test_in_the_sandbox_there_are_no_privileges_and_no_further_namespaces(confined):
    assert await confined.run("grep CapEff /proc/self/status | tr -d '\\t'") == f"CapEff:{'0' * 16}\n[Exit code 0]"
    assert "[Exit code 1]" in await confined.run("unshare --user true 2> /dev/null")


@needs_sandbox
def test_the_administrator_is_told_of_the_sandbox(settings):
    assert "in a sandbox (bubblewrap)" in sandbox.describe()
    assert "no network" in sandbox.describe()
    settings.OPENFANG_SHELL_NETWORK = True
    assert "the server's network" in sandbox.describe()


@pytest.fixture
def forgotten():
    """Let the sandbox be looked for again, in this test and after it."""
    sandbox.bubblewrap_refusal.cache_clear()
    yield
    sandbox.bubblewrap_refusal.cache_clear()


@pytest.fixture
def without_sandbox(forgotten, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sandbox, "landlock_refusal", lambda: "Landlock does not work here")


async def test_without_a_sandbox_commands_are_refused(without_sandbox, tmp_path):
    caller = Caller(tmp_path)
    refusal = r"^Commands are refused: no sandbox works here \(bubblewrap is not installed; Landlock "
    with pytest.raises(ToolFailed, match=refusal):
        await caller.call(shell.tool, command="touch made")
    assert not (caller.workspace / "made").exists()
    assert "OPENFANG_SHELL_UNSANDBOXED=1" in sandbox.describe()


async def test_without_a_sandbox_commands_run_if_the_operator_says_so(without_sandbox, settings, tmp_path):
    settings.OPENFANG_SHELL_UNSANDBOXED = True
    assert await Caller(tmp_path).call(shell.tool, command="echo here") == "here\n[Exit code 0]"
    assert "WITHOUT a sandbox (bubblewrap is not installed" in sandbox.describe()


def test_a_bubblewrap_that_does_not_work_is_not_relied_on(forgotten, monkeypatch, tmp_path):
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'No permissions to create a new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox.kind() is not BUBBLEWRAP
    monkeypatch.setattr(sandbox, "landlock_refusal", lambda: "Landlock does not work here")
    assert "bubblewrap does not work here: No permissions to create a new namespace" in sandbox.describe()


def test_a_bubblewrap_that_is_slow_to_start_is_still_relied_on(forgotten, monkeypatch, tmp_path):
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sandbox, "TRY_SECONDS", 0.1)
    assert sandbox.kind() is BUBBLEWRAP
