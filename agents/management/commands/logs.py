import sys
import time
from argparse import ArgumentTypeError
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand

BLOCK = 65536
PAUSE = 0.2  # between looks at a file that is followed


class Command(OpenFangCommand):
    help = "Print the latest lines of the log of a server that was started with --detach."
    examples = ("logs -n 20", "logs -f")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-n", "--lines", type=lines, default=100, metavar="N", help="(default: %(default)s)")
        parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written, until Ctrl-C")

    def handle(self, *, lines: int, follow: bool, **options: Any) -> None:
        path = settings.OPENFANG_DATA_DIR / "server.log"
        try:
            log = open(path, "rb")  # noqa: SIM115 -- closed by the `with` below; only the opening is tried
        except FileNotFoundError:
            raise CommandError(
                f"There is no {path}: only a server that was started with --detach writes it. One in a terminal logs "
                "there, one in Docker to: docker compose logs web"
            ) from None
        except OSError as error:
            raise CommandError(f"{path} cannot be read ({error.strerror}).") from None
        with log:
            text, place = latest(log, lines)
        self.print(text)
        if follow:
            self.follow(path, place)

    def follow(self, path: Path, place: int) -> None:
        while True:
            time.sleep(PAUSE)
            with suppress(FileNotFoundError):
                text, place = since(path, place)
                self.print(text)

    def print(self, text: bytes) -> None:
        if text:
            self.stdout.write(text.decode(errors="replace"), ending="")
            self.stdout.flush()


def latest(log: IO[bytes], lines: int) -> tuple[bytes, int]:
    """Return the last lines of a file and where it ends, reading no more of it than them."""
    place = end = log.seek(0, 2)
    text = b""
    while place and text.count(b"\n") <= lines:
        size = min(BLOCK, place)
        place = log.seek(place - size)
        text = log.read(size) + text
    return b"".join(text.splitlines(keepends=True)[-lines:]), end


def since(path: Path, place: int) -> tuple[bytes, int]:
    """Return the whole lines that a file has from a place on, and where they end.

    The file is opened each time: whoever rotates it puts another one in its place, or empties it.
    """
    with open(path, "rb") as log:
        if log.seek(0, 2) < place:
            place = 0
        log.seek(place)
        text = log.read()
    whole = text[: text.rfind(b"\n") + 1]
    return whole, place + len(whole)


def lines(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= sys.maxsize):
        raise ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)
