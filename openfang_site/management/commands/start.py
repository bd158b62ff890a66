import argparse
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand, program
from openfang_site.detached import start_detached


class Command(OpenFangCommand):
    help = "Serve the agents, until Ctrl-C or, with --detach, in the background until: openfang stop."
    examples = ("start", "start --detach --port 8080")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host", default=settings.OPENFANG_HOST, help="the address to serve on (default: %(default)s)"
        )
        parser.add_argument(
            "--port", type=port, default=settings.OPENFANG_PORT, help="0 takes a free one (default: %(default)s)"
        )
        parser.add_argument("--detach", action="store_true", help="serve in the background")
        parser.add_argument("--tell", type=int, help=argparse.SUPPRESS)  # the pipe to a parent that detaches

    def handle(self, *, host: str, port: int, detach: bool, tell: int | None, **options: Any) -> None:
        if detach:
            self.stdout.write(start_detached(host, port) + f"Stop it with: {program()} stop")
            return
        from openfang_site.serving import serve_agents  # noqa: PLC0415 -- puts the server's event loop in place

        def tell_user(text: str) -> None:
            self.stdout.write(f"{text}\nStop it with Ctrl-C.")
            self.stdout.flush()

        def tell_parent(text: str) -> None:
            assert tell is not None
            with open(tell, "w") as parent:
                parent.write(text + "\n")

        serve_agents(host, port, tell_user if tell is None else tell_parent)


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
