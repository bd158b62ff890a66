"""The rule for environment variables that rows name: which may be sent, and to which address.

Anyone who may write a provider or an MCP server chooses where a variable's value goes. So a row may name the key of a
catalog provider at that provider's own host, and what the operator lists in OPENFANG_EXPOSED_VARIABLES. Forms check the
rule with `why_withheld`; whatever sends a value reads it with `exposed_value`, so that old rows obey it, too.
"""

import os
import re
from functools import cache
from typing import NamedTuple

from django.conf import settings

from agents.catalog import load_catalog

SETTING = "OPENFANG_EXPOSED_VARIABLES"
# They open everything that is stored here; no list exposes them.
NEVER_EXPOSED = frozenset({"OPENFANG_SECRET_KEY", "OPENFANG_SECRET_KEY_FALLBACKS"})
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# No user name, backslash or ${NAME}: parsers of URLs disagree about those, and a value could change the host.
ORIGIN = re.compile(
    r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?=[/?#]|\Z)", re.ASCII | re.IGNORECASE
)
DEFAULT_PORTS = {"http": "80", "https": "443"}


class ExposedVariable(NamedTuple):
    """A variable that the operator lists; without an origin it may go to any address and to programs."""

    name: str
    origin: str = ""


def why_withheld(name: str, url: str = "") -> str:
    """Return why a row may not send this variable to this URL, or to a program if the URL is empty; empty if it may."""
    origin = _origin(url)
    if name in NEVER_EXPOSED:
        return f"{name} is never sent: it opens everything that this server stores."
    if origin and (name, origin) in _catalog():
        return ""
    if any(listed.name == name and listed.origin in ("", origin) for listed in settings.OPENFANG_EXPOSED_VARIABLES):
        return ""
    place = f"sent to {origin or 'this address'}" if url else "given to a program"
    return (
        f"The environment variable {name} may not be {place}. Allowed are a catalog provider's key at that provider's "
        f"own host, and what the setting {SETTING} lists. To allow this, add {entry_for(name, url)} to that setting."
    )


def exposed_value(name: str, url: str = "") -> str | None:
    """Return a variable's value if a row may send it there and it is set."""
    return None if why_withheld(name, url) else os.environ.get(name, "").strip() or None


def entry_for(name: str, url: str = "") -> str:
    """Return the narrowest entry of the setting that exposes a variable to a URL, or to programs."""
    origin = _origin(url)
    return f"{name}@{origin.removeprefix('https://')}" if origin else name


def setting_with(name: str, url: str = "") -> str:
    """Return the setting as it is with one more entry, the one that exposes a variable to a URL or to programs."""
    entries = [entry_for(listed.name, listed.origin) for listed in settings.OPENFANG_EXPOSED_VARIABLES]
    return f"{SETTING}={','.join([*entries, entry_for(name, url)])}"


def read_exposed_variables(entries: list[str]) -> tuple[ExposedVariable, ...]:
    """Read the setting: NAME, NAME@host for https, or NAME@http://host:port. Raises ValueError."""
    return tuple(map(_read, entries))


def _read(entry: str) -> ExposedVariable:
    name, at, place = entry.partition("@")
    if not VARIABLE_NAME.fullmatch(name):
        raise ValueError(f"{entry!r} does not begin with the name of an environment variable.")
    if name in NEVER_EXPOSED:
        raise ValueError(f"{name} is never sent, so it can't be listed.")
    url = place if "://" in place else f"https://{place}"
    origin = _origin(url)
    if at and (not origin or not ORIGIN.fullmatch(url)):
        raise ValueError(f"{entry!r} is not like NAME, NAME@api.example.com or NAME@http://127.0.0.1:8000.")
    return ExposedVariable(name, origin if at else "")


def _origin(url: str) -> str:
    """Return a URL's scheme, host and port, or nothing if they depend on a variable or can be read in two ways."""
    found = ORIGIN.match(url)  # before lower(), which makes a K of the Kelvin sign
    if found is None:
        return ""
    scheme, host, port = found.groups()
    scheme, host = scheme.lower(), host.lower()
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


@cache
def _catalog() -> frozenset[tuple[str, str]]:
    """The catalog's key variables, each with the origin of its provider."""
    entries = load_catalog().providers
    pairs = ((entry.api_key_env, _origin(entry.base_url)) for entry in entries if entry.api_key_env)
    return frozenset(pair for pair in pairs if pair[1].startswith("https://"))
