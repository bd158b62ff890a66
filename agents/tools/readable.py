"""Making pages readable for a model: text as it is, HTML as Markdown without what surrounds the content."""

import asyncio
import codecs
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from agents.errors import ToolFailed
from agents.tools.safe_http import Page

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
META_CHARSET = re.compile(rb"<meta[^<>]{0,200}charset\s*=\s*[\"']?([\w-]{1,40})", re.IGNORECASE)
# Codecs that no page is written in, of which some take time that grows with the square of the text.
ODD_CODECS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw-unicode-escape", "utf-7"})
PARSE_SECONDS = 10
# A parse may take a core and, for a page made to be bad, a gigabyte.
_places = asyncio.Semaphore(2)


async def readable(page: Page) -> tuple[str, str]:
    """Return the title, or "", and the text of a page. Raises ToolFailed for HTML that cannot be read in time."""
    is_html = page.content_type in HTML_TYPES
    charset = page.charset or (_declared_charset(page.body) if is_html else None)
    text = _decoded(page.body, charset)
    if not is_html:
        return "", text
    async with _places:
        output = await _converted(text.encode("utf-8", "replace"), str(page.url))
    title, _, markdown = output.decode("utf-8", "replace").partition("\n")
    return title, markdown.strip()


def _declared_charset(body: bytes) -> str | None:
    match = META_CHARSET.search(body[:1024])
    return match[1].decode("ascii", "replace") if match else None


def _decoded(body: bytes, charset: str | None) -> str:
    """Return a body as text: a byte order mark counts most, then the charset, and UTF-8 where neither is known."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if body.startswith(mark):
            return body.decode(name, "replace")
    with suppress(LookupError, ValueError):
        if charset and codecs.lookup(charset).name not in ODD_CODECS:
            return body.decode(charset, "replace")
    return body.decode("utf-8", "replace")


async def _converted(html: bytes, url: str) -> bytes:
    program = Path(__file__).with_name("readable_process.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(program), url, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}
    )
    try:
        async with asyncio.timeout(PARSE_SECONDS):
            output, _ = await process.communicate(html)
    except TimeoutError:
        raise ToolFailed(f"The page is too complicated to be read within {PARSE_SECONDS} seconds.") from None
    finally:
        await _ended(process)
    if process.returncode != 0:
        raise ToolFailed("The page is too complicated to be read.")
    return output


async def _ended(process: Process) -> None:
    """Leave no process behind, also when the run was cancelled."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
