"""How many requests a minute a caller may send."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agents.keyring import KeySpec
from agents.limits.allowance import Allowance
from agents.limits.requests import RequestRate, count_request
from openai_compat.addresses import client_address

if TYPE_CHECKING:
    from openai_compat.views.base import OpenAIView


class RequestsPerMinute(BaseThrottle):
    """Counts the requests of a key, or of an address while there are no keys, refused ones too."""

    _rate: RequestRate | None = None

    def allow_request(self, request: Request, view: "OpenAIView") -> bool:  # type: ignore[override]
        key: KeySpec | None = request.auth  # type: ignore[assignment]
        name = str(key.id) if key else client_address(request)
        most = key.requests_per_minute if key else settings.OPENFANG_OPEN_RPM
        self._rate = count_request(request._request, name, most)
        if self._rate is not None:
            view.headers |= self._rate.headers
        return self._rate is None or not self._rate.exceeded

    def wait(self) -> int | None:
        return None if self._rate is None else self._rate.seconds_left


def allowance_of(key: KeySpec | None) -> Allowance | None:
    """Return what a key may use besides its requests, if that is limited."""
    if key is None or not (key.tokens_per_minute or key.max_parallel_requests):
        return None
    return Allowance(str(key.id), tokens_per_minute=key.tokens_per_minute, parallel_requests=key.max_parallel_requests)
