"""The one way from tools to the network: what a model asks for must not reach what only this server can reach."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http.client import responses
from ipaddress import ip_address
from typing import TYPE_CHECKING

from yarl import URL

from agents.errors import ToolFailed
from agents.tools.addresses import HOST, Reach

# aiohttp takes 0.1 s: the commands load this module and ask nobody, and in a server it has long been there.
if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver

REDIRECTS = frozenset({301, 302, 303, 307, 308})
READABLE_TYPES = frozenset({"application/json", "application/xml", "application/xhtml+xml", "application/javascript"})
READABLE_SUFFIXES = ("+json", "+xml")
LEGACY_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\.?", re.IGNORECASE)
MAX_URL = 4096


class BadStatus(ToolFailed):
    """The server answered, but not with what was asked for."""

    def __init__(self, url: URL, status: int) -> None:
        super().__init__(f"{_shown(url)} answered {status} ({responses.get(status, 'no known status')}).")
        self.status = status


class AddressRefused(OSError):
    """A host's address is none that this server connects to for a model."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL led to: the URL after all redirects, and the body, unpacked and perhaps cut."""

    url: URL
    content_type: str
    charset: str | None
    body: bytes
    cut: bool


class SafeHttp:
    """Gets pages from where `reach` admits, within limits of time (in all), size (unpacked) and redirects.

    Addresses are checked when the socket is made, so that neither a name that resolves to something else the second
    time nor an odd way of writing an address makes a difference. With a `proxy`, which connects in this server's place,
    nothing is checked: only for URLs that an administrator has chosen.
    """

    def __init__(
        self,
        reach: Reach,
        *,
        resolver: AbstractResolver | None = None,
        seconds: float = 20,
        max_bytes: int = 5_000_000,
        max_redirects: int = 5,
        proxy: str | None = None,
    ) -> None:
        self._reach = reach
        self._resolver = resolver
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._proxy = proxy

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Page:
        """Return the page at a URL. The headers go to that URL only, not to where it redirects.

        Raises ToolFailed, and BadStatus for an answer that is an error.
        """
        import aiohttp  # noqa: PLC0415

        start = _checked(url)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(start, headers or {})
        except TimeoutError:
            raise ToolFailed(f"{_shown(start)} did not answer completely within {self._seconds:g} seconds.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ToolFailed(f"{_shown(start)} could not be read: {_reason(error)}.") from None

    async def _follow(self, start: URL, headers: Mapping[str, str]) -> Page:
        url = start
        for _ in range(self._max_redirects + 1):
            async with self._answer(url, headers) as response:
                location = response.headers.get("Location")
                if response.status not in REDIRECTS or location is None:
                    return await self._read(response)
            url, headers = _redirected(url, location), {}
        raise ToolFailed(f"{_shown(start)} redirects more than {self._max_redirects} times.")

    @asynccontextmanager
    async def _answer(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp  # noqa: PLC0415

        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            socket_factory=None if self._proxy else partial(self._open_socket, url.raw_host or ""),
            force_close=True,
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "OpenFang", "Accept": "text/html, text/*, application/json, */*;q=0.1"},
                trust_env=False,
            ) as session,
            session.get(url, headers=headers, allow_redirects=False, proxy=self._proxy) as response,
        ):
            yield response

    def _open_socket(self, host: str, address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (address, port, *_) = address_info
        if not self._reach.admits(host, str(address), int(port)):
            raise AddressRefused(f"this server does not connect to {host} (a private address or port)")
        return socket.socket(family, kind, protocol)

    async def _read(self, response: aiohttp.ClientResponse) -> Page:
        if not 200 <= response.status < 300:
            raise BadStatus(response.url, response.status)
        content_type = response.content_type.lower() if "Content-Type" in response.headers else "text/plain"
        if not _is_readable(content_type):
            raise ToolFailed(f"{_shown(response.url)} is of the type {content_type[:100]}, which is not read as text.")
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._max_bytes:
                break
        cut = len(body) > self._max_bytes
        return Page(response.url, content_type, response.charset, bytes(body[: self._max_bytes]), cut)


def _checked(url: str) -> URL:
    """Return a URL that may be asked for. Raises ToolFailed, saying what is wrong with it."""
    if len(url) > MAX_URL:
        raise ToolFailed(f"The URL is longer than {MAX_URL} characters.")
    try:
        parsed = URL(url.strip())
        host = parsed.raw_host
    except ValueError:
        raise ToolFailed(f"{url[:200]!r} is not a URL.") from None
    if parsed.scheme not in {"http", "https"} or not host:
        raise ToolFailed(f"{url[:200]!r} is not a whole URL that begins with http:// or https://.")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise ToolFailed("A URL with a user name or a password in it is not fetched.")
    if not _is_plain(host):
        raise ToolFailed(
            f"The host {host[:100]!r} is not a name or an address in its usual form, so it is not fetched."
        )
    return parsed


def _is_plain(host: str) -> bool:
    """Tell whether a host is a name or an address, and not an address as only system libraries read it (`0x7f.1`)."""
    try:
        ip_address(host)
    except ValueError:
        return bool(HOST.fullmatch(host)) and not LEGACY_IPV4.fullmatch(host)
    return True


def _redirected(url: URL, location: str) -> URL:
    try:
        target = _checked(str(url.join(URL(location))))
    except ValueError:
        raise ToolFailed(f"{_shown(url)} redirects to something that is not a URL.") from None
    except ToolFailed as error:
        raise ToolFailed(f"{_shown(url)} redirects to where it is not followed. {error}") from None
    if url.scheme == "https" and target.scheme != "https":
        raise ToolFailed(f"{_shown(url)} redirects from https to {_shown(target)}, which is not followed.")
    return target


def _is_readable(content_type: str) -> bool:
    return (
        content_type.startswith("text/") or content_type in READABLE_TYPES or content_type.endswith(READABLE_SUFFIXES)
    )


def _reason(error: Exception) -> str:
    """Say what went wrong in our own words: those of the error may be the other side's."""
    import aiohttp  # noqa: PLC0415

    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match error:
        case _ if isinstance(cause, AddressRefused):
            return str(cause)
        case aiohttp.ClientConnectorDNSError():
            return f"there is no host named {error.host[:200]}"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host} is not valid"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host} could be made"
        case _:
            return f"the connection broke or what came is not HTTP ({type(error).__name__})"


def _shown(url: URL) -> str:
    return str(url)[:200]
