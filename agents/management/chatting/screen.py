import os
import sys
from typing import TextIO

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Screen:
    """Where an answer is written as it comes: in a terminal with what goes on beside it, dimmed; else alone."""

    def __init__(self, out: TextIO, *, beside: bool) -> None:
        self._out = out
        self._beside = beside
        self._colours = beside and out.isatty() and not os.environ.get("NO_COLOR")
        self._line_is_open = False
        self._dimmed = False

    def text(self, text: str) -> None:
        if self._dimmed:
            self.end_line()
        self._write(text)

    def aside(self, text: str) -> None:
        """Write something that is not the answer."""
        if self._beside and text:
            if self._line_is_open and not self._dimmed:
                self.end_line()
            if not self._dimmed and self._colours:
                self._out.write(DIM)
            self._dimmed = True
            self._write(text)

    def end_line(self) -> None:
        if self._dimmed and self._colours:
            self._out.write(PLAIN)
        self._dimmed = False
        if self._line_is_open:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._out.flush()
            self._line_is_open = not text.endswith("\n")


def pasted(first: str, prompt: str = "") -> str:
    """Return a line with those that came with it: more than one at once are a paste, and one message."""
    import select  # noqa: PLC0415 -- there is none of it where there is no terminal

    lines = [first]
    while select.select([sys.stdin], [], [], 0.02)[0]:
        try:
            lines.append(input(prompt))
        except EOFError:
            break
    return "\n".join(lines)
