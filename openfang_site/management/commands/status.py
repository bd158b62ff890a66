import sys
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from agents.management.base import OpenFangCommand, add_json
from agents.management.server_state import ServerNote, is_running, running_server
from agents.models import Agent, UsageRecord

NOT_RUNNING = 3  # as service managers have it


class Command(OpenFangCommand):
    help = (
        f"Say whether the server runs, where, and what it has to do. The exit code is {NOT_RUNNING} if it does not run."
    )
    examples = ("status", "status --json")

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, *, json: bool, **options: Any) -> None:
        note = running_server()
        state = "running" if note else "starting" if is_running() else "stopped"
        facts = facts_of(note) if note else {}
        if json:
            self.write_json({"state": state, **facts})
        elif note:
            self.stdout.write(described(note, facts))
        else:
            self.stdout.write("OpenFang is starting." if state == "starting" else "OpenFang is not running.")
        if state == "stopped":
            sys.exit(NOT_RUNNING)


def facts_of(note: ServerNote) -> dict[str, Any]:
    hour = UsageRecord.objects.filter(started_at__gte=timezone.now() - timedelta(hours=1))
    return {
        "url": note.url,
        "pid": note.pid,
        "started": note.started,
        "uptime_seconds": note.uptime_seconds,
        "agents": Agent.objects.filter(enabled=True).count(),
        "requests_last_hour": hour.count(),
    }


def described(note: ServerNote, facts: dict[str, Any]) -> str:
    return (
        "OpenFang is running.\n\n"
        f"  Address   {note.url}\n"
        f"  Process   {note.pid}, up {duration(note.uptime_seconds)}\n"
        f"  Agents    {facts['agents']}\n"
        f"  Requests  {facts['requests_last_hour']} in the last hour\n"
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
