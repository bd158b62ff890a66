import html
import logging
import re
from typing import Annotated, TypeVar

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from msgspec import Meta, Struct, field
from yarl import URL

from agents.errors import ToolFailed
from agents.tools.addresses import Reach
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.quoting import quoted
from agents.tools.safe_http import BadStatus, SafeHttp
from agents.urls import split_http_url

logger = logging.getLogger(__name__)

BRAVE = "https://api.search.brave.com/res/v1/web/search"
NOT_CONFIGURED = (
    "No search service is configured on this server, so nothing can be searched. Tell the user that an administrator "
    "can set OPENFANG_SEARCH_URL (a SearXNG instance) or BRAVE_API_KEY."
)
REFUSALS = {
    401: "it does not accept this server's key",
    403: "it refuses this server; a SearXNG instance must list json under search.formats in its settings",
    422: "it does not accept this server's key or the query",
    429: "it has had too many searches from this server for now",
}
TAG = re.compile(r"<[^<>]*>")
T = TypeVar("T")


class Hit(Struct):
    """A page that was found; SearXNG calls its extract `content`, Brave `description`."""

    url: str
    title: str | None = None
    content: str | None = None
    description: str | None = None


class Hits(Struct):
    results: list[Hit] = field(default_factory=list)


class BraveAnswer(Struct):
    web: Hits | None = None


async def web_search(
    context: RunContext,
    query: Annotated[str, Meta(description="What to search for.", min_length=1, max_length=400)],
    max_results: Annotated[int, Meta(description="How many results to return.", ge=1, le=10)] = 5,
) -> str:
    """Search the web and return titles, URLs and extracts of the pages found. Read a page itself with web_fetch."""
    if instance := searxng_url():
        hits = await _searxng(instance, query)
    elif settings.BRAVE_API_KEY:
        hits = await _brave(settings.BRAVE_API_KEY, query, max_results)
    else:
        logger.warning("An agent wanted to search the web: set OPENFANG_SEARCH_URL or BRAVE_API_KEY, or untick it.")
        raise ToolFailed(NOT_CONFIGURED)
    if not hits:
        return f"Nothing was found for {query!r}."
    return quoted("\n\n".join(f"{place}. {_shown(hit)}" for place, hit in enumerate(hits[:max_results], start=1)))


async def _searxng(instance: URL, query: str) -> list[Hit]:
    answer = await _ask(instance.with_query(q=query, format="json"), {})
    return _decoded(answer, Hits).results


async def _brave(key: str, query: str, count: int) -> list[Hit]:
    answer = await _ask(URL(BRAVE).with_query(q=query, count=count), {"X-Subscription-Token": key})
    return (_decoded(answer, BraveAnswer).web or Hits()).results


async def _ask(url: URL, headers: dict[str, str]) -> bytes:
    """Return what the service answers. Its host is the administrator's choice, so it may be a private one."""
    proxy = settings.PROXIES.for_url(str(url))
    service = SafeHttp(Reach([url.host_port_subcomponent or ""]), max_redirects=0, proxy=proxy)
    try:
        return (await service.get(str(url), headers=headers)).body
    except ToolFailed as error:
        reason = (
            REFUSALS.get(error.status, f"it answered {error.status}") if isinstance(error, BadStatus) else str(error)
        )
        logger.warning("The search service at %s failed: %s", url.host, reason)
        raise ToolFailed(f"The search service failed: {reason}. This is for the administrator to mend.") from None


def _decoded(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        logger.warning("The search service answered something that is not its JSON.")
        raise ToolFailed("The search service answered something that is not a list of results.") from None


def _shown(hit: Hit) -> str:
    title, extract = (_plain(text or "") for text in (hit.title, hit.content or hit.description))
    return "\n".join(filter(None, (title[:200] or "(no title)", hit.url[:1000], extract[:500])))


def _plain(text: str) -> str:
    """Return a text without the mark-up by which services show what matched."""
    return " ".join(html.unescape(TAG.sub("", text)).split())


def searxng_url() -> URL | None:
    """Return the address of OPENFANG_SEARCH_URL's search, or None where it is not set."""
    if not settings.OPENFANG_SEARCH_URL:
        return None
    parts = split_http_url(settings.OPENFANG_SEARCH_URL)
    if parts is None or parts.username or parts.password:
        raise ImproperlyConfigured("OPENFANG_SEARCH_URL is not the http(s) URL of a SearXNG instance.")
    url = URL(settings.OPENFANG_SEARCH_URL)
    return url if url.name == "search" else url / "search"


searxng_url()  # A bad URL stops the start, not a run.
tool = FunctionTool(web_search, timeout=25)
