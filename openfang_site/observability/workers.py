"""The figures of several workers that share a port: Prometheus reaches one of them, which tells those of all.

Each writes its own into a directory that they share, every few seconds. Each value says which worker it is of, so
nothing has to be added up here, and a worker that has ended takes its values with it.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from agents.management.server_state import is_alive
from openfang_site.observability import figures
from openfang_site.observability.metrics import FIGURES

logger = logging.getLogger(__name__)

Lines = dict[str, list[str]]
WRITE_SECONDS = 5.0  # Prometheus asks every 15 s or so


class Desk:
    """Where the workers of a server lay down their figures: a directory that is this server's alone."""

    def __init__(self) -> None:
        self._directory: Path | None = None

    @contextmanager
    def shared(self, directory: Path) -> Iterator[None]:
        """Be one of several workers."""
        self._directory = directory
        leaving = threading.Event()
        writing = threading.Thread(target=self._keep_writing, args=(leaving,), name="openfang-metrics", daemon=True)
        writing.start()
        try:
            yield
        finally:
            leaving.set()
            writing.join()
            self._directory = None
            _file_in(directory).unlink(missing_ok=True)

    def text(self) -> str:
        """Return the figures of this worker, and those of the others."""
        if self._directory is None:
            return figures.text(FIGURES, _lines())
        everything = _lines(worker=str(os.getpid()))
        for lines in _of_others(self._directory):
            for name, told in lines.items():
                everything.setdefault(name, []).extend(told)
        return figures.text(FIGURES, everything)

    def _keep_writing(self, leaving: threading.Event) -> None:
        assert self._directory is not None
        file = _file_in(self._directory)
        draft = file.with_suffix(".draft")
        while True:
            try:
                draft.write_bytes(msgspec.json.encode(_lines(worker=str(os.getpid()))))
                draft.replace(file)
            except OSError as error:
                logger.warning("The other workers cannot be told this one's figures: %s", error)
            if leaving.wait(WRITE_SECONDS):
                return


desk = Desk()


def _file_in(directory: Path) -> Path:
    return directory / f"{os.getpid()}.json"


def _of_others(directory: Path) -> Iterator[Lines]:
    """Yield what the other workers have written; that of a dead one is thrown away."""
    own = _file_in(directory)
    for file in sorted(directory.glob("*.json")):
        if not is_alive(int(file.stem)):
            file.unlink(missing_ok=True)
        elif file != own:
            with suppress(FileNotFoundError):  # it has just left
                yield msgspec.json.decode(file.read_bytes(), type=Lines)


def _lines(worker: str = "") -> Lines:
    return {figure.name: figure.lines(worker) for figure in FIGURES}
