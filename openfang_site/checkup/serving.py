"""Whether a server runs or could, and who may reach it."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError

from django.conf import settings
from django.db import connection
from redis.exceptions import RedisError

from agents.management.base import program
from agents.management.server_state import ServerNote, is_running, running_server
from agents.models import ApiKey
from openfang_site.checkup.finding import Finding, ok, problem, warning
from openfang_site.listener import CannotListen, PortTaken, take_port
from openfang_site.serving import is_loopback

SECONDS = 5


def server() -> Iterator[Finding]:
    if note := running_server():
        yield _answer_of(note)
    elif is_running():
        yield ok("server", "It is starting.")
    else:
        yield _port()


def _answer_of(note: ServerNote) -> Finding:
    try:
        with settings.PROXIES.opener(note.url).open(f"{note.url}/readyz", timeout=SECONDS):
            return ok("server", f"It runs at {note.url} and is ready.")
    except HTTPError as error:
        try:
            failed = [name for name, said in json.load(error)["checks"].items() if said != "ok"]
        except (ValueError, KeyError):
            failed = []
        what = f": {', '.join(failed)}" if failed else ""
        return problem("server", f"It runs at {note.url} and is not ready{what}.", f"{program()} logs may say why.")
    except OSError as error:
        text = f"Process {note.pid} runs, but does not answer at {note.url} ({type(error).__name__})."
        return problem("server", text, f"{program()} logs may say why; {program()} stop and start begin anew.")


def _port() -> Finding:
    host, port = settings.OPENFANG_HOST, settings.OPENFANG_PORT
    try:
        take_port(host, port).close()
    except PortTaken:
        text = f"It does not run, and another program uses port {port}."
        return problem("server", text, f"Find it with ss -ltnp 'sport = :{port}', or use another: OPENFANG_PORT.")
    except CannotListen as error:
        return problem("server", str(error), "Check OPENFANG_HOST and OPENFANG_PORT.")
    return ok("server", f"It does not run; {host}, port {port}, is free. To start it: {program()} start")


def keys() -> Iterator[Finding]:
    """Say who is let in."""
    has_table = ApiKey._meta.db_table in connection.introspection.table_names()
    states = [key.state for key in ApiKey.objects.all()] if has_table else []
    good = bool(settings.OPENFANG_API_KEY) + states.count("active")
    if good:
        yield ok("access", f"{good} API key{'s' if good > 1 else ''}: every request needs one.")
    elif states:
        text = "Every API key is revoked or expired, and every request needs one: nobody is let in."
        yield warning("access", text, f"{program()} key create NAME")
    elif is_loopback(settings.OPENFANG_HOST):
        yield ok("access", "There is no API key: programs on this machine need none, others are not let in.")
    else:
        text = f"Others reach {settings.OPENFANG_HOST} (OPENFANG_HOST), and there is no API key: it will not start."
        yield problem("access", text, f"{program()} key create NAME")


def redis() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        return
    from redis import Redis  # noqa: PLC0415 -- where there is one

    try:
        with Redis.from_url(settings.REDIS_URL, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            client.ping()
    except (RedisError, OSError, ValueError) as error:
        # The type alone: the text may hold the password of the URL.
        then = (
            "requests are refused"
            if settings.OPENFANG_LIMITS_WITHOUT_REDIS == "refuse"
            else "limits do not hold together"
        )
        yield problem(
            "redis", f"Redis does not answer ({type(error).__name__}): {then}.", "Check REDIS_URL, and whether it runs."
        )
    else:
        yield ok("redis", "It answers.")
