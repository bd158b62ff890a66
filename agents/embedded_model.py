"""Which embedded model this server uses: one of its own, or that of a service which several servers share."""

from django.conf import settings
from django.utils.crypto import salted_hmac

from agents.providers.embedded import EmbeddedModel, Endpoint
from agents.providers.embedded_service import EmbeddedService


def embedded_model() -> EmbeddedModel | EmbeddedService:
    """Return the model, which nothing is started or asked for to make."""
    url = settings.OPENFANG_EMBEDDED_URL
    return EmbeddedService(Endpoint(url, service_key())) if url else EmbeddedModel()


def service_key() -> str:
    """Return the key of the service, which all that have one secret key can work out."""
    return salted_hmac("openfang.embedded-model", "service", algorithm="sha256").hexdigest()
