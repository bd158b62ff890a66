import asyncio
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from agents.management.base import OpenFangCommand


class Command(OpenFangCommand):
    help = "Measure what a request costs on this server and on others, and write docs/benchmarks.md."
    examples = ("bench --quick",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quick", action="store_true", help="a round of a second each; only prints the figures")
        parser.add_argument("--leaks", action="store_true", help="only see whether the server keeps anything")
        parser.add_argument(
            "--liars", action="store_true", help="only see how long others wait beside an LLM API that lies"
        )
        parser.add_argument("--database", default="", metavar="URL", help="with --liars: an empty PostgreSQL to use")
        parser.add_argument("--peers", action="store_true", help="install LiteLLM and Portkey's gateway first")

    def handle(self, *, quick: bool, leaks: bool, liars: bool, peers: bool, database: str, **options: Any) -> None:
        try:
            from benchmarks import bench  # noqa: PLC0415 -- the other commands can do without
            from benchmarks.beside import SECONDS, measure_beside  # noqa: PLC0415
            from benchmarks.leaks import Leak, find_leaks  # noqa: PLC0415
            from benchmarks.measure import WrongAnswer  # noqa: PLC0415
            from benchmarks.peers import known_peers  # noqa: PLC0415
        except ModuleNotFoundError:
            raise CommandError("The benchmarks are in the repository, not in the installed package.") from None
        if leaks:
            try:
                asyncio.run(find_leaks(tell=self.stdout.write))
            except Leak as leak:
                raise CommandError(str(leak)) from None
            return
        if liars:
            try:
                asyncio.run(
                    measure_beside(database_url=database, seconds=1 if quick else SECONDS, tell=self.stdout.write)
                )
            except WrongAnswer as error:
                raise CommandError(str(error)) from None
            return
        known = known_peers(Path(settings.OPENFANG_DATA_DIR))
        for peer in known if peers else ():
            try:
                peer.fetch()
            except (CalledProcessError, FileNotFoundError) as error:
                self.stderr.write(f"{peer.name} could not be installed, and is left out: {error}")
        installed = [peer for peer in known if peer.there]
        page = asyncio.run(bench.run(installed, quick=quick, tell=self.stdout.write))
        if quick:
            self.stdout.write(page)
        else:
            self.stdout.write(f"Written: {bench.write(page)}")
