"""The images that docker compose runs and builds on, pinned in the files that name them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openfang_site.supply_chain.registry import Image

FILES = ("docker-compose.yml", "docker-compose.gpu.yml", "Dockerfile")
OURS = "openfang"  # built here, so no registry has it
NAMED = re.compile(r"""^(\s*image:\s*["']?|ARG BASE_IMAGE=)([^\s"'#]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """An image whose digest in a file is not the one that its registry has for the tag."""

    file: str
    image: str
    before: str | None
    after: str


def pin(files: Sequence[Path], ask: Callable[[Image], str], *, write: bool) -> tuple[list[Change], int]:
    """Compare the digests in the files with those of the registries and, with `write`, put the new ones in.

    Returns the changes and the number of images looked at. Everything is asked before a file is written, and only the
    images' names change in it.
    """
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    images = {image for text in texts.values() for image in _images(text)}
    digests = {image: ask(image) for image in sorted(images, key=str)}
    changes = [
        Change(file.name, str(image), image.digest, digests[image])
        for file, text in texts.items()
        for image in _images(text)
        if image.digest != digests[image]
    ]
    if write:
        for file in {file for file in files for change in changes if change.file == file.name}:
            _replace(file, NAMED.sub(lambda found: found[1] + _pinned(found[2], digests), texts[file]))
    return changes, len(images)


def _images(text: str) -> Iterator[Image]:
    for _, reference in NAMED.findall(text):
        if _is_pinnable(reference):
            yield Image.parse(reference)


def _is_pinnable(reference: str) -> bool:
    """Our own image, one from a variable and one that is named by its digest alone stay as they are."""
    return reference != OURS and "$" not in reference and not re.fullmatch(r"[^:]+@.*", reference)


def _pinned(reference: str, digests: dict[Image, str]) -> str:
    if not _is_pinnable(reference):
        return reference
    image = Image.parse(reference)
    return f"{image}{'' if image.tag else ':latest'}@{digests[image]}"


def _replace(file: Path, text: str) -> None:
    """Write a file in one step, with the mode it had."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text, encoding="utf-8", newline="")
    new.chmod(file.stat().st_mode)
    os.replace(new, file)
