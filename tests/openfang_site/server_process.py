"""A server process with a small ASGI application, for tests that talk to it over real sockets."""

import asyncio
import json
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openfang_site.listener import take_port
from openfang_site.server import Headers, Limits, Refusal, serve

ROOT = Path(__file__).resolve().parents[2]
CEILING = 60.0  # seconds; nothing here takes two on a machine that has nothing else to do

MEGABYTE = 2**20


class ServerProcess:
    """A running server: where it listens, and what its application and its hooks have told so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.told: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.expect("ready"))
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.told.put(line.strip())

    def expect(self, word: str) -> str:
        """Wait for an event, skipping others; returns what it carries."""
        while True:
            event, _, detail = self.told.get(timeout=CEILING).partition(" ")
            if event == word:
                return detail

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=CEILING)

    def ask(self, head: str, body: bytes = b"") -> socket.socket:
        """Send a request, given by its first line and headers, on a connection of its own."""
        connection = self.connect()
        connection.sendall(request(head) + body)
        return connection

    def get(self, path: str) -> tuple[str, bytes]:
        with self.ask(f"GET {path} HTTP/1.1\nConnection: close") as connection:
            head, body = split(read_all(connection))
        return head, body

    def peak_megabytes(self) -> float:
        """The most memory that the process has held since it was asked before."""
        return float(self.get("/peak")[1])

    def tells_nothing_more(self) -> bool:
        """Whether the next event is the refusal of what is sent now."""
        with self.ask("nonsense") as connection:
            read_all(connection)
        return self.told.get(timeout=CEILING).startswith("refused 400 - - bad_request ")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Wait for the process to end; returns its exit code and what it wrote to stderr."""
        assert self.process.stderr is not None
        code = self.process.wait(timeout=CEILING)
        return code, self.process.stderr.read()


