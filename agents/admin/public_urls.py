from django.conf import settings
from django.http import HttpRequest


def public_url(request: HttpRequest, path: str) -> str:
    """Return the URL at which the sender of this request reaches a path of the server that is no page of Django's."""
    return request.build_absolute_uri(f"{settings.OPENFANG_ROOT_PATH}{path}")
