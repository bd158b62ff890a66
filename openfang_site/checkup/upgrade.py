"""Rows that stop working under this version, each with the line that restores it: before an upgrade, and after."""

from collections.abc import Iterator

from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from agents.exposed_variables import NEVER_EXPOSED, setting_with, why_withheld
from agents.models import McpServer, Provider
from openfang_site.checkup.finding import Finding, State, problem, warning
from openfang_site.checkup.shell import shell

SESSIONS_BY_DIGEST = ("agents", "0009_sessions_by_digest")


def stopped_rows() -> Iterator[Finding]:
    """Yield a finding for each provider, MCP server and agent that is not served as it says.

    Only columns that older versions have are read, so that it can be asked before the database is brought up to date.
    """
    yield from withheld_variables()
    yield from (finding for finding in shell() if finding.state is State.PROBLEM)


def withheld_variables() -> Iterator[Finding]:
    """Name each variable that a row may not send, with the setting that lets it."""
    for provider in Provider.objects.filter(encrypted_api_key=b"").only("name", "api_key_env", "base_url"):
        if provider.why_withheld:
            yield _withheld(f"The provider {provider.name}", provider.api_key_env, provider.base_url)
    columns = ("name", "transport", "url", "headers", "environment")
    for server in McpServer.objects.filter(enabled=True).only(*columns):
        for name in dict.fromkeys(name for _, name in server.named_variables()):
            if why_withheld(name, server.address):
                yield _withheld(f"The MCP server {server.name}", name, server.address)


def sessions() -> Iterator[Finding]:
    """Say who has to sign in again, while the sessions of an older version are still there."""
    if SESSIONS_BY_DIGEST in MigrationRecorder(connection).applied_migrations():
        return
    if count := Session.objects.filter(expire_date__gt=timezone.now()).count():
        text = f"The upgrade ends {count} session{'s' * (count != 1)} of the web admin."
        yield warning("sessions", text, "People sign in once more.")


def _withheld(row: str, name: str, url: str) -> Finding:
    text = f"{row} names {name}, which this server may not {f'send to {url}' if url else 'give to a program'}."
    if name in NEVER_EXPOSED:
        return problem("environment variables", text, "Name another variable: this one is never sent.")
    return problem("environment variables", text, f"If it is meant to have it, set {setting_with(name, url)}")