@contextmanager
def serving(**limits: float) -> Iterator[ServerProcess]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.openfang_site.server_process", json.dumps(limits)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield ServerProcess(process)
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def request(head: str) -> bytes:
    first, *headers = head.split("\n")
    return "\r\n".join([first, "Host: server", *headers, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    received = bytearray()
    while piece := connection.recv(65536):
        received += piece
    return bytes(received)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


def split(response: bytes) -> tuple[str, bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    return head.decode().lower(), body


# The application, in the process of its own


def tell(*words: object) -> None:
    print(*words, flush=True)


class Peak:
    """The most memory held, looked at every 10 ms: the system's own high-water mark can't be reset."""

    def __init__(self) -> None:
        self.pages = 0

    async def watch(self) -> None:
        while True:
            self.pages = max(self.pages, self.now())
            await asyncio.sleep(0.01)

    def now(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def take(self) -> float:
        pages, self.pages = max(self.pages, self.now()), 0
        return pages * resource.getpagesize() / MEGABYTE


class Exchange:
    """One request and its answer, as the paths below use them."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send

    async def start(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, body: bytes, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, body: bytes) -> None:
        await self.start((b"content-length", b"%d" % len(body)))
        await self.send(body, more=False)

    async def messages(self) -> list[bytes]:
        bodies = []
        while True:
            message = await self.receive()
            assert message["type"] == "http.request"
            bodies.append(message["body"])
            if not message["more_body"]:
                return bodies


async def echo(exchange: Exchange) -> None:
    bodies = await exchange.messages()
    await exchange.answer(json.dumps({"messages": len(bodies), "size": sum(map(len, bodies))}).encode())


async def hello(exchange: Exchange) -> None:
    await exchange.answer(b"hello " + exchange.scope["query_string"])


async def status(exchange: Exchange) -> None:
    """Answer with the status that the query names."""
    await exchange.start(status=int(exchange.scope["query_string"]))
    await exchange.send(b"", more=False)


async def peak(exchange: Exchange) -> None:
    await exchange.answer(str(PEAK.take()).encode())


async def patient(exchange: Exchange) -> None:
    """Send one piece, then wait for the client to leave."""
    await exchange.messages()
    await exchange.start()
    await exchange.send(b"first")
    tell((await exchange.receive())["type"])


async def large(exchange: Exchange) -> None:
    """Send as many megabytes as the query says, in pieces of 100 KB."""
    await exchange.start()
    sent, piece = 0, b"x" * 100_000
    tell("sending")
    while sent < int(exchange.scope["query_string"]) * 1_000_000 and exchange.scope["client"]:
        await exchange.send(piece)
        sent += len(piece)
    await exchange.send(b"", more=False)
    await exchange.messages()
    tell((await exchange.receive())["type"])


async def held(exchange: Exchange) -> None:
    """Send a megabyte, as far as the client reads it, then wait for the client to leave."""
    await exchange.messages()
    await exchange.start()
    for _ in range(10):
        await exchange.send(b"x" * 100_000)
    tell((await exchange.receive())["type"])


async def huge(exchange: Exchange) -> None:
    """Send as many megabytes as the query says, in one piece."""
    await exchange.answer(b"x" * int(exchange.scope["query_string"]) * 1_000_000)


async def slow(exchange: Exchange) -> None:
    """Answer only when the process is told to go on, by any request to /go."""
    tell("started")
    try:
        await GO.wait()
        await exchange.answer(b"done")
    except asyncio.CancelledError:
        tell("cancelled")
        raise
    finally:
        await asyncio.sleep(0.05)
        tell("cleaned")


async def slow_stream(exchange: Exchange) -> None:
    await exchange.start()
    await exchange.send(b"first")
    await slow(exchange)


async def late(exchange: Exchange) -> None:
    """Answer in two pieces, the second when the server drains."""
    await exchange.start()
    await exchange.send(b"first")
    await GO.wait()
    await exchange.send(b"second", more=False)


async def go(exchange: Exchange) -> None:
    GO.set()
    await exchange.answer(b"")


async def stubborn(exchange: Exchange) -> None:
    tell("started")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            tell("refused")


async def fails(exchange: Exchange) -> None:
    raise ZeroDivisionError("a fault")


async def fails_late(exchange: Exchange) -> None:
    await exchange.start()
    await exchange.send(b"first")
    raise ZeroDivisionError("a fault")


async def silent(exchange: Exchange) -> None:
    await exchange.messages()


PATHS = {
    f"/{path.__name__}": path
    for path in (
        *(echo, hello, status, peak, patient, large, held, huge, slow, slow_stream, late, go),
        *(stubborn, fails, fails_late, silent),
    )
}


async def websocket(receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message["text"] == "flood":
            tell("sending")
            for _ in range(500):
                await send({"type": "websocket.send", "bytes": b"x" * 1_000_000})
        if message["text"] == "late":
            tell("waiting")
            await GO.wait()
        if message["text"] == "fail":
            raise ZeroDivisionError("a fault")
        await send({"type": "websocket.send", "text": message["text"]})
    tell(message["type"], message["code"])


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await websocket(receive, send)
    else:
        await PATHS[scope["path"].removeprefix("/v1")](Exchange(scope, receive, send))


def main() -> None:
    def on_ready(port: int) -> None:
        watching.append(asyncio.get_running_loop().create_task(PEAK.watch()))
        tell("ready", port)

    def on_drain() -> None:
        tell("draining")
        if "DRAIN_GOES" in os.environ:
            GO.set()

    def on_refusal(refusal: Refusal) -> Headers:
        origin = dict(refusal.headers).get(b"origin", b"")
        read = (refusal.method or "-", refusal.path or "-", refusal.code, refusal.request_id or "-")
        tell("refused", refusal.status, *read, 0 <= refusal.seconds < CEILING)
        return [(b"x-page", origin)] if origin else []

    async def on_stopped() -> None:
        watching[0].cancel()
        tell("stopped")

    watching: list[asyncio.Task[None]] = []
    limits = Limits(**json.loads(sys.argv[1]))
    serve(
        application,
        take_port("127.0.0.1", 0),
        limits=limits,
        on_ready=on_ready,
        on_drain=on_drain,
        on_stopped=on_stopped,
        on_refusal=on_refusal,
    )


PEAK = Peak()
GO = asyncio.Event()

if __name__ == "__main__":
    main()
