import http.client
import select
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.live.background import Background

HOP_BY_HOP = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length"}


class Proxy(Background):
    """An HTTP proxy that knows where the hosts of a test are; no other resolver knows their names.

    `asked` has the method and the target of every request, `credentials` what each sent for the proxy itself.
    """

    def __init__(self, **ports: int) -> None:
        self.ports = {name.replace("_", "."): port for name, port in ports.items()}
        self.asked: list[tuple[str, str]] = []
        self.credentials: list[str | None] = []
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"proxy": self})))
        self.url = f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def forward(self) -> None:
        target = urlsplit(self.path)
        if self._port_of(target.hostname) is None:
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = f"{target.path}?{target.query}" if target.query else target.path
        upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.ports[target.hostname or ""], timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        upstream.request(self.command, path, body or None, headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
        upstream.close()

    do_GET = do_POST = do_DELETE = do_HEAD = forward

    def do_CONNECT(self) -> None:
        port = self._port_of(self.path.partition(":")[0])
        if port is None:
            return
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            ways = {self.connection: upstream, upstream: self.connection}
            while True:
                for readable in select.select(list(ways), [], [], 60)[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    ways[readable].sendall(data)

    def _port_of(self, host: str | None) -> int | None:
        self.proxy.asked.append((self.command, self.path))
        self.proxy.credentials.append(self.headers["Proxy-Authorization"])
        port = self.proxy.ports.get(host or "")
        if port is None:
            self.send_error(502)
        return port

    def log_message(self, *_: object) -> None:
        pass
