"""An HTTP server with sessions, as servers before the protocol of 2026 have them, which can forget them."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from tests.live.background import Background


class SessionServer(Background):
    """with SessionServer() as server: server.url; server.forget() ends all sessions; server.authorization was sent."""

    def __init__(self, *, status: int = 200) -> None:
        self.sessions: set[str] = set()
        self.greetings = 0
        self.authorization: str | None = None
        self.status = status
        self.location = ""  # where a status of 307 sends the caller
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"served": self})))
        self.url = f"http://127.0.0.1:{self.port}/mcp"

    def forget(self) -> None:
        self.sessions.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: SessionServer

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.served.authorization = self.headers["Authorization"]
        if self.served.status != 200:
            self.answer(self.served.status)
        elif message["method"] == "initialize":
            self.greet(message)
        elif self.headers["Mcp-Session-Id"] not in self.served.sessions:
            error = {"code": -32000, "message": "There is no such session."}
            self.answer(404 if self.headers["Mcp-Session-Id"] else 400, {"jsonrpc": "2.0", "id": None, "error": error})
        elif "id" not in message:
            self.answer(202)
        else:
            result = {"content": [{"type": "text", "text": f"session {self.served.greetings}"}]}
            self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})

    def do_GET(self) -> None:
        self.answer(405)

    def do_DELETE(self) -> None:
        self.served.sessions.discard(self.headers["Mcp-Session-Id"])
        self.answer(200)

    def greet(self, message: dict[str, Any]) -> None:
        self.served.greetings += 1
        session = uuid4().hex
        self.served.sessions.add(session)
        info = {"name": "sessions", "version": "1"}
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, session)

    def answer(self, status: int, body: dict[str, Any] | None = None, session: str = "") -> None:
        content = json.dumps(body).encode() if body else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.served.location:
            self.send_header("Location", self.served.location)
        if session:
            self.send_header("Mcp-Session-Id", session)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass
