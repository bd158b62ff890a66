"""Who may call: bearers of a valid key, and, while no key exists, programs on this machine."""

from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from agents import playground
from agents.keyring import KeySpec
from agents.limits.wrong_keys import wrong_keys
from agents.runs import engine
from agents.urls import hostname_of
from openai_compat.addresses import client_address

FORWARDING_HEADERS = {
    b"forwarded",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"cf-connecting-ip",
    b"true-client-ip",
}


class BearerKey(BaseAuthentication):
    """`Authorization: Bearer of_...`. Without any key in the database, every program on this machine may call."""

    def authenticate(self, request: Request) -> tuple[None, KeySpec | None]:
        scheme, _, raw = request.headers.get("authorization", "").partition(" ")
        if raw.startswith(playground.PREFIX):
            return None, playground_pass(raw.strip())
        snapshot = engine.snapshot
        if snapshot.keyless:
            if reason := why_not_local(request):
                raise unauthorized(
                    f"This server has no API keys yet, so it answers only programs on its own machine: {reason}."
                )
            return None, None
        if scheme.lower() != "bearer" or not raw.strip():
            raise unauthorized("You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY.")
        address = client_address(request)
        key = snapshot.keys.authenticate(raw.strip(), address)
        if key is None:
            wrong_keys.wrong(address)
            raise unauthorized("Incorrect API key provided. Ask the administrator of this server for one.")
        wrong_keys.right(address, key.id)
        engine.note_use(key)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def playground_pass(token: str) -> KeySpec:
    key = playground.read(token)
    if key is None:
        raise unauthorized("The playground's token has expired. Reload the page to get another one.")
    return key


def unauthorized(message: str) -> AuthenticationFailed:
    error = AuthenticationFailed(message)
    error.code = "invalid_api_key"  # type: ignore[attr-defined]
    return error


def why_not_local(request: Request) -> str | None:
    """Return why a request may come from elsewhere: through a tunnel, a proxy, or a web page that rebinds its name."""
    scope: dict[str, Any] = request._request.scope  # type: ignore[attr-defined]
    headers = request._request.headers
    if not all(_loopback(end[0]) for end in (scope.get("client"), scope.get("server")) if end):
        return "this request came over the network"
    if not _loopback(hostname_of(f"//{headers.get('host', '')}")):
        return "this request was addressed to another host name"
    if found := forwarding_header(scope):
        return f"this request was forwarded ({found})"
    origin = headers.get("origin")
    if origin is not None and not _loopback(hostname_of(origin)):
        return "this request was sent by a web page from elsewhere"
    return None


def forwarding_header(scope: dict[str, Any]) -> str | None:
    """Return the header by which a proxy tells that it has passed a request on, if the request has one."""
    return next((name.decode() for name, _ in scope["headers"] if name in FORWARDING_HEADERS), None)


@lru_cache(maxsize=1024)
def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
