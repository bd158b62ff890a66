import os
import signal
import time
from typing import Any

from django.conf import settings
from django.core.management import CommandError

from agents.management.base import OpenFangCommand
from agents.management.server_state import is_running, running_server
from agents.usage.workers import is_alive

GRACE = 10  # seconds beyond those that running answers have
PAUSE = 0.1


class Command(OpenFangCommand):
    help = "Stop the server, letting running answers end."
    examples = ("stop",)

    def handle(self, **options: Any) -> None:
        if not is_running():
            self.stdout.write("OpenFang is not running.")
            return
        note = running_server()
        if note is None:
            raise CommandError("OpenFang is still starting; try again when it is ready.")
        try:
            os.kill(note.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it has ended meanwhile
        except PermissionError:
            raise CommandError(f"Process {note.pid} belongs to another user, who can stop it.") from None
        patience = settings.OPENFANG_DRAIN_SECONDS + GRACE
        deadline = time.monotonic() + patience
        while is_running() and is_alive(note.pid):  # with PostgreSQL another server may share the lock
            if time.monotonic() > deadline:
                raise CommandError(
                    f"Process {note.pid} has not ended within {patience} s. To end it: kill -9 {note.pid}"
                )
            time.sleep(PAUSE)
        self.stdout.write("OpenFang has stopped.")
