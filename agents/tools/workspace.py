"""An agent's own folder: the one place where the tools open paths.

A path is walked from the workspace's root one name at a time, each relative to the folder opened before it and never
through a symbolic link. What is checked is what is opened, so nothing that another process renames or replaces in the
meantime leads outside.
"""

import asyncio
import errno
import io
import os
import secrets
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from agents.errors import ToolFailed
from agents.private_files import make_private_dir

P = ParamSpec("P")
T = TypeVar("T")

MAX_FILE = 10_000_000  # bytes that a tool reads of a file, or writes to one
QUOTA = 100_000_000  # bytes in a workspace beyond which the tools write nothing more
MAX_ENTRIES = 20_000  # files and folders in a workspace, likewise
MAX_DEPTH = 32  # folders below each other: each is an open descriptor while a tree is walked
SKIPPED = frozenset({".git", "node_modules", ".venv", "__pycache__"})

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: to open a FIFO that nobody writes to would hang the thread for ever.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Threads of their own: asyncio's shared ones also resolve host names, which must not wait behind a long search.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="workspace")
# One writer at a time in this process: two edits of a file in one turn must not undo each other.
_writing = threading.RLock()


class Content(NamedTuple):
    """The first MAX_FILE bytes of a file, and how many bytes it has."""

    data: bytes
    size: int

    @property
    def is_binary(self) -> bool:
        return b"\0" in self.data[:8192]

    def lines(self) -> Iterator[str]:
        """Yield the lines as they are, one at a time: as a list, millions of short ones would fill the memory."""
        return io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8-sig", errors="replace", newline="\n")


class Entry(NamedTuple):
    """A file or folder met on a walk; `path` begins at the workspace's root, `below` at the folder walked."""

    path: str
    below: str
    mode: int
    size: int

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


class Workspace:
    """An agent's folder, made at its first use. Paths are relative to it, with `/` between names.

    Every method raises ToolFailed for a path that is refused or missing; messages name the path as the model gave it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        make_private_dir(root)

    def read(self, path: str) -> Content:
        """Return what a file holds, up to MAX_FILE bytes of it."""
        *folders, name = _names(path)
        with _failures_named(path), self._folder(folders) as folder:
            descriptor = os.open(name, READ, dir_fd=folder)
            try:
                status = os.fstat(descriptor)
                _check_is_file(path, status.st_mode)
                with open(descriptor, "rb", closefd=False) as file:
                    return Content(file.read(MAX_FILE), status.st_size)
            finally:
                os.close(descriptor)

    def write(self, path: str, data: bytes) -> bool:
        """Put `data` into a file, whole or not at all, making its folders; say whether the file is new."""
        *folders, name = _names(path)
        with _writing, _failures_named(path):
            self._check_room(path, len(data))
            with self._folder(folders, create=True) as folder:
                mode = _mode(name, folder)
                if mode is not None:
                    _check_is_file(path, mode)
                _replace(folder, name, data, mode)
                return mode is None

    def edit(self, path: str, change: Callable[[Content], bytes]) -> None:
        """Replace what a file holds by what `change` makes of it, with no other tool writing in between."""
        with _writing:
            self.write(path, change(self.read(path)))

    def walk(self, path: str = "", *, depth: int = MAX_DEPTH, skip: frozenset[str] = SKIPPED) -> Iterator[Entry]:
        """Yield what lies under a folder (or the file itself), sorted, not entering the folders named in `skip`."""
        names = [] if path in ("", ".", "./") else _names(path)
        with _failures_named(path or "."):
            if names:
                with self._folder(names[:-1]) as folder:
                    status = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield Entry("/".join(names), names[-1], status.st_mode, status.st_size)
                    return
            with self._folder(names) as folder:
                root = "".join(f"{name}/" for name in names)
                for below, status in _walk(folder, "", depth, skip):
                    yield Entry(root + below, below, status.st_mode, status.st_size)

    def _check_room(self, path: str, size: int) -> None:
        if size > MAX_FILE:
            raise ToolFailed(f"{path}: a file may have {MAX_FILE:,} bytes at most; this would have {size:,}.")
        entries = list(islice(self.walk(skip=frozenset()), MAX_ENTRIES))
        if len(entries) == MAX_ENTRIES:
            raise ToolFailed(f"The workspace holds its limit of {MAX_ENTRIES:,} files: delete some first.")
        # The old file counts as well: it exists beside the new one until that is complete.
        used = sum(entry.size for entry in entries if entry.is_file)
        if used + size > QUOTA:
            raise ToolFailed(f"The workspace is full: {used:,} of {QUOTA:,} bytes are in use, and {size:,} are needed.")

    @contextmanager
    def _folder(self, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """Open a folder by walking to it; the descriptor stays good whatever the path leads to a moment later."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                below = os.open(name, FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


