"""Where a request comes from."""

import re
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from agents.networks import lies_in

# As proxies write them: 192.0.2.7, 192.0.2.7:1234, 2001:db8::1, [2001:db8::1]:1234
WITH_PORT = re.compile(r"^(?:\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[\d.]+):\d+)$")


def client_address(request: Request | HttpRequest) -> str:
    """Return the client's address: the last in X-Forwarded-For that no trusted proxy has, if one sent the request."""
    address: str = request.META.get("REMOTE_ADDR") or ""
    proxies = settings.OPENFANG_TRUSTED_PROXIES
    if not proxies or not lies_in(address, proxies):
        return address
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        found = _address(hop.strip())
        if found is None:
            return address
        address = found
        if not lies_in(address, proxies):
            return address
    return address


def _address(text: str) -> str | None:
    if match := WITH_PORT.match(text):
        text = match["six"] or match["four"]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
