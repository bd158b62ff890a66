"""A program at a terminal, typed at and read from as a person does."""

import errno
import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from types import TracebackType
from typing import Self

SECONDS = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            env={**environment, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # So that its Ctrl-C is a signal to the program.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- it calls the system alone
        )
        os.close(theirs)
        self._unread = ""
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, text: str) -> str:
        """Return what is shown up to and with a text, as a person sees it."""
        deadline = time.monotonic() + SECONDS
        while text not in self.plain:
            assert self._read(deadline - time.monotonic()), f"{text!r} is not shown:\n{self.plain}"
        end = self.plain.index(text) + len(text)
        shown, self._unread = self.plain[:end], self.plain[end:]
        return shown

    def insist(self, key: str, until: str) -> str:
        """Press a key until a text is shown: one that comes just before a program waits for keys may be missed."""
        deadline = time.monotonic() + SECONDS
        while until not in self.plain:
            assert time.monotonic() < deadline, f"{until!r} is not shown:\n{self.plain}"
            self.type(key)
            # A program that is only slow must not get a second one, at its next prompt.
            again = time.monotonic() + 10
            while until not in self.plain and (left := again - time.monotonic()) > 0:
                self._read(left)
        return self.read_until(until)

    def read_to_end(self) -> str:
        deadline = time.monotonic() + SECONDS
        while self._read(deadline - time.monotonic()):
            pass
        return self.plain

    @property
    def plain(self) -> str:
        return ESCAPES.sub("", self._unread).replace("\r", "")

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self._ours, 65536).decode(errors="replace")
        except OSError as error:  # Linux's word for the end of a terminal
            assert error.errno == errno.EIO
            return False
        self._unread += data
        self.seen += data
        return bool(data)
