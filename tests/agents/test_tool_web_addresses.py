"""Which addresses tools connect to."""

from ipaddress import ip_address

import pytest

from agents.tools.addresses import Reach, is_public


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16"),
        *("169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
        *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("100::1", "2001::1", "2001:0:7f00:1::", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "3fff::1"),
        *("5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    ],
)
def test_an_address_that_is_not_of_the_open_internet_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Reach().admits("innocent.example", address, 443)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_a_public_address_is_admitted_at_the_ports_of_the_web_alone(address: str) -> None:
    assert Reach().admits("example.org", address, 80)
    assert Reach().admits("example.org", address, 443)
    assert not Reach().admits("example.org", address, 22)
    assert not Reach().admits("example.org", address, 6379)


@pytest.mark.parametrize(
    ("entry", "host", "address", "port", "admitted"),
    [
        ("wiki.lan", "wiki.lan", "10.0.0.5", 443, True),
        ("Wiki.LAN.", "wiki.lan.", "10.0.0.5", 80, True),
        ("wiki.lan", "wiki.lan", "10.0.0.5", 8080, False),
        ("wiki.lan:8080", "wiki.lan", "10.0.0.5", 8080, True),
        ("wiki.lan:8080", "wiki.lan", "10.0.0.5", 80, False),
        ("wiki.lan", "other.lan", "10.0.0.5", 443, False),
        ("10.0.0.0/8", "other.lan", "10.9.9.9", 80, True),
        ("10.0.0.0/8", "other.lan", "11.9.9.9", 22, False),
        ("10.0.0.0/8", "other.lan", "::ffff:10.0.0.1", 80, False),
        ("10.0.0.0/8:8080", "other.lan", "10.9.9.9", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", "127.0.0.1", 8080, True),
        ("::1", "::1", "::1", 80, True),
        ("[::1]:8080", "::1", "::1", 8080, True),
        ("[fd00::/8]:8080", "x.lan", "fd12::1", 8080, True),
        ("fd00::/8", "x.lan", "fe80::1", 80, False),
    ],
)
def test_an_administrators_entry_opens_what_it_names_and_no_more(
    entry: str, host: str, address: str, port: int, admitted: bool
) -> None:
    assert Reach([entry]).admits(host, address, port) is admitted


@pytest.mark.parametrize("entry", ["http://wiki.lan", "wiki.lan/x", "10.0.0.0/99", "[wiki.lan]", "a b", "*.lan", "x:y"])
def test_an_entry_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host, an address or a network") as refused:
        Reach([entry])
    assert repr(entry) in str(refused.value)
