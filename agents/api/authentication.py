"""Who may manage this server: bearers of an admin token, and whoever is logged in to the web admin."""

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from agents.limits.wrong_keys import wrong_keys
from agents.models import AdminToken


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer ofa_...`. An API key of an agent's caller, `of_...`, opens nothing here."""

    def authenticate(self, request: Request) -> tuple[User, AdminToken] | None:
        scheme, _, raw = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        token = AdminToken.objects.authenticate(raw.strip()) if scheme.lower() == "bearer" else None
        address: str = request.META.get("REMOTE_ADDR", "")
        if token is None:
            wrong_keys.wrong(address)
            raise AuthenticationFailed(
                "This is not a valid admin token. To make one: openfang token create NAME --scope SCOPE",
                code="invalid_token",
            )
        wrong_keys.right(address, token.id)
        AdminToken.objects.note_use(token, timezone.now())
        return token.owner, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class AdminSession(SessionAuthentication):
    """The web admin's own session; what it changes needs the CSRF token, as in the admin."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        return found if found is not None and found[0].is_staff else None
