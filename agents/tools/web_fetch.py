from typing import Annotated

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from msgspec import Meta

from agents.errors import ToolFailed
from agents.tools.addresses import Reach
from agents.tools.context import RunContext
from agents.tools.function import FunctionTool
from agents.tools.quoting import quoted
from agents.tools.readable import readable
from agents.tools.safe_http import SafeHttp


async def web_fetch(
    context: RunContext,
    url: Annotated[str, Meta(description="The whole URL, beginning with http:// or https://.")],
    max_chars: Annotated[int, Meta(description="How many characters of the text to return.", ge=1, le=25_000)] = 15_000,
    start: Annotated[int, Meta(description="Where in the text to begin; 0 is its beginning.", ge=0)] = 0,
) -> str:
    """Read a web page, or a text, JSON or XML document, at its URL.

    Returns the page's title, its final URL and its content as Markdown, without navigation and advertisements. Only
    public addresses can be reached. Long texts come in parts: ask again with `start`.
    """
    page = await SafeHttp(reach()).get(url)
    title, text = await readable(page)
    if start and start >= len(text):
        raise ToolFailed(f"The text at {url[:200]} has {len(text)} characters; there are none from {start} on.")
    part = text[start : start + max_chars]
    head = f"Title: {title}\nURL: {page.url}\n\n" if title else f"URL: {page.url}\n\n"
    return "\n".join([quoted(head + (part or "(no text)")), *_notes(len(text), start, start + len(part), page.cut)])


def _notes(length: int, start: int, end: int, cut: bool) -> list[str]:
    notes = []
    if end - start < length:
        more = f" Ask again with start={end} for what follows." if end < length else ""
        notes.append(f"[These are the characters {start} to {end} of {length}.{more}]")
    if cut:
        notes.append("[The document is larger than 5 MB: only its beginning was read.]")
    return notes


def reach() -> Reach:
    """Return where pages may be fetched from, by OPENFANG_FETCH_ALLOW."""
    try:
        return Reach(settings.OPENFANG_FETCH_ALLOW)
    except ValueError as error:
        raise ImproperlyConfigured(f"OPENFANG_FETCH_ALLOW: {error}") from None


reach()  # A bad entry stops the start, not a run.
# The text, its URL and what makes template marks harmless fit, so that the closing mark is never cut off.
tool = FunctionTool(web_fetch, timeout=35, max_result=40_000)
