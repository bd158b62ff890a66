import socketserver
from email import message_from_bytes, policy
from email.message import EmailMessage

from tests.live.background import Background


class Mailbox(Background):
    """A mail server that takes every letter, and keeps it in `letters`; as much of SMTP as Python's client speaks."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        letters = self.letters

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say(b"220 mailbox")
                for line in self.rfile:
                    verb = line[:4].upper().strip()
                    if verb == b"DATA":
                        self._say(b"354 go on")
                        text = b"".join(iter(self.rfile.readline, b".\r\n"))
                        letters.append(message_from_bytes(text, policy=policy.default))
                    self._say(b"221 bye" if verb == b"QUIT" else b"250 mailbox" if verb == b"EHLO" else b"250 ok")

            def _say(self, words: bytes) -> None:
                self.wfile.write(words + b"\r\n")

        super().__init__(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