async def in_workspace_thread(function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """Run file work off the event loop: at most 4 at a time, each of which must end by itself."""
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: function(*arguments, **keywords))


def printable(name: str) -> str:
    """Return a name so that it can't pass for something else: with what is invisible or reorders text escaped."""
    return "".join(f"\\u{ord(char):04x}" if _is_deceptive(char) else char for char in name)


def _names(path: str) -> list[str]:
    """Split a path into names that can't lead outside; one that tries, or looks like another, is refused."""
    if any(_is_deceptive(char) for char in path):
        raise ToolFailed(f"{printable(path)!r} holds control or invisible characters.")
    if "\\" in path:
        raise ToolFailed(f"{path}: write / between names, not a backslash.")
    if path.startswith(("/", "~")):
        raise ToolFailed(f"{path}: give a path relative to the workspace, such as src/main.py.")
    names = [name for name in path.split("/") if name not in ("", ".")]
    if not names:
        raise ToolFailed(f"{path!r} names no file.")
    for name in names:
        # Full-width dots and slashes are other characters, but a reader takes them for the real ones.
        plain = unicodedata.normalize("NFKC", name)
        if plain in (".", "..") or "/" in plain or "\\" in plain:
            raise ToolFailed(f"{path}: a path can't go up or outside the workspace.")
    if len(names) > MAX_DEPTH:
        raise ToolFailed(f"{path}: folders may be {MAX_DEPTH} deep.")
    return names


def _is_deceptive(char: str) -> bool:
    """Say whether a character is a control, a lone surrogate, a line separator, or is invisible or reorders text.

    The joiners U+200C and U+200D are let through: Persian names and emoji need them.
    """
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\u200c\u200d"


def _check_is_file(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ToolFailed(f"{path} is a folder.")
    if stat.S_ISLNK(mode):
        raise ToolFailed(f"{path} is a symbolic link, and links are not followed.")
    if not stat.S_ISREG(mode):
        raise ToolFailed(f"{path} is not a regular file.")


def _mode(name: str, folder: int) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _replace(folder: int, name: str, data: bytes, mode: int | None) -> None:
    """Write beside the file and rename: readers see the old text or the new, and no link is written through."""
    temporary = f".{secrets.token_hex(8)}.tmp"
    with open(os.open(temporary, CREATE, 0o644, dir_fd=folder), "wb") as file:
        try:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode) & 0o777)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise


def _walk(folder: int, prefix: str, depth: int, skip: frozenset[str]) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as found:
        names = sorted(entry.name for entry in islice(found, MAX_ENTRIES))
    for name in names:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:  # deleted in the meantime
            continue
        yield prefix + name, status
        if stat.S_ISDIR(status.st_mode) and name not in skip and depth > 1:
            with suppress(OSError):  # unreadable, or replaced in the meantime
                below = os.open(name, FOLDER, dir_fd=folder)
                try:
                    yield from _walk(below, f"{prefix}{name}/", depth - 1, skip)
                finally:
                    os.close(below)


@contextmanager
def _failures_named(path: str) -> Iterator[None]:
    """Tell the model in words what the system refused; the system's own message would name the server's paths."""
    try:
        yield
    except FileNotFoundError:
        raise ToolFailed(f"{path} does not exist.") from None
    except NotADirectoryError:
        raise ToolFailed(f"{path}: a name on the way is no folder (symbolic links are not followed).") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ToolFailed(f"{path} is a symbolic link, and links are not followed.") from None
        raise ToolFailed(f"{path}: {error.strerror}.") from None
