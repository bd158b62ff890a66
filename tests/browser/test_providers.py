"""The pages of providers in a browser: testing one, and finding and adding its models by keyboard."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import log_in, serious_problems
from tests.live import Live
from tests.upstream import Upstream

pytestmark = pytest.mark.slow


def provider_page(site: Live, name: str, page: str) -> str:
    [row] = site.rows(f"SELECT id FROM agents_provider WHERE name = '{name}'")
    return f"{site.url}/admin/agents/provider/{row['id']}/{page}/"


async def test_models_are_found_among_hundreds_and_added_by_keyboard(
    page: Page, site: Live, upstream: Upstream
) -> None:
    upstream.models = [f"model-{number:03}" for number in range(300)]
    await log_in(page, site)
    await page.goto(provider_page(site, "scripted", "models"))

    await expect(page.get_by_role("searchbox", name="Find")).to_be_focused()
    await page.keyboard.type("MODEL 12")
    await expect(page.get_by_role("status")).to_have_text("13 of 300 models")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("checkbox", name="model-012")).to_be_focused()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Add 2 models")).to_be_enabled()
    assert await serious_problems(page) == []
    await page.keyboard.press("Enter")

    await expect(page.get_by_text("2 models added.")).to_be_visible()
    added = site.rows("SELECT name FROM agents_languagemodel WHERE name IN ('model-012', 'model-112', 'model-120')")
    assert sorted(row["name"] for row in added) == ["model-012", "model-112"]


async def test_all_that_are_found_can_be_chosen_at_once(page: Page, site: Live, upstream: Upstream) -> None:
    upstream.models = [f"other-{number:03}" for number in range(100)]
    await log_in(page, site)
    await page.goto(provider_page(site, "scripted", "models"))
    await expect(page.get_by_role("button", name="Add the chosen models")).to_be_disabled()
    await page.fill("#find", "other-05")
    await page.click("text=Choose all that are shown")
    await expect(page.get_by_role("button", name="Add 10 models")).to_be_enabled()


async def test_a_provider_is_tested_from_the_list_and_from_its_page(page: Page, site: Live, upstream: Upstream) -> None:
    await log_in(page, site)
    await page.goto(f"{site.url}/admin/agents/provider/")
    assert await serious_problems(page) == []
    await page.get_by_role("button", name="Test Nowhere").click()
    await expect(page.get_by_text("nothing listens on port 9 of 127.0.0.1")).to_be_visible()

    await page.goto(provider_page(site, "nowhere", "change"))
    assert await serious_problems(page) == []
    await page.get_by_role("button", name="Test Nowhere").click()
    await expect(page.get_by_text("nothing listens on port 9 of 127.0.0.1")).to_be_visible()
    assert page.url == provider_page(site, "nowhere", "change")


async def test_the_embedded_model_is_tested_where_it_runs(page: Page, embedded_site: Live) -> None:
    await log_in(page, embedded_site)
    await page.goto(provider_page(embedded_site, "embedded", "change"))
    await page.get_by_role("button", name="Test Embedded").click()
    await expect(page.get_by_text("smollm2-135m-instruct said")).to_be_visible()
