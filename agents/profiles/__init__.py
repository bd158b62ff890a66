"""Profiles: ready-made agents, one TOML file each, that `spawn` and the admin start from."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PROFILES = Path(__file__).parent


class UnknownProfile(ValueError):
    """The message names the profiles that exist."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an agent begins with; without a temperature the model keeps its own (many that reason refuse any other)."""

    name: str
    description: str
    system_prompt: str
    temperature: float | None = None
    tools: tuple[str, ...] = ()


def profile_names() -> tuple[str, ...]:
    """The names of all profiles, in alphabetical order."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def load_profile(name: str) -> Profile:
    """The profile of this name."""
    if name not in profile_names():
        raise UnknownProfile(f"There is no profile {name!r}. Known: {', '.join(profile_names())}.")
    return read_profile(PROFILES / f"{name}.toml")


def read_profile(path: Path) -> Profile:
    """Read a profile file; whatever is wrong in it is a ValueError that names the file and the key."""
    required: dict[str, type] = {"description": str, "system_prompt": str}
    kinds = required | {"temperature": float, "tools": list}
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    for key, value in fields.items():
        if key not in kinds:
            raise ValueError(f"{path}: unknown key {key!r}. Known: {', '.join(kinds)}.")
        if type(value) is not kinds[key]:
            raise ValueError(f"{path}: {key} must be of type {kinds[key].__name__}, not {type(value).__name__}.")
    if missing := [key for key in required if key not in fields]:
        raise ValueError(f"{path}: {', '.join(missing)} missing.")
    return Profile(
        name=path.stem,
        description=fields["description"],
        system_prompt=fields["system_prompt"].strip(),
        temperature=fields.get("temperature"),
        tools=tuple(fields.get("tools", ())),
    )
