"""Programs that serve MCP tools, and what they start, end with the connection and with this process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools.mcp import McpPool, McpServerSpec
from agents.tools.mcp.refresh import _tools_of as tools_of
from tests.agents.mcp_parts import PLAIN, call, patience, program, runs, until

__all__ = ["patience"]  # a fixture
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.usefixtures("patience"),
]
REPOSITORY = Path(__file__).parents[2]
# Starts a program that ends neither by SIGTERM nor with its parent, tells both process ids, and serves on.
WITH_A_CHILD = f"""
import subprocess, sys
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
started = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
started.stdout.readline()
with open(sys.argv.pop(), "w") as told:
    told.write(f"{{started.pid}}")
sys.argv = sys.argv[:1]
sys.path.insert(0, {str(Path(PLAIN).parent)!r})
import plain
plain.main()
"""
OWNER = """
import asyncio, sys
import django
django.setup()
from agents.tools.mcp import McpPool, session
from tests.agents.mcp_parts import call, program
session.WAIT_SECONDS = 60.0

async def own():
    pool = McpPool()
    print(await call(pool, program("-c", sys.argv[1], sys.argv[2]), "tool.0"), flush=True)
    await asyncio.Event().wait()

asyncio.run(own())
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "child"


@pytest.fixture
def owner(told: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", OWNER, WITH_A_CHILD, str(told)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "openfang_site.settings"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, env=environment) as owner:
        yield owner
        owner.kill()


async def test_closing_the_pool_ends_a_program_and_what_it_started(told):
    pool = McpPool()
    server = int(await call(pool, program("-c", WITH_A_CHILD, str(told)), "tool.0"))
    child = int(told.read_text())
    assert runs(server)
    assert runs(child)
    await pool.aclose()
    await until(lambda: not runs(server) and not runs(child))


async def test_the_end_of_a_program_ends_what_it_started(told):
    pool = McpPool()
    server = int(await call(pool, program("-c", WITH_A_CHILD, str(told)), "tool.0"))
    os.kill(server, signal.SIGKILL)
    await until(lambda: not runs(int(told.read_text())))
    await pool.aclose()


async def test_programs_end_with_a_server_that_is_killed(told, owner):
    assert owner.stdout is not None
    server, child = int(owner.stdout.readline()), int(told.read_text())
    assert runs(server)
    owner.send_signal(signal.SIGKILL)
    await until(lambda: not runs(server) and not runs(child))


async def test_closing_during_the_start_leaves_no_program(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.tools.mcp.session.WAIT_SECONDS", 0.0)
    pool, note = McpPool(), tmp_path / "pid"
    deaf = f"import os, sys; open({str(note)!r}, 'w').write(str(os.getpid())); sys.stdin.read()"
    with pytest.raises(ToolFailed, match="still starting"):
        await call(pool, program("-c", deaf), "tool.0")
    await until(lambda: note.exists() and note.read_text() != "")
    await pool.aclose()
    await until(lambda: not runs(int(note.read_text())))


def test_a_server_without_mcp_servers_does_not_pay_for_the_library():
    program = "import django, sys; django.setup(); import agents.runs, agents.tools.mcp; print('mcp' in sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "openfang_site.settings"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("enclosed", [True, False])
async def test_a_program_cannot_end_other_processes_of_its_user(settings, enclosed):
    """Unless the operator wants it to. What it can read of them is tested with `sandbox.enclosed`, as no root."""
    settings.OPENFANG_ENCLOSE_PROGRAMS = enclosed
    attack = f"kill -0 {os.getpid()} && echo reached >&2; exit 1"
    server = McpServerSpec(id=1, name="spy", transport="stdio", command="/bin/sh", args=("-c", attack))
    with pytest.raises(ToolFailed) as refusal:
        await tools_of(server)
    assert ("reached" in str(refusal.value)) is not enclosed
    assert ("Operation not permitted" in str(refusal.value)) is enclosed
