import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.embedded_model import service_key
from agents.management.arguments import port
from agents.management.base import OpenFangCommand
from agents.providers.embedded import EmbeddedModel, EmbeddedModelUnavailable
from openfang_site.listener import CannotListen, take_port


class Command(OpenFangCommand):
    help = (
        "Serve the embedded model alone, until Ctrl-C, for servers that have its address in OPENFANG_EMBEDDED_URL and "
        "the same OPENFANG_SECRET_KEY."
    )
    examples = ("serve-model", "serve-model --host 0.0.0.0 --port 8080")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: %(default)s)")
        parser.add_argument("--port", type=port, default=8080, help="0 takes a free one (default: %(default)s)")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        def tell(url: str) -> None:
            self.stdout.write(f"The embedded model is at {url}\nStop it with Ctrl-C.")
            self.stdout.flush()

        try:
            take_port(host, port).close()  # llama.cpp does not say what was wrong with it
            asyncio.run(serve(EmbeddedModel(host=host, port=port, api_key=service_key()), tell))
        except (CannotListen, EmbeddedModelUnavailable) as error:
            raise CommandError(str(error)) from None


async def serve(model: EmbeddedModel, tell: Callable[[str], None]) -> None:
    """Serve until a signal. Raises EmbeddedModelUnavailable if the model does not start, or ends of itself."""
    serving = asyncio.create_task(_serve(model, tell))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await serving
    finally:
        await model.aclose()


async def _serve(model: EmbeddedModel, tell: Callable[[str], None]) -> None:
    tell((await model.endpoint()).base_url)
    await model.until_it_ends()
    raise EmbeddedModelUnavailable("The embedded model has ended.")
