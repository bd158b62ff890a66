"""/api/docs in a browser: it asks who it is, shows every operation, and tries one out."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NAME, PASSWORD, log_in
from tests.live import Live

pytestmark = pytest.mark.slow


async def test_whoever_is_not_logged_in_is_asked_to(page: Page, site: Live) -> None:
    await page.goto(f"{site.url}/api/docs")
    await page.fill("#id_username", NAME)
    await page.fill("#id_password", PASSWORD)
    await page.click("button[type=submit]")

    await page.wait_for_url(f"{site.url}/api/docs")
    await expect(page.get_by_role("heading", name="OpenFang's management API")).to_be_visible()


async def test_every_operation_is_shown_and_is_tried_out_with_the_session(page: Page, site: Live) -> None:
    await log_in(page, site)
    document = await (await page.request.get(f"{site.url}/api/schema")).json()
    await page.goto(f"{site.url}/api/docs")

    operations = sum(len(methods) for methods in document["paths"].values())
    await expect(page.locator(".opblock")).to_have_count(operations)

    disable = page.locator("#operations-agents-agents_disable")
    await disable.locator(".opblock-summary-control").click()
    await disable.get_by_role("button", name="Try it out").click()
    await disable.get_by_placeholder("id").fill("blind")
    await disable.get_by_role("button", name="Execute").click()
    answer = disable.locator(".live-responses-table .response-col_description .highlight-code").first
    await expect(answer).to_contain_text('"name": "blind"')
    await expect(answer).to_contain_text('"enabled": false')
    [row] = site.rows("SELECT enabled FROM agents_agent WHERE name = 'blind'")
    assert row["enabled"] == 0
    site.manage(
        "shell",
        "--no-imports",
        "-c",
        "from agents.models import Agent; Agent.objects.filter(name='blind').update(enabled=True)",
    )
