import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError
from django.db import connection

from agents.management.backups import postgresql, sqlite
from agents.management.backups.progress import Progress
from agents.management.backups.stamp import NAME, Stamp
from agents.private_files import WORKSPACES, make_private_dir

SECRET_KEY = "secret_key"


def make_backup(path: Path, progress: Progress) -> None:
    """Write a backup, for its owner's eyes only; the file has its name only once it is whole. Raises CommandError."""
    if not connection.introspection.table_names():
        raise CommandError("There is nothing to back up: the database is empty.")
    if path.exists():
        raise CommandError(f"{path} is there already, and is not written over.")
    try:
        make_private_dir(path.parent)
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=path.parent, prefix=".openfang-backup-") as directory,
            # 0600 from its first moment.
            os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        ):
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
                _fill(archive, Path(directory), progress)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise CommandError(f"The backup could not be written to {path} ({error.strerror or error}).") from None
    finally:
        with suppress(OSError):
            path.with_name(f"{path.name}.part").unlink(missing_ok=True)


def _fill(archive: tarfile.TarFile, directory: Path, progress: Progress) -> None:
    stamp = directory / NAME
    stamp.write_text(Stamp.of_this_server().text())
    archive.add(stamp, NAME, filter=_for_owner)  # the first, so that it is read without the rest
    engine = sqlite if connection.vendor == "sqlite" else postgresql
    engine.dump(directory / engine.NAME, progress)
    progress.step("Packing")
    with open(directory / engine.NAME, "rb") as dump:
        member = _for_owner(archive.gettarinfo(arcname=engine.NAME, fileobj=dump))
        archive.addfile(member, progress.reading(dump, member.size))
    key = directory / SECRET_KEY
    key.write_text(settings.SECRET_KEY)
    archive.add(key, SECRET_KEY, filter=_for_owner)
    workspaces = settings.OPENFANG_DATA_DIR / WORKSPACES
    for file in _files(workspaces):
        copy = directory / "file"
        try:
            # An agent may be writing the file; of a copy the length is known and stays.
            shutil.copyfile(file, copy)
        except FileNotFoundError:
            continue
        archive.add(copy, f"{WORKSPACES}/{file.relative_to(workspaces)}", filter=_for_owner)


def _for_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Have a file unpacked, by whatever program, for its owner alone."""
    member.mode = 0o600
    return member


def _files(directory: Path) -> Iterator[Path]:
    """Yield the regular files; what links lead to is not the agents' own."""
    for root, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path
