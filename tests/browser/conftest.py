"""A real browser: Debian's Chromium, driven by Playwright; skipped where it is not installed, except in CI."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.live import Live
from tests.upstream import Upstream

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEAF_TO_THE_NETWORK = Path(__file__).with_name("chromium")
AXE = Path(__file__).parents[1] / "clients" / "node_modules" / "axe-core" / "axe.min.js"
MISSING = ""
if PROGRAM is None:
    MISSING = "Chromium is not installed: the pages are not tested in a browser."
elif not AXE.exists():
    MISSING = "axe-core is not installed; `npm ci --prefix tests/clients` does it."

NAME, PASSWORD = "boss", "a-good-pass-phrase"
ADMIN = f"from django.contrib.auth.models import User; User.objects.create_superuser({NAME!r}, '', {PASSWORD!r})"
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session", autouse=True)
def browser_is_there() -> None:
    if MISSING and os.environ.get("CI") != "true":
        pytest.skip(MISSING)
    assert not MISSING, MISSING


@pytest.fixture(scope="session")
def session_site(
    browser_is_there: None, session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("browser"), cast=session_upstream.base_url) as live:
        live.manage("shell", "--no-imports", "-c", ADMIN)
        yield live


@pytest.fixture
def site(session_site: Live, upstream: Upstream) -> Live:
    """A server with an administrator, whose agents are played by `upstream`."""
    return session_site


@pytest.fixture(scope="session")
def embedded_site(browser_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server as it is after its first start: one agent, with the embedded model."""
    with Live(tmp_path_factory.mktemp("embedded")) as live:
        live.manage("shell", "--no-imports", "-c", ADMIN)
        yield live


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page that keeps to the server under test, and on which no script may fail."""
    wrong: list[str] = []
    failed: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=DEAF_TO_THE_NETWORK,
            env={**os.environ, "CHROMIUM": str(PROGRAM)},
            args=["--no-sandbox"],
            timeout=WAIT_MS,
        )
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(error.stack or str(error)))
        page.on("requestfailed", lambda request: failed.append(f"{request.url}: {request.failure}"))
        page.on("request", lambda request: None if _is_local(request.url) else wrong.append(f"asked {request.url}"))
        yield page
        await browser.close()
    # An answer that is refused is an error for the browser; the pages show such errors to people.
    assert [text for text in wrong if not text.startswith("Failed to load resource")] == [], failed


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


async def log_in(page: Page, site: Live) -> None:
    await page.goto(f"{site.url}/admin/login/")
    await page.fill("#id_username", NAME)
    await page.fill("#id_password", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url(f"{site.url}/admin/")


async def serious_problems(page: Page) -> list[str]:
    """What axe-core finds serious or critical on a page; WCAG 2.1, levels A and AA."""
    await page.evaluate(AXE.read_text())
    found: Any = await page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
