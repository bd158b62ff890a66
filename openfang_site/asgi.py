"""The whole application: /v1 goes to the OpenAI-compatible consumer, everything else to Django."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from openfang_site.static_files import StaticFiles

django_application = StaticFiles(get_asgi_application())

from openai_compat.consumers import OpenAIConsumer  # noqa: E402 -- needs the apps that get_asgi_application loads

openai_application = OpenAIConsumer.as_asgi()


async def http(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    app = openai_application if path == "/v1" or path.startswith("/v1/") else django_application
    await app(scope, receive, send)


application = ProtocolTypeRouter({"http": http})
