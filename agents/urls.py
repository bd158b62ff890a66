"""URLs and header values that arrive as data: from requests, rows, files and settings.

`urlsplit` raises ValueError for texts such as `http://[`, and for some ports only when they are read. Everything that
takes a URL apart uses these functions instead.
"""

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

HOST = re.compile(r"[a-z0-9_][a-z0-9._-]{0,252}", re.IGNORECASE)
BRACKETED = re.compile(r"\[[^\]]+\](:\d*)?")
ENDPOINT = re.compile(r"/chat/completions/*$")


def split_url(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if its host or port cannot be read."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def hostname_of(url: str) -> str:
    """Return the host of a URL in lower case, or an empty string."""
    parts = split_url(url)
    return (parts and parts.hostname) or ""


def split_http_url(text: str) -> SplitResult | None:
    """Return the parts of an http or https URL that can be called, or None."""
    parts = split_url(text)
    if parts is None or parts.scheme not in ("http", "https") or not _is_host(parts):
        return None
    return parts if text.isprintable() and " " not in text else None


def without_endpoint(url: str) -> str:
    """Return the base URL of an API, given it or the URL of its chat completions, with or without blanks around."""
    return ENDPOINT.sub("", url.strip())


def fits_a_header(value: str) -> bool:
    """Return whether any HTTP client sends this text as a header's value: visible ASCII characters and spaces."""
    return value.isascii() and value.isprintable()


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        if ":" in host:
            return bool(BRACKETED.fullmatch(parts.netloc.rpartition("@")[2]) and IPv6Address(host))
        return bool(HOST.fullmatch(host.encode("idna").decode()))
    except ValueError:
        return False
