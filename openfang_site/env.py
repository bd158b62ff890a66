"""Reading environment variables, loudly: a bad value stops the start with one line that names it."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from agents.exposed_variables import ExposedVariable, read_exposed_variables
from agents.networks import Network, read_networks
from agents.proxies import Proxies, read_proxies
from agents.urls import fits_a_header, split_http_url, split_url

# What each variable that was asked for is without being set: what `openfang config` lists.
DEFAULTS: dict[str, Any] = {}


def env_str(name: str, default: str = "") -> str:
    DEFAULTS.setdefault(name, default)
    return os.environ.get(name, "").strip() or default


def env_int(name: str, default: int, *, low: int, high: int) -> int:
    DEFAULTS.setdefault(name, default)
    text = env_str(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={text!r} is not a whole number from {low} to {high}.")
    return value


def env_bool(name: str, default: bool) -> bool:
    DEFAULTS.setdefault(name, default)
    text = env_str(name).lower()
    if not text:
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={text!r} is neither true nor false.")


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    text = env_str(name, default).lower()
    if text != default and text not in choices:
        raise ImproperlyConfigured(f"{name}={text!r} is none of {', '.join(choices)}.")
    return text


def env_networks(name: str) -> tuple[Network, ...]:
    try:
        return read_networks(env_str(name))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def env_exposed_variables(name: str) -> tuple[ExposedVariable, ...]:
    """Read the environment variables that providers and MCP servers may name, each with an optional address."""
    try:
        return read_exposed_variables(env_list(name, []))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def env_origins(name: str) -> frozenset[str]:
    """Read the origins of web pages, such as https://app.example.com; a lone * is every origin."""
    origins = env_list(name, [])
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ImproperlyConfigured(f"{name}: {origin!r} is not an origin such as https://app.example.com.")
    if "*" in origins and len(origins) > 1:
        raise ImproperlyConfigured(f"{name} has * beside other origins: * alone is every origin.")
    return frozenset(origin.lower() for origin in origins)


def env_trusted_origins(name: str) -> list[str]:
    """Read the origins whose pages may post to the admin; https://*.example.com is every host below example.com."""
    origins = env_list(name, [])
    for origin in origins:
        if not _is_origin(origin.replace("://*.", "://", 1)):
            raise ImproperlyConfigured(f"{name}: {origin!r} is not an origin such as https://agents.example.com.")
    return origins


def _is_origin(text: str) -> bool:
    return bool(re.fullmatch(r"https?://[^/\s?#*@]+", text) and split_http_url(text))


def env_root_path(name: str) -> str:
    """Read a path below which all is served, such as /openfang; it comes without a slash at its end."""
    path = env_str(name).rstrip("/")
    if path and (not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path) or {".", ".."} & set(path.split("/"))):
        raise ImproperlyConfigured(f"{name}={path!r} is not a path such as /openfang.")
    return path


def env_hosts(name: str, default: list[str]) -> list[str]:
    """Read host names; .example.com is every host below it, and * is every host."""
    hosts = env_list(name, default)
    for host in hosts:
        if not split_url(f"//{host}") or "/" in host:
            raise ImproperlyConfigured(f"{name}: {host!r} is not a host name such as agents.example.com.")
    return hosts


def env_base_url(name: str) -> str:
    """Read the base URL of an API."""
    url = env_str(name).rstrip("/")
    parts = split_http_url(url)
    if url and (parts is None or parts.query or parts.fragment or "@" in parts.netloc):
        # Not the URL itself: it may hold a password.
        raise ImproperlyConfigured(f"{name} is not the URL of an API, such as http://model:8080/v1.")
    return url


def env_http_url(name: str) -> str:
    """Read a URL that this server will call as it is."""
    url = env_str(name)
    parts = split_http_url(url)
    if url and (parts is None or "@" in parts.netloc):
        # Not the URL itself: it may hold a secret.
        raise ImproperlyConfigured(f"{name} is not an http or https URL, or has a user name in it.")
    return url


def env_proxies() -> Proxies:
    """Read HTTP_PROXY, HTTPS_PROXY and NO_PROXY; as everywhere, the names in small letters come first."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    try:
        return read_proxies(*(os.environ.get(name.lower(), "").strip() or env_str(name) for name in names))
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from None


def env_header_value(name: str) -> str:
    """Read a key that this server will send in a header."""
    value = env_str(name)
    if not fits_a_header(value):
        raise ImproperlyConfigured(
            f"{name} has a line break or a character that is not ASCII, which no header can carry."
        )
    return value


def env_redis_url(name: str) -> str:
    url = env_str(name)
    if url and not (url.startswith(("redis://", "rediss://", "unix://")) and split_url(url)):
        # Not the URL itself: it may hold a password.
        raise ImproperlyConfigured(f"{name} is not the URL of a Redis: it begins with redis://, rediss:// or unix://.")
    return url


def env_api_key(name: str) -> str:
    """Read a key that clients will send in a header."""
    key = env_str(name)
    if key and not (len(key) >= 16 and key.isascii() and key.isprintable() and " " not in key):
        raise ImproperlyConfigured(f"{name} is shorter than 16 characters, or has some that no header can carry.")
    return key


def env_list(name: str, default: list[str]) -> list[str]:
    DEFAULTS.setdefault(name, default)
    text = env_str(name)
    return [item.strip() for item in text.split(",") if item.strip()] if text else default


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def env_path(name: str, default: Path) -> Path:
    DEFAULTS.setdefault(name, default)
    text = env_str(name)
    return Path(text).expanduser().resolve() if text else default
