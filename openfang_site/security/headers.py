from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

SAME_ORIGIN_ONLY = {
    "default-src": "'none'",
    "script-src": "'self'",
    # The admin's theme writes its colours into a <style> of the page, and Alpine and htmx set styles of elements.
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# Alpine, which the admin's pages are written in, makes functions of the texts in their attributes.
ADMIN = SAME_ORIGIN_ONLY | {"script-src": "'self' 'unsafe-eval'"}


def policy(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


class SecurityHeaders(MiddlewareMixin):
    """Tells browsers that a page loads nothing from elsewhere, runs no script of its own text, and is in no frame."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        is_admin = request.path_info.startswith("/admin/")
        response.headers.setdefault("Content-Security-Policy", POLICIES[is_admin])
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if is_admin:
            # Pages of the admin show what is not for the next user of the same browser.
            response.headers.setdefault("Cache-Control", "no-store")
        return response


POLICIES: dict[Any, str] = {False: policy(SAME_ORIGIN_ONLY), True: policy(ADMIN)}
