# mypy: allow-untyped-calls
# (Twisted has annotations for half of its methods)

import json
from enum import Enum, auto
from http import HTTPStatus
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

from daphne import http_protocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http, http_headers

from openfang_site.server.flow import Flow
from openfang_site.server.refusals import Headers, Refusal
from openfang_site.server.websocket import WebSocket

if TYPE_CHECKING:
    from openfang_site.server.daemon import Server

# After a refusal the client may go on sending for `linger_seconds`, but not pause for longer than this.
LINGER_QUIET_SECONDS = 5.0
# For the first request of a client that has connected in the moment in which the server stops.
NEWCOMER_SECONDS = 1.0
TIMED_OUT = (408, "request_timeout")
TLS_HANDSHAKE = b"\x16"  # the first byte of one; in HTTP it is a method's, which is a letter
# Twisted knows fewer status codes than the application sends, and would call the others "Unknown Status".
for known in HTTPStatus:
    http.RESPONSES.setdefault(known.value, known.phrase.encode())


def error_body(message: str, kind: str, code: str | None) -> bytes:
    """An error that the server makes itself, in the shape that OpenAI's clients read."""
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def error_headers(body: bytes, request_id: str) -> Headers:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
    ]


def new_request_id() -> str:
    return f"req_{uuid4().hex}"


# Of a request: its method, its target, its headers.
Read = tuple[bytes, bytes, http_headers.Headers]


class Phase(Enum):
    """What a connection is doing; each phase has its own patience."""

    NEW = auto()
    IDLE = auto()
    HEADER = auto()
    BODY = auto()
    ANSWER = auto()
    REFUSED = auto()


class Channel(Flow, http.HTTPChannel):
    """One client's connection, with a deadline for everything the client does."""

    timeOut = None  # Twisted's own timer starts anew at each byte and costs a heap entry a request: see `check`
    factory: "HTTPFactory"
    _command: Any = b""  # of the request that is being read; Twisted deletes them once it is read
    _path: Any = b""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.server = self.factory.server
        self.limits = self.server.limits
        self._enter(Phase.NEW, self.limits.header_seconds)
        self.server.channel_opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.release()
        self.server.channel_closed(self)

    def upgraded(self, websocket: WebSocket) -> None:
        """Leave the connection to the WebSocket that has taken it over, but go on telling it when to wait."""
        websocket.channel = self
        self.server.channel_closed(self)

    def dataReceived(self, data: bytes) -> None:
        if self.phase in (Phase.NEW, Phase.IDLE):
            if data.startswith(TLS_HANDSHAKE):  # it would wait for an answer until its header is overdue
                self.transport.abortConnection()
                return
            self._enter(Phase.HEADER, self.limits.header_seconds)
        elif self.phase is Phase.BODY:
            self._enter(Phase.BODY, self.limits.body_seconds)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        if self.length is not None and self.length > self.limits.body_bytes:
            self.refuse_body()
            return
        self._enter(Phase.BODY, self.limits.body_seconds)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self.phase is not Phase.REFUSED:
            self._enter(Phase.ANSWER, inf)
            super().allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        return bool(super().checkPersistence(request, version)) and not self.server.draining

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        if self.server.draining:
            headers.setRawHeaders(b"connection", [b"close"])
        super().writeHeaders(version, code, reason, headers)

    def requestDone(self, request: Any) -> None:
        if self.server.draining:
            self.persistent = False
        self._enter(Phase.IDLE, self.limits.idle_seconds)
        super().requestDone(request)

    def check(self, now: float) -> None:
        """Cut a client that doesn't read, close one that has overrun its deadline."""
        if self.stalled(now, self.limits.stall_seconds):
            self.transport.abortConnection()
        elif now > self.deadline:
            if self.phase is Phase.BODY:
                self.refuse(TIMED_OUT[0], "The rest of the request body did not arrive.", TIMED_OUT[1])
                return
            if self.phase is Phase.HEADER:
                self.note_refusal(self._reading(), *TIMED_OUT)
                self._enter(Phase.IDLE, 0)
            self.close()

    def close(self) -> None:
        """Send what is written, then close."""
        self.loseConnection()

    def close_unless_busy(self) -> None:
        if self.phase in (Phase.IDLE, Phase.REFUSED):
            self.close()
        elif self.phase is Phase.NEW:
            self._enter(Phase.NEW, NEWCOMER_SECONDS)

    def refuse_body(self) -> None:
        limit = self.limits.body_bytes
        self.refuse(413, f"Request body is larger than {limit} bytes.", "request_too_large")

    def refuse(self, status: int, message: str, code: str) -> None:
        """Answer without the application, and throw away what the client still sends so that it can read the answer."""
        if self.phase is Phase.REFUSED:
            return
        body, request_id = error_body(message, "invalid_request_error", code), new_request_id()
        headers = [(b"connection", b"close"), *error_headers(body, request_id)]
        headers += self.note_refusal(self._reading(), status, code, request_id)
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, http.RESPONSES[status], lines, body))
        self._enter(Phase.REFUSED, LINGER_QUIET_SECONDS)
        self._linger_until = self.server.now() + self.limits.linger_seconds
        self._linger_bytes = self.limits.linger_bytes
        self.setRawMode()
        self.transport.loseWriteConnection()

    def note_refusal(self, read: Read, status: int, code: str, request_id: str = "") -> Headers:
        """Tell of a request that is refused here; returns headers that the answer gets besides its own."""
        method, target, headers = read
        refusal = Refusal(
            method=method.decode("latin-1"),
            path=unquote(target.partition(b"?")[0].decode("latin-1")),
            headers=[(name.lower(), value) for name, values in headers.getAllRawHeaders() for value in values],
            status=status,
            code=code,
            seconds=self.server.now() - self._began,
            request_id=request_id,
        )
        return list(self.server.on_refusal(refusal))

    def _reading(self) -> Read:
        """Return what has been read so far of the request that is being read."""
        headers = self.requests[-1].requestHeaders if self.requests else http_headers.Headers()
        return self._command, self._path, headers

    def rawDataReceived(self, data: bytes) -> None:
        if self.phase is not Phase.REFUSED:
            super().rawDataReceived(data)
            return
        self._linger_bytes -= len(data)
        self.deadline = min(self.server.now() + LINGER_QUIET_SECONDS, self._linger_until)
        if self._linger_bytes < 0:
            self.close()

    def lineLengthExceeded(self, line: bytes) -> None:
        self._receivedHeaderSize += len(line)
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            limits = f"{self.totalHeadersSize} bytes or {self.maxHeaders} lines"
            self.refuse(431, f"The request's headers are larger than {limits}.", "headers_too_large")
            return
        self.refuse(400, "The request is not valid HTTP.", "bad_request")

    def _enter(self, phase: Phase, patience: float) -> None:
        now = self.server.now()
        if phase in (Phase.HEADER, Phase.IDLE):  # a request that was sent ahead begins when the answer before it ends
            self._began = now
        self.phase = phase
        self.deadline = now + patience


class WebRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """One request: its body is bounded while it is read, and its errors are JSON."""

    channel: Channel

    def __init__(self, channel: Channel, queued: object) -> None:
        # Django parses forms itself; Twisted would do it here as well, for every POST.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()  # Twisted writes a body of more than 100 KB to a file: twice the time for 1 MB

    def handleContentChunk(self, data: bytes) -> None:
        if self.content.tell() + len(data) > self.channel.limits.body_bytes:
            self.content = BytesIO()
            self.channel.refuse_body()
        else:
            self.content.write(data)

    def process(self) -> Any:
        # Daphne takes the path before the application from it. Proxies pass it on for anyone, so that a request for
        # /x/admin/ would reach /admin/ past a rule of theirs. OPENFANG_ROOT_PATH is the setting for it.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        transport = self.transport
        processed = super().process()
        if self.transport is None:  # Daphne has handed it to a WebSocket
            self.channel.upgraded(transport.protocol)
        elif self.application_queue:
            self.content.close()  # the application has the body now; an answer may stream for minutes
        return processed

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        kind = "invalid_request_error" if status < 500 else "api_error"
        code = status_text.decode().lower().replace(" ", "_")
        content, request_id = error_body(body.rstrip(".") + ".", kind, code), new_request_id()
        headers = error_headers(content, request_id)
        if self.application_queue is None:  # the application does not know of it
            read = (self.method, self.path, self.requestHeaders)
            headers += self.channel.note_refusal(read, status, code, request_id)
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})

    def application_ended(self) -> None:
        """End an answer that the application left open: with an error if nothing was sent, else cut short."""
        if self._response_started:
            self.channel.close()
        elif self.server.draining:
            self.basic_error(503, b"Service Unavailable", "The server is stopping")
        else:
            self.basic_error(500, b"Internal Server Error", "The server failed to answer this request")


class HTTPFactory(http.HTTPFactory):
    """Makes a `Channel` for each connection."""

    def __init__(self, server: "Server") -> None:
        super().__init__()
        self.server = server

    def buildProtocol(self, addr: Any) -> Any:
        channel: Any = Channel()
        channel.factory = self
        channel.requestFactory = WebRequest
        return channel

    def log(self, request: Any) -> None:
        """Twisted would format an access log line for each request and throw it away."""
