"""One life of the server process: the first start's rows, the port, the engine, and the words on the screen."""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable

from django.conf import settings
from django.db import connections

from agents.management.base import program
from agents.management.server_state import holding_data_dir, url_of, write_note
from agents.models import ApiKey
from agents.runs import engine
from agents.setup import SetupError, find_model, first_start, prepare
from openfang_site.announcement import announcement
from openfang_site.server import CannotListen, Limits, listen, serve

logger = logging.getLogger(__name__)


def serve_agents(host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve until a signal; `tell` gets the words for the administrator when the server is ready. Raises SetupError."""
    with holding_data_dir():
        prepare()
        public = not _is_loopback(host)
        if public and not (settings.OPENFANG_API_KEY or ApiKey.objects.exists()):
            raise SetupError(
                f"Serving on {host} would let anybody in: there is no API key. To make one: {program()} key create NAME"
            )
        _settle_default_model()
        try:
            listener = listen(host, port)
        except CannotListen as error:
            raise SetupError(str(error)) from None
        with listener:
            password = first_start()
            engine.start()
            connections.close_all()  # this thread needs the database no more
            _serve(listener, url_of(host, listener.getsockname()[1]), tell, password=password, public=public)


def _serve(
    listener: socket.socket, url: str, tell: Callable[[str], None], *, password: str | None, public: bool
) -> None:
    from openfang_site.asgi import application  # noqa: PLC0415 -- loads what the checks before it can do without

    warming_up: list[asyncio.Task[None]] = []

    def on_ready(_port: int) -> None:
        write_note(url)
        tell(announcement(url, engine.snapshot, password=password, public=public))
        if _uses_embedded_model():
            warming_up.append(asyncio.get_running_loop().create_task(engine.providers.embedded.warm_up()))

    def on_drain() -> None:
        logger.info("Stopping: running answers have %d s to end, or until a second Ctrl-C", limits.drain_seconds)
        engine.stop_runs()

    async def on_stopped() -> None:
        for task in warming_up:
            task.cancel()
        await engine.aclose()

    limits = Limits(body_bytes=settings.OPENFANG_MAX_BODY_BYTES, drain_seconds=settings.OPENFANG_DRAIN_SECONDS)
    serve(application, listener, limits=limits, on_ready=on_ready, on_drain=on_drain, on_stopped=on_stopped)


def _is_loopback(host: str) -> bool:
    """Say whether nobody but this machine can reach that address."""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None, flags=socket.AI_PASSIVE)}
    except (OSError, UnicodeError):
        return True  # there is nothing to reach, which `listen` explains
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def _settle_default_model() -> None:
    """Make sure that the default model which the settings name has a row."""
    try:
        model = find_model(settings.OPENFANG_DEFAULT_PROVIDER, settings.OPENFANG_DEFAULT_MODEL)
    except SetupError as error:
        raise SetupError(f"OPENFANG_DEFAULT_PROVIDER and OPENFANG_DEFAULT_MODEL: {error}") from None
    if model is not None and model.pk is None:
        logger.warning("The catalog does not list the default model %s: its prices and limits are unknown.", model)
        model.save()


def _uses_embedded_model() -> bool:
    first_models = (agent.models[0] for agent in engine.snapshot.agents if agent.models)
    return any(model.provider.kind == "embedded" for model in first_models)
