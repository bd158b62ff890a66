"""How many requests a minute a caller may send."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django_ratelimit.core import get_usage
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agents.keyring import KeySpec
from agents.limits.allowance import Allowance
from openai_compat.addresses import client_address

if TYPE_CHECKING:
    from openai_compat.views.base import OpenAIView


class RequestsPerMinute(BaseThrottle):
    """Counts the requests of a key, or of an address while there are no keys, refused ones too."""

    _usage: dict[str, Any]

    def allow_request(self, request: Request, view: "OpenAIView") -> bool:  # type: ignore[override]
        key: KeySpec | None = request.auth  # type: ignore[assignment]
        name = str(key.id) if key else client_address(request)
        most = key.requests_per_minute if key else settings.OPENFANG_OPEN_RPM
        if not most:
            return True
        self._usage = get_usage(request, group="requests", key=lambda *_: name, rate=(most, 60), increment=True)
        view.headers |= rate_headers("requests", most, most - self._usage["count"], self.wait())
        return not self._usage["should_limit"]

    def wait(self) -> int:
        """Return the seconds until the count begins anew; the second at which a window ends is its last."""
        return max(1, int(self._usage["time_left"]) + 1)


def allowance_of(key: KeySpec | None) -> Allowance | None:
    """Return what a key may use besides its requests, if that is limited."""
    if key is None or not (key.tokens_per_minute or key.max_parallel_requests):
        return None
    return Allowance(str(key.id), tokens_per_minute=key.tokens_per_minute, parallel_requests=key.max_parallel_requests)


def rate_headers(what: str, limit: int, remaining: int, reset: int) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{what}": str(limit),
        f"x-ratelimit-remaining-{what}": str(max(0, remaining)),
        f"x-ratelimit-reset-{what}": f"{reset}s",
    }
