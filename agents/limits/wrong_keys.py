"""Slowing down whoever tries keys out: an address that has failed often is not told any more whether a key is right."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from uuid import UUID

from django.conf import settings

from agents.errors import RateLimitExceeded
from agents.limits.counting import minute_of

REMEMBERED = 10_000


class WrongKeys:
    """Counts wrong keys by address, and knows the bearers that came before.

    These go on being served: neighbours behind one address must not be locked out by one of them. The count is in the
    cache, which several workers share, so that they allow no more tries than one. Each knows bearers for itself, which
    allows no further try: it may only have one that it has not seen yet wait until the minute is over.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, UUID], None] = OrderedDict()

    def wrong(self, address: str) -> None:
        """Count a wrong key. Raises RateLimitExceeded when there were too many."""
        minute = minute_of(_home(address))
        if minute.add("wrong-keys", 1) > settings.OPENFANG_WRONG_KEYS_PER_MINUTE:
            raise _too_many(minute.seconds_left)

    def right(self, address: str, key_id: UUID) -> None:
        """Let a right key in. Raises RateLimitExceeded if it is new at an address that tried too many wrong ones."""
        if (address, key_id) in self._known:
            return
        minute = minute_of(_home(address))
        if minute.count("wrong-keys") >= settings.OPENFANG_WRONG_KEYS_PER_MINUTE:
            raise _too_many(minute.seconds_left)
        self._known[(address, key_id)] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _too_many(retry_after: int) -> RateLimitExceeded:
    return RateLimitExceeded(retry_after=retry_after, exceeded="wrong API keys from your address")


def _home(address: str) -> str:
    """Return what is counted for an address: itself, or the /64 of IPv6 that one customer gets."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address


wrong_keys = WrongKeys()
