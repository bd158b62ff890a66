from django.conf import settings
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from agents.networks import lies_in
from openai_compat.addresses import client_address


class TrustedProxies(MiddlewareMixin):
    """Takes the client's address and scheme from the proxies that the settings trust, and from nobody else."""

    def process_request(self, request: HttpRequest) -> None:
        address = client_address(request)
        if not lies_in(request.META.get("REMOTE_ADDR") or "", settings.OPENFANG_TRUSTED_PROXIES):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        request.META["REMOTE_ADDR"] = address
