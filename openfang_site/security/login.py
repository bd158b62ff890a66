"""Signing in to the web admin: few tries, whoever tries, and the same answer whether an account exists or not."""

import hashlib
import time
from ipaddress import ip_network

from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse
from unfold.forms import AuthenticationForm

from agents.errors import LimitsUnavailable

WINDOW_SECONDS = 15 * 60
TRIES_PER_ACCOUNT = 10
# More than one account has: an office may share an address.
TRIES_PER_ADDRESS = 30


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Counts a try before it looks at the password, so that many at once are counted too."""

    def clean(self) -> dict[str, object]:
        tries = Tries(self.request, self.cleaned_data.get("username", ""))
        if tries.take() > 0:
            minutes = -(-seconds_left() // 60)
            raise ValidationError(
                f"Too many failed tries to log in. Try again in {minutes} minute{'s' * (minutes > 1)}.",
                code="too_many_tries",
            )
        cleaned: dict[str, object] = super().clean()
        tries.give_back()
        return cleaned


class Tries:
    """The tries at one account and from one address within a quarter of an hour."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        quarter = int(time.time()) // WINDOW_SECONDS
        account = hashlib.sha256(username.casefold().encode()).hexdigest()
        self._account = f"login:account:{account}:{quarter}"
        self._address = f"login:address:{network_of(request.META.get('REMOTE_ADDR', ''))}:{quarter}"

    def take(self) -> int:
        """Count a try; returns by how many there are too many."""
        return max(_add(self._account, 1) - TRIES_PER_ACCOUNT, _add(self._address, 1) - TRIES_PER_ADDRESS)

    def give_back(self) -> None:
        """Somebody has logged in: what the account's owner mistyped before does not count any more."""
        cache.delete(self._account)
        _add(self._address, -1)


def _add(counter: str, number: int) -> int:
    cache.add(counter, 0, WINDOW_SECONDS)
    return int(cache.incr(counter, number))


def seconds_left() -> int:
    return WINDOW_SECONDS - int(time.time()) % WINDOW_SECONDS


def network_of(address: str) -> str:
    """Return the address, or of an IPv6 address its /64: one customer has all of that."""
    try:
        return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
    except ValueError:  # a proxy may say what is no address
        return address


def login(request: HttpRequest) -> HttpResponse:
    """The admin's login page, with the status 429 when there were too many tries."""
    try:
        response = admin.site.login(request)
    except LimitsUnavailable as error:
        return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")
    form = getattr(response, "context_data", {}).get("form") if request.method == "POST" else None
    if form is not None and form.has_error(NON_FIELD_ERRORS, "too_many_tries"):
        response.status_code = 429
        response["Retry-After"] = str(seconds_left())
    return response
