"""The figures of several workers that share a port: Prometheus reaches one of them, which tells those of all.

Each writes its own into a directory that they share, every few seconds. Each value says which worker it is of, so
nothing has to be added up here, and a worker that has ended takes its values with it.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname

import msgspec
from django.conf import settings

from agents.private_files import make_private_dir, private
from openfang_site.observability import figures
from openfang_site.observability.metrics import FIGURES

logger = logging.getLogger(__name__)

Lines = dict[str, list[str]]
WRITE_SECONDS = 5.0  # Prometheus asks every 15 s or so
GONE_SECONDS = 20.0


class Desk:
    """Where the workers of a server lay down their figures."""

    def __init__(self) -> None:
        self._own: Path | None = None

    @contextmanager
    def shared(self, directory: Path, worker: str) -> Iterator[None]:
        """Be one of several workers."""
        self._own = own = directory / f"{worker}.json"
        leaving = threading.Event()
        writing = threading.Thread(target=_keep_writing, args=(own, leaving), name="openfang-metrics", daemon=True)
        writing.start()
        try:
            yield
        finally:
            leaving.set()
            writing.join()
            self._own = None
            own.unlink(missing_ok=True)
            with suppress(OSError):  # others are still there
                directory.rmdir()

    def text(self) -> str:
        """Return the figures of this worker, and those of the others."""
        if self._own is None:
            return figures.text(FIGURES, _lines())
        everything = _lines(self._own.stem)
        for lines in _of_others(self._own):
            for name, told in lines.items():
                everything.setdefault(name, []).extend(told)
        return figures.text(FIGURES, everything)


desk = Desk()


def directory_of_server() -> Path:
    """Return the directory of the workers that this process's parent has started, and of no other server's."""
    return Path(settings.OPENFANG_DATA_DIR, "metrics", f"{gethostname()}-{os.getppid()}")


def _keep_writing(own: Path, leaving: threading.Event) -> None:
    draft = own.with_suffix(".draft")
    while True:
        try:
            make_private_dir(own.parent)
            with open(draft, "wb", opener=private) as file:
                file.write(msgspec.json.encode(_lines(own.stem)))
            draft.replace(own)
        except OSError as error:
            logger.warning("The other workers cannot be told this one's figures: %s", error)
        if leaving.wait(WRITE_SECONDS):
            return


def _of_others(own: Path) -> Iterator[Lines]:
    """Yield what the other workers have written, but not what was left by one that was killed."""
    for file in sorted(own.parent.glob("*.json")):
        with suppress(FileNotFoundError):  # it has just left
            if file != own and time.time() - file.stat().st_mtime < GONE_SECONDS:
                yield msgspec.json.decode(file.read_bytes(), type=Lines)


def _lines(worker: str = "") -> Lines:
    return {figure.name: figure.lines(worker) for figure in FIGURES}
