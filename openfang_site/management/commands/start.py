import argparse
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from agents.management.arguments import port
from agents.management.base import OpenFangCommand, program
from openfang_site.detached import start_detached
from openfang_site.serving import serve_agents
from openfang_site.worker_process import Place


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
        parser.add_argument(
            "--workers",
            type=workers,
            default=settings.OPENFANG_WORKERS,
            help="processes that serve; more than one need Redis (default: %(default)s)",
        )
        parser.add_argument("--detach", action="store_true", help="serve in the background")
        parser.add_argument("--tell", type=int, help=argparse.SUPPRESS)  # the pipe to a parent that detaches
        parser.add_argument("--worker", type=int, nargs=4, help=argparse.SUPPRESS)  # its place under a supervisor

    def handle(
        self,
        *,
        host: str,
        port: int,
        workers: int,
        detach: bool,
        tell: int | None,
        worker: list[int] | None,
        **options: Any,
    ) -> None:
        if worker is not None:
            from openfang_site.worker import serve_supervised  # noqa: PLC0415 -- loads what the others do without

            serve_supervised(Place(*worker))
            return
        if detach:
            self.stdout.write(start_detached(host, port, workers) + f"Stop it with: {program()} stop")
            return

        def tell_user(text: str) -> None:
            self.stdout.write(f"{text}\nStop it with Ctrl-C.")
            self.stdout.flush()

        def tell_parent(text: str) -> None:
            assert tell is not None
            with open(tell, "w") as parent:
                parent.write(text + "\n")

        serve_agents(host, port, workers, tell_user if tell is None else tell_parent)


def workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 64):
        raise ArgumentTypeError(f"{text!r} is not a number of processes from 1 to 64")
    return int(text)
