import sys
import time
from collections.abc import Callable
from typing import IO

OFTEN = 0.1  # seconds between two looks of a person at the line


class Progress:
    """Tells of long work: each step in a line and, on a terminal, how far it is. Results go elsewhere."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._shows = sys.stderr.isatty()
        self._shown_at = 0.0

    def step(self, text: str) -> None:
        self._say(text)

    def share(self, done: int, total: int) -> None:
        if self._shows and total and (done >= total or time.monotonic() - self._shown_at > OFTEN):
            self._shown_at = time.monotonic()
            sys.stderr.write(f"\r  {done * 100 // total} %" + ("\n" if done >= total else ""))
            sys.stderr.flush()

    def reading(self, file: IO[bytes], total: int) -> "Reading":
        return Reading(file, total, self)


class Reading:
    """A file that tells how much of it has been read."""

    def __init__(self, file: IO[bytes], total: int, progress: Progress) -> None:
        self._file, self._total, self._progress = file, total, progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress.share(self._file.tell(), self._total)
        return data
