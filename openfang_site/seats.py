"""The memory in which the workers of a machine tell each other how many connections they have."""

import mmap
import tempfile
from typing import IO, Self

EMPTY = 2**32 - 1


class Seat:
    """A worker's place in the memory that all of them share."""

    def __init__(self, descriptor: int, number: int) -> None:
        """Take a place in what `seats_file` has made."""
        self._counts = memoryview(mmap.mmap(descriptor, 0)).cast("I")
        self._number = number
        self._left = False

    @classmethod
    def alone(cls) -> Self:
        """Return the seat of a worker that shares its socket with no other."""
        with seats_file(1) as file:
            return cls(file.fileno(), 0)

    def count(self, connections: int) -> None:
        if not self._left:
            self._counts[self._number] = connections

    def leave(self) -> None:
        self._counts[self._number] = EMPTY
        self._left = True

    def another_has_fewer(self) -> bool:
        return self._counts[self._number] > min(self._counts)


def seats_file(seats: int) -> IO[bytes]:
    """Return the file that is the memory of so many seats, all empty."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- the caller closes it
    file.write(EMPTY.to_bytes(4) * seats)
    return file
