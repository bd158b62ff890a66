"""A program of the server's own user finds the server's secrets in no process: not in /proc, and not by debugging."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.private_process import handing_over, scrubbed
from tests.openai_compat.limits_parts import need_redis
from tests.services import Redis
from tests.unprivileged import IS_ROOT, ROOT, SERVER_USER, as_user, folder_of, python_as

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
SECRET = "gsk-of-the-server-0123456789"
# Opens what it can of each process of its user, and prints their environments.
ATTACK = """
import ctypes, os, sys
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.getuid() or int(pid) == os.getpid():
            continue
        with open(f"/proc/{pid}/cmdline") as file:
            print("process", pid, file.read().replace("\\0", " "))
        closed = True
        for name in ("environ", "mem", "maps"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    print("opened", pid, name, file.read().decode(errors="replace") if name == "environ" else "")
                closed = False
            except PermissionError:
                pass
        for name in ("fd", "cwd"):
            try:
                print("opened", pid, name, os.listdir(f"/proc/{pid}/{name}"))
            except PermissionError:
                pass
        if closed and ctypes.CDLL(None).ptrace(16, int(pid), 0, 0) == 0:
            print("attached", pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
"""


@pytest.fixture
def data() -> Iterator[Path]:
    with folder_of(SERVER_USER) as folder:
        yield folder


def attack() -> str:
    """Return what a program of the server's user finds out about that user's processes."""
    command, options = python_as(SERVER_USER, "-c", ATTACK)
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def found_of(pid: int, said: str) -> list[str]:
    return re.findall(rf"^(?:opened|attached) {pid}\b ?(\w*)", said, re.M)


def processes(said: str, words: str) -> list[int]:
    return [int(pid) for pid in re.findall(rf"^process (\d+) .*{re.escape(words)}", said, re.M)]


@contextmanager
def running(data: Path, *words: str, until: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command of ours as the server's user, with a secret in its environment."""
    command, options = python_as(SERVER_USER, str(ROOT / "manage.py"), *words)
    environment = {"PATH": os.environ["PATH"], "HOME": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        env={**environment, "OPENFANG_DATA_DIR": str(data), "GROQ_API_KEY": SECRET, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if until in line:
                break
        else:
            pytest.fail(said)
        yield process
    finally:
        process.terminate()
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=60)


def test_the_attack_works_on_a_process_that_is_not_ours() -> None:
    with subprocess.Popen(["/bin/sleep", "60"], env={"GROQ_API_KEY": SECRET}, **as_user()) as process:
        said = attack()
        process.kill()
    assert {"environ", "mem", "maps", "fd"} <= set(found_of(process.pid, said))
    assert SECRET in said


def test_a_server_is_closed(data: Path) -> None:
    with running(data, "start", "--port", "0", until="Stop it with", OPENFANG_DEFAULT_PROVIDER="groq") as server:
        said = attack()
    assert server.pid in processes(said, "manage.py start")
    assert found_of(server.pid, said) == []
    assert SECRET not in said


@pytest.mark.slow
def test_the_embedded_model_is_closed(data: Path) -> None:
    with running(data, "start", "--port", "0", until="Stop it with", OPENFANG_DEFAULT_PROVIDER="embedded"):
        while not processes(said := attack(), "embedded_process.py"):  # the server warms it up
            pass
        [model] = processes(said, "embedded_process.py")
        while "environ" in found_of(model, said := attack()):  # it has no secret yet, and is about to close itself
            pass
    assert model in processes(said, "embedded_process.py")
    assert found_of(model, said) == []


@pytest.mark.slow
def test_a_supervisor_and_its_workers_are_closed(data: Path, tmp_path: Path) -> None:
    need_redis()
    redis = Redis(tmp_path / "redis").start()
    try:
        env = {"REDIS_URL": redis.new_database(), "OPENFANG_DEFAULT_PROVIDER": "groq"}
        with running(data, "start", "--port", "0", "--workers", "2", until="Stop it with", **env):
            said = attack()
    finally:
        redis.stop()
    ours = processes(said, "manage.py start")
    assert len(ours) == 3
    assert [found_of(pid, said) for pid in ours] == [[], [], []]
    assert SECRET not in said


def test_a_command_is_closed(data: Path) -> None:
    words = ("shell", "-c", "print('here', flush=True); input()")
    with running(data, *words, until="here") as command:
        said = attack()
    assert command.pid in processes(said, "manage.py shell")
    assert found_of(command.pid, said) == []
    assert SECRET not in said


def test_a_worker_gets_its_environment_once_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", SECRET)
    program = (
        "import os; from agents.private_process import begin_private\n"
        "before = dict(os.environ); begin_private()\n"
        "print('GROQ_API_KEY' in before, os.environ['GROQ_API_KEY'], 'OPENFANG_HAND_OVER' in os.environ)"
    )
    with handing_over() as (environment, descriptors):
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment,
            pass_fds=descriptors,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.communicate(timeout=60)[0] == f"False {SECRET} False\n"


def test_programs_of_others_get_nothing_secret_of_the_environment() -> None:
    environment = {"PATH": "/bin", "LC_ALL": "C", "GROQ_API_KEY": "x", "DATABASE_URL": "x", "OPENFANG_API_KEY": "x"}
    assert scrubbed(environment) == {"PATH": "/bin", "LC_ALL": "C"}


@pytest.mark.skipif(not IS_ROOT, reason="needs a server of another user")
def test_a_closed_server_still_tells_its_own_metrics(data: Path) -> None:
    """The server's own figures come from /proc/self, whose files are root's once it is closed."""
    script = (
        "from openfang_site.observability.process import PROCESS\n"
        "print('here', [reading.name for reading in PROCESS if not reading.lines()], flush=True); input()"
    )
    with running(data, "shell", "-c", script, until="here []") as command:
        assert os.stat(f"/proc/{command.pid}").st_uid == SERVER_USER
