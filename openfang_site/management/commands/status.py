import sys
from datetime import timedelta
from typing import Any

from django.utils import timezone

from agents.management.base import OpenFangCommand
from agents.management.server_state import ServerNote, is_running, running_server
from agents.models import Agent, UsageRecord

NOT_RUNNING = 3  # as service managers have it


class Command(OpenFangCommand):
    help = (
        f"Say whether the server runs, where, and what it has to do. The exit code is {NOT_RUNNING} if it does not run."
    )
    examples = ("status", "status --json")

    def handle(self, **options: Any) -> None:
        if note := running_server():
            self.stdout.write(described(note))
        elif is_running():
            self.stdout.write("OpenFang is starting.")
        else:
            self.stdout.write("OpenFang is not running.")
            sys.exit(NOT_RUNNING)


def described(note: ServerNote) -> str:
    agents = Agent.objects.filter(enabled=True).count()
    requests = UsageRecord.objects.filter(started_at__gte=timezone.now() - timedelta(hours=1)).count()
    return (
        "OpenFang is running.\n\n"
        f"  Address   {note.url}\n"
        f"  Process   {note.pid}, up {duration(note.uptime_seconds)}\n"
        f"  Agents    {agents}\n"
        f"  Requests  {requests} in the last hour\n"
    )


def duration(seconds: int) -> str:
    """Say a time span in its two largest units, as in `3 h 12 min`."""
    units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    parts: list[str] = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
