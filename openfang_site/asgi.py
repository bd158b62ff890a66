"""The whole application: probes, /v1 for the OpenAI-compatible consumer, WebSockets of live pages, Django's rest."""

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, WebsocketDenier
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from openfang_site.root_path import BelowRoot
from openfang_site.static_files import StaticFiles

django_application = StaticFiles(get_asgi_application())

from agents.limits.counting import store  # noqa: E402 -- needs the apps that get_asgi_application loads
from agents.live import RequestsConsumer  # noqa: E402
from openai_compat.consumers import OpenAIConsumer  # noqa: E402
from openai_compat.cors import cors_headers  # noqa: E402
from openfang_site import urls  # noqa: E402, F401 -- before the first request, which would wait for it for 0.7 s
from openfang_site.health import PATHS, health  # noqa: E402
from openfang_site.observability import endpoint  # noqa: E402
from openfang_site.observability.listeners import listen  # noqa: E402
from openfang_site.observability.request_log import logged, note_refusal  # noqa: E402

if TYPE_CHECKING:  # the server chooses the reactor of the process that imports it
    from openfang_site.server import Headers, Refusal

openai_application = OpenAIConsumer.as_asgi()
listen()
# Django keeps a cache for each context, and requests are tasks: they inherit this one instead of making their own.
store()


ROOT: str = settings.OPENFANG_ROOT_PATH


def is_api(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def refused(refusal: "Refusal") -> "Headers":
    """Note a request that the server has refused, and let the web pages that may call /v1 read why."""
    path = refusal.path.removeprefix(ROOT)
    note_refusal(refusal, is_api=not path or is_api(path))
    return cors_headers({"headers": refusal.headers}) if is_api(path) else []


async def http(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"].removeprefix(ROOT)
    if path in PATHS:
        await health(scope, receive, send)
    elif path == endpoint.PATH:
        await endpoint.metrics(scope, receive, send)
    elif is_api(path):
        await logged(openai_application, scope, receive, send, is_api=True)
    elif path.startswith("/static/"):
        await django_application(scope, receive, send)
    else:
        await logged(django_application, scope, receive, send)


live_pages = [path("admin/live/requests/", RequestsConsumer.as_asgi()), re_path("", WebsocketDenier.as_asgi())]
websocket = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(live_pages)))

application: Any = ProtocolTypeRouter({"http": http, "websocket": websocket})
if ROOT:
    application = BelowRoot(application, ROOT, outside=(*PATHS, endpoint.PATH))
