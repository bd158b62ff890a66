import asyncio
import logging
import shutil
import sys
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools import sandbox
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.workspace import MAX_ENTRIES, QUOTA, Workspace, in_workspace_thread

PROGRAM = Path(__file__).with_name("shell_process.py")
DEFAULT_SECONDS = 60
MAX_SECONDS = 300
MAX_COMMAND = 32_000  # characters; Linux takes 128 KiB in one argument
HEAD = 10_000  # bytes kept of the beginning of a long output, and of its end
TAIL = 18_000
END_SECONDS = 4  # the watching process gives up after 3

logger = logging.getLogger(__name__)


async def shell(
    context: RunContext,
    command: Annotated[str, Meta(description="The command, as typed into bash.", max_length=MAX_COMMAND)],
    timeout_seconds: Annotated[
        int, Meta(description="When the command is stopped.", ge=1, le=MAX_SECONDS)
    ] = DEFAULT_SECONDS,
) -> str:
    """Run a shell command in the workspace and return its output (stdout and stderr together) and exit code.

    Each call is a shell of its own, begun in the workspace: `cd` and variables do not last, and what still runs in the
    background at the end is ended. There is no terminal and no input. Of a long output the middle is cut.
    """
    kind = await in_workspace_thread(sandbox.kind)
    if sandbox.are_commands_refused():
        raise ToolFailed(sandbox.describe())
    return await run(command, context.workspace, timeout_seconds, kind)


# Longer than a command may take: it is ended by its own time-out, which keeps the output.
tool = FunctionTool(shell, timeout=MAX_SECONDS + 10)


async def run(command: str, workspace: Path, seconds: float, kind: sandbox.Kind | None) -> str:
    """Run the command and everything that it starts to the end, which comes at the latest when this is cancelled.

    Without a kind of sandbox it has the rights of the server's user.
    """
    if "\0" in command:
        raise ToolFailed("A command can't hold a NUL character.")
    await in_workspace_thread(Workspace, workspace)
    transport, running = await _start(command, workspace, kind)
    try:
        async with asyncio.timeout(seconds):
            await running.closed.wait()
        ending = f"[Exit code {transport.get_returncode()}]"
    except TimeoutError:
        ending = f"[Stopped: the time limit of {seconds:g} s was reached.]"
    finally:
        await _end(transport, running)
    return f"{running.output.text()}\n{ending}".lstrip()


class _Running(asyncio.SubprocessProtocol):
    """Collects what a command prints; `closed` is set when the process that watches it has ended."""

    def __init__(self) -> None:
        self.output = Output()
        self.closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output.add(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


async def _start(
    command: str, workspace: Path, kind: sandbox.Kind | None
) -> tuple[asyncio.SubprocessTransport, _Running]:
    shell = shutil.which("bash", path=sandbox.PATH) or "/bin/sh"
    argv = [shell, "-c", "--", command]
    argv = sandbox.sandboxed(argv, workspace, kind) if kind else sandbox.enclosed(argv)
    home = sandbox.WORKSPACE if kind is sandbox.Kind.BUBBLEWRAP else str(workspace)
    environment = {"PATH": sandbox.PATH, "HOME": home, "LANG": "C.UTF-8"}  # and nothing of the server's
    if kind is sandbox.Kind.LANDLOCK:
        environment["TMPDIR"] = home  # it has no private /tmp
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            _Running,
            sys.executable,
            *("-I", "-S", str(PROGRAM), str(QUOTA), str(MAX_ENTRIES), *argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=workspace,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"The shell does not start: {error.strerror}.") from None


async def _end(transport: asyncio.SubprocessTransport, running: _Running) -> None:
    """End the command by closing the input of the process that watches it; that one ends when all else has."""
    if pipe := transport.get_pipe_transport(0):
        pipe.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await running.closed.wait()
    except TimeoutError:
        logger.warning("A shell command left processes behind that could not be ended.")
    transport.close()


class Output:
    """What a command printed: all of it if it is short, else its beginning and its end."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        room = HEAD - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:]
        del self._tail[:-TAIL]

    def text(self) -> str:
        cut = self._size - len(self._head) - len(self._tail)
        note = f"\n[... {cut:,} bytes are cut here ...]\n".encode() if cut else b""
        return (self._head + note + self._tail).decode(errors="replace").rstrip("\n")
