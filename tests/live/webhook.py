from http.server import BaseHTTPRequestHandler, HTTPServer

from tests.live.background import Background


class Webhook(Background):
    """A receiver of alerts that takes each at the second try only."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = 204 if any(body == earlier for _, earlier in received) else 503
                received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.secret = "the secret of the webhook"
        super().__init__(HTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}/alerts"
