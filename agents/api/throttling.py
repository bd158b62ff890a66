from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agents.limits.requests import RequestRate, count_request
from agents.models import AdminToken
from agents.models.admin_token import REQUESTS_PER_MINUTE

if TYPE_CHECKING:
    from agents.api.views.base import ApiView


class RequestsPerMinute(BaseThrottle):
    """Counts the requests of a token, or of somebody who is logged in."""

    _rate: RequestRate | None = None

    def allow_request(self, request: Request, view: "ApiView") -> bool:  # type: ignore[override]
        token = request.auth
        if isinstance(token, AdminToken):
            self._rate = count_request(request._request, str(token.id), token.requests_per_minute)
        else:
            self._rate = count_request(request._request, f"user:{request.user.pk}", REQUESTS_PER_MINUTE)
        if self._rate is not None:
            view.answer_headers |= self._rate.headers
        return self._rate is None or not self._rate.exceeded

    def wait(self) -> float | None:
        return None if self._rate is None else self._rate.seconds_left
