"""One life of the server: the first start's rows, the port, one worker or several, and the words on the screen."""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable

from django.conf import settings

from agents.management.base import program
from agents.management.server_state import holding_data_dir, url_of, write_note
from agents.models import ApiKey
from agents.setup import SetupError, find_model, first_start, prepare
from agents.snapshot import Snapshot, read_snapshot
from openfang_site.announcement import announcement
from openfang_site.listener import CannotListen, take_port
from openfang_site.supervisor import Supervisor, let_go_of_database

logger = logging.getLogger(__name__)


def serve_agents(host: str, port: int, workers: int, tell: Callable[[str], None]) -> None:
    """Serve until a signal; `tell` gets the words for the administrator when the server is ready. Raises SetupError."""
    if workers > 1 and not settings.REDIS_URL:
        raise SetupError(
            "More than one worker needs REDIS_URL: without it each would count limits for itself, and live pages would "
            "show the requests of one."
        )
    with holding_data_dir():
        prepare()
        if not is_loopback(host) and not ApiKey.objects.needed():
            raise SetupError(
                f"Serving on {host} would let anybody in: there is no API key. To make one: {program()} key create NAME"
            )
        _settle_default_model()
        _name_stopped_rows()
        try:
            with take_port(host, port) as listener:
                _serve(listener, host, workers, tell)
        except CannotListen as error:
            raise SetupError(str(error)) from None


def _serve(listener: socket.socket, host: str, workers: int, tell: Callable[[str], None]) -> None:
    password = first_start()
    url = url_of(host, listener.getsockname()[1])

    def on_ready(snapshot: Snapshot) -> None:
        write_note(url)
        tell(announcement(url, snapshot, password=password, public=not is_loopback(host)))

    if workers > 1:
        _supervise(listener, workers, on_ready)
    else:
        from openfang_site.worker import serve_alone  # noqa: PLC0415 -- 50 MB that a supervisor does without

        serve_alone(listener, on_ready)


def _supervise(listener: socket.socket, workers: int, on_ready: Callable[[Snapshot], None]) -> None:
    snapshot = read_snapshot()
    let_go_of_database()

    async def run() -> None:
        await Supervisor(listener, workers).run(lambda: on_ready(snapshot))

    asyncio.run(run())


def is_loopback(host: str) -> bool:
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


def _name_stopped_rows() -> None:
    """Log which rows this version does not serve as they say, and what restores each: an upgrade may be the reason."""
    from openfang_site.checkup import stopped_rows  # noqa: PLC0415 -- checks of a server import this module

    for finding in stopped_rows():
        logger.warning("%s %s", finding.text, finding.advice)
