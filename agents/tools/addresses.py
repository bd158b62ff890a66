"""Which addresses tools may connect to: public ones, and those that an administrator has named."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

WEB_PORTS = frozenset({80, 443})
# Python's own `is_global` changed several times within 3.11 to 3.13; a server's safety should not.
REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent, which answers every virtual machine
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays from 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Outside of this lie loopback, link-local, unique local (AWS's metadata service), multicast, IPv4-mapped and NAT64.
PUBLIC_V6 = IPv6Network("2000::/3")
REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, which wraps an IPv4 address, and ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "3fff::/20",  # documentation
    )
)
HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252})")
ENTRY = re.compile(r"\[(?P<bracketed>[^\]]+)\](?::(?P<port>\d{1,5}))?|(?P<plain>[^:]+)(?::(?P<plain_port>\d{1,5}))?")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address belongs to the open internet, and is no other address in disguise."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    return address in PUBLIC_V6 and not any(address in network for network in REFUSED_V6)


class Reach:
    """Where tools may connect to: public addresses at the web's ports, and what the administrator's entries open.

    An entry is a host, an address or a network in CIDR form, with or without a port: `wiki.example.org`,
    `10.2.0.0/16:8080`, `[fd00::/8]:8080`. Without a port it opens 80 and 443. Raises ValueError for anything else.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._opened = [_parse(entry) for entry in entries]

    def admits(self, host: str, address: str, port: int) -> bool:
        """Tell whether a connection to this address may be made for the sake of this host."""
        parsed = ip_address(address)
        name = host.rstrip(".")
        for target, ports in self._opened:
            if port in ports and (target == name if isinstance(target, str) else parsed in target):
                return True
        return port in WEB_PORTS and is_public(parsed)


def _parse(entry: str) -> tuple[str | IPv4Network | IPv6Network, frozenset[int]]:
    """Return the host or network and the ports that an entry opens."""
    try:
        return ip_network(entry, strict=False), WEB_PORTS
    except ValueError:
        pass
    if not (match := ENTRY.fullmatch(entry)):
        raise ValueError(f"{entry!r} is not a host, an address or a network.")
    port = match["port"] or match["plain_port"]
    ports = WEB_PORTS if port is None else frozenset({int(port)})
    target = match["bracketed"] or match["plain"]
    try:
        return ip_network(target, strict=False), ports
    except ValueError:
        name = target.lower().rstrip(".")
    if match["bracketed"] or not HOST.fullmatch(name):
        raise ValueError(f"{entry!r} is not a host, an address or a network.")
    return name, ports
