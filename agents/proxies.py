"""The proxies that this server's own calls go through: one rule for providers, MCP servers, search and alerts.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are read as curl reads them. This machine and private networks are
always called directly. `web_fetch` uses no proxy: it checks the address it connects to, which a proxy would hide.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.request import OpenerDirector, ProxyHandler, build_opener

from agents.urls import split_http_url


@dataclass(frozen=True)
class Proxies:
    """The proxy for each scheme, empty for none, and the hosts that are called without one."""

    http: str = ""
    https: str = ""
    exceptions: tuple["NoProxy", ...] = ()

    def for_url(self, url: str) -> str | None:
        """Return the URL of the proxy that a call of this URL goes through, or None for a direct call."""
        parts = split_http_url(url)
        if parts is None:
            return None
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or _is_near(host := (parts.hostname or "").rstrip(".")):
            return None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return None if any(exception.covers(host, port) for exception in self.exceptions) else proxy

    def opener(self, url: str) -> OpenerDirector:
        """Return what opens this URL by the rule, instead of urllib's own."""
        proxy = self.for_url(url)
        return build_opener(ProxyHandler({"http": proxy, "https": proxy} if proxy else {}))


@dataclass(frozen=True)
class NoProxy:
    """One entry of `NO_PROXY`: a host with those below it, an address, a network or `*`; perhaps with a port."""

    host: str
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return _lies_in(host, self.network)
        return self.host in ("*", host) or host.endswith(f".{self.host}")


def read_proxies(http: str, https: str, exceptions: str) -> Proxies:
    """Read the values of the three variables. Raises ValueError, without the URL: it may hold a password."""
    for name, url in (("HTTP_PROXY", http), ("HTTPS_PROXY", https)):
        if url and split_http_url(url) is None:
            raise ValueError(f"{name} is not the URL of an HTTP proxy, such as http://proxy.example.com:3128.")
    entries = (entry for entry in exceptions.lower().replace(",", " ").split())
    return Proxies(http, https, tuple(map(_entry, entries)))


def _entry(text: str) -> NoProxy:
    network = _network(text)
    if network is not None:
        return NoProxy(text, network)
    host, separator, port = text.rpartition(":")
    if not (separator and port.isdigit()):
        host, port = text, ""
    host = host.removeprefix("*.").removeprefix(".").strip("[]") or "*"
    return NoProxy(host, _network(host), int(port) if port else None)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _lies_in(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def _is_near(host: str) -> bool:
    """Tell whether a host is this machine or one of its private network: a name without a dot, or such an address."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(".localhost")
    return address.is_loopback or address.is_private or address.is_link_local
