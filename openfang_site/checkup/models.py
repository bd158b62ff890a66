"""Whether every agent has a model that answers."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError
from urllib.request import Request

from django.conf import settings

from agents.errors import AgentError
from agents.management.base import program
from agents.models import Provider, ProviderKind
from agents.snapshot import read_snapshot
from openfang_site.checkup.finding import Finding, ok, problem, warning

SECONDS = 8
SKEW_SECONDS = 60  # what signatures and certificates of most services stand


def agents_models() -> Iterator[Finding]:
    snapshot = read_snapshot()
    if not snapshot.agents:
        yield warning("agents", "There is no enabled agent.", f"{program()} spawn assistant")
        return
    without = [agent.name for agent in snapshot.agents if not agent.models]
    if without:
        text = f"No model answers for {', '.join(without)}."
        yield problem(
            "agents", text, f"Set a provider's key, such as GROQ_API_KEY, or: {program()} agent set NAME model=..."
        )
    else:
        yield ok("agents", f"{len(snapshot.agents)} enabled, each with a model.")


def providers() -> Iterator[Finding]:
    """Ask each provider whose models agents use for the list of its models, which costs nothing."""
    used: dict[str, list[str]] = defaultdict(list)
    for agent in read_snapshot().agents:
        for name in {model.provider.name: None for model in agent.models}:
            used[name].append(agent.name)
    rows = {row.name: row for row in Provider.objects.filter(name__in=used)}
    with ThreadPoolExecutor(max_workers=8) as pool:
        for findings in pool.map(lambda name: _provider(rows[name], used[name]), used):
            yield from findings


def _provider(provider: Provider, agents: list[str]) -> list[Finding]:
    users = f"It is used by {', '.join(agents[:5])}{' ...' if len(agents) > 5 else ''}."
    if provider.kind == ProviderKind.EMBEDDED:
        return [_embedded(users)]
    from agents.probing import NoListing, offered_models  # noqa: PLC0415 -- brings what serving needs

    check = f"provider {provider.name}"
    try:
        offered_models(provider)
    except NoListing:
        pass  # it is there, and agents ask it for answers, not for lists
    except AgentError as error:
        return [problem(check, f"{error} {users}", f"When that is mended: {program()} provider test {provider.name}")]
    return [ok(check, f"It answers at {provider.base_url}."), *_clock(provider)]


def _clock(provider: Provider) -> Iterator[Finding]:
    """Compare this machine's clock with that of a provider, which every answer tells."""
    try:
        request = Request(provider.base_url, method="HEAD")
        with settings.PROXIES.opener(provider.base_url).open(request, timeout=SECONDS) as answer:
            date = answer.headers["Date"]
    except HTTPError as error:
        date = error.headers["Date"]
    except (OSError, ValueError):
        return
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return
    if theirs.tzinfo is None:  # it says -0000
        theirs = theirs.replace(tzinfo=UTC)
    ahead = round((datetime.now(UTC) - theirs).total_seconds())
    if abs(ahead) > SKEW_SECONDS:
        text = (
            f"This machine's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} that of {provider.name}."
        )
        yield warning("clock", text, "Let it be set by NTP: limits, budgets and the times of requests go by it.")


def _embedded(users: str) -> Finding:
    from agents.embedded_model import embedded_model  # noqa: PLC0415 -- brings aiohttp

    try:
        asyncio.run(embedded_model().check())
    except AgentError as error:
        return problem("embedded model", f"{error} {users}", "Or set a provider's key.")
    url = settings.OPENFANG_EMBEDDED_URL
    where = f"It answers at {url}." if url else "It is installed."
    return ok("embedded model", f"{where} It is small: good to try things, not for work.")
