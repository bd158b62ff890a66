"""Whether every agent has a model that answers."""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from agents.management.base import program
from agents.snapshot import read_snapshot
from agents.types import ProviderSpec
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
    used: dict[ProviderSpec, list[str]] = defaultdict(list)
    for agent in read_snapshot().agents:
        for provider in {model.provider: None for model in agent.models}:
            used[provider].append(agent.name)
    with ThreadPoolExecutor(max_workers=8) as pool:
        for findings in pool.map(_provider, used, used.values()):
            yield from findings


def _provider(provider: ProviderSpec, agents: list[str]) -> list[Finding]:
    if provider.kind == "embedded":
        return [_embedded(agents)]
    check, names = f"provider {provider.name}", ", ".join(agents[:5]) + (" ..." if len(agents) > 5 else "")
    if provider.api_key_env and not provider.api_key:
        text = f"{provider.api_key_env} is not set here, and {names} need it."
        return [problem(check, text, "Set it where the server starts, or enter the key in the web admin.")]
    request = Request(f"{provider.base_url}/models", headers={"User-Agent": "OpenFang"})
    if provider.api_key:
        request.add_unredirected_header("Authorization", f"Bearer {provider.api_key}")
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            status, date = answer.status, answer.headers["Date"]
    except HTTPError as error:
        status, date = error.code, error.headers["Date"]
    except (OSError, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        text = f"It cannot be reached at {provider.base_url} ({why}); {names} use it."
        return [problem(check, text, "Check its URL, this machine's network, and whether the provider works.")]
    if status in (401, 403):
        text = f"It refuses this server's API key (HTTP {status}); {names} use it."
        return [problem(check, text, f"Check {provider.api_key_env or 'the key that is kept'}.")]
    # Whatever else it says of its list: it is there, and agents ask it for answers, not for lists.
    return [ok(check, f"It answers at {provider.base_url}."), *_clock(provider.name, date)]


def _clock(provider: str, date: str | None) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return
    ahead = round((datetime.now(UTC) - theirs).total_seconds())
    if abs(ahead) > SKEW_SECONDS:
        text = f"This machine's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} that of {provider}."
        yield warning("clock", text, "Let it be set by NTP: limits, budgets and the times of requests go by it.")


def _embedded(agents: list[str]) -> Finding:
    from agents.providers.embedded import EmbeddedModel  # noqa: PLC0415 -- brings aiohttp

    if reason := EmbeddedModel().unavailable_because:
        return problem("embedded model", f"{reason} {', '.join(agents)} use it.", "Or set a provider's key.")
    return ok("embedded model", "It is installed. It is small: good to try things, not for work.")
