"""Networks in rows and settings: addresses or CIDR blocks, with commas between them."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the networks that a text lists. Raises ValueError, which names the one that is none."""
    words = [word for line in text.splitlines() for word in line.replace(",", " ").split()]
    return tuple(map(_network, words))


def written(networks: tuple[Network, ...]) -> str:
    """Return networks as a row keeps them."""
    return ", ".join(map(str, networks))


def _network(word: str) -> Network:
    try:
        return ip_network(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a network such as 10.0.0.0/8 or 2001:db8::/32.") from None


def lies_in(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address is in one of the networks; what is no address is in none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)
