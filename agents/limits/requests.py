"""Requests a minute: counted in the same way, and told in the same headers, wherever this server is called."""

from django.http import HttpRequest
from django_ratelimit.core import get_usage
from msgspec import Struct


class RequestRate(Struct, frozen=True):
    """How far somebody's requests of a minute have come, this one among them."""

    most: int
    count: int
    seconds_left: int
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        return rate_headers("requests", self.most, self.most - self.count, self.seconds_left)


def count_request(request: HttpRequest, name: str, most: int) -> RequestRate | None:
    """Count a request of somebody, refused ones too; None where there is no limit."""
    if not most:
        return None
    usage = get_usage(request, group="requests", key=lambda *_: name, rate=(most, 60), increment=True)
    # The second at which a window ends is its last.
    return RequestRate(most, usage["count"], max(1, int(usage["time_left"]) + 1), usage["should_limit"])


def rate_headers(what: str, limit: int, remaining: int, reset: int) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{what}": str(limit),
        f"x-ratelimit-remaining-{what}": str(max(0, remaining)),
        f"x-ratelimit-reset-{what}": f"{reset}s",
    }
