"""What somebody sees of usage in a browser: the dashboard, requests as they come in, and who changed what."""

import asyncio
import csv
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import ADMIN, log_in, serious_problems
from tests.live import Live
from tests.live.asking import ask, content_of
from tests.upstream import Upstream, calls, fails, says

SETUP = """
from agents.models import Agent, AgentMcpTool, ApiKey, McpServer, Memory
handy = Agent.objects.get(name="handy")
handy.system_prompt = "Reckon."
handy.save()
time = McpServer.objects.create(name="time", url="http://mcp.test/mcp")
AgentMcpTool.objects.create(agent=Agent.objects.get(name="listener"), server=time)
Memory.objects.create(agent=handy, scope=f"key:{ApiKey.objects.get(name='alice').pk}/u-1", text="Likes tea.")
"""
pytestmark = pytest.mark.slow
LIST = "/admin/agents/usagerecord/"
ROWS = "#result_list > tbody tr"
NO_ERRORS = re.compile(r"\b0\s%")


@pytest.fixture(scope="module")
def module_site(
    browser_is_there: None, session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("usage"), cast=session_upstream.base_url, keys=True) as live:
        live.manage("shell", "--no-imports", "-c", ADMIN)
        live.manage("budget", "set", "20", "--key", "alice")
        live.manage("shell", "--no-imports", "-c", SETUP)
        yield live


@pytest.fixture
def site(module_site: Live, upstream: Upstream) -> Live:
    """A server with keys, budgets, an MCP server, a memory and changes, whose agents are played by `upstream`."""
    return module_site


async def asked(site: Live, upstream: Upstream, text: str = "It is 42.") -> str:
    """Have an agent use a tool and answer, and return the id of the request."""
    upstream.turns(calls("calculator", expression="6*7"), says(text))
    response = await asyncio.to_thread(ask, site, "handy", key=site.keys["alice"], user="u-1")
    assert content_of(response) == text
    return response.headers["x-request-id"]


async def test_a_request_appears_while_the_list_is_looked_at_and_leads_to_its_timeline(
    page: Page, site: Live, upstream: Upstream
) -> None:
    await asked(site, upstream)  # a list without rows is loaded anew for the first one
    await log_in(page, site)
    await page.goto(f"{site.url}{LIST}")
    await expect(page.locator("#of-live")).to_be_visible()
    await page.evaluate("window.notReloaded = true")
    before = await page.locator(ROWS).count()

    request_id = await asked(site, upstream)

    await expect(page.locator(ROWS)).to_have_count(before + 1)
    newest = page.locator(ROWS).first
    await expect(newest).to_contain_text("handy")
    await expect(newest).to_contain_text("alice · u-1")
    await expect(newest).to_contain_text("ok")
    assert await page.evaluate("window.notReloaded")
    await newest.locator("a").first.click()
    await page.wait_for_url(f"**{LIST}*/change/")
    assert uuid.UUID(page.url.split("/")[-3]).hex == request_id.removeprefix("req_")
    steps = page.locator(".of-step .of-what")
    assert [" ".join(text.split()) for text in await steps.all_inner_texts()] == [
        "LLM call: scripted/scripted-model",
        "tool call: calculator",
        "LLM call: scripted/scripted-model",
    ]
    assert request_id in await page.inner_text("main, #content")


async def test_the_dashboard_shows_a_request_and_narrows_itself_by_its_url(
    page: Page, site: Live, upstream: Upstream
) -> None:
    await asked(site, upstream)
    upstream.turns(*[fails(400)] * 3)
    await asyncio.to_thread(ask, site, "critic", key=site.keys["alice"])
    await log_in(page, site)
    await expect(page.locator(".of-card", has_text="Requests")).to_contain_text(re.compile(r"[2-9]"))
    await expect(page.locator(".of-card", has_text="Error rate")).not_to_contain_text(NO_ERRORS)
    assert await page.locator("canvas.chart").count() == 4

    await page.select_option("select[name=agent]", label="handy")
    await page.click("text=Apply")
    await page.wait_for_url("**agent=*")
    await page.reload()

    assert await page.locator("select[name=agent] option:checked").inner_text() == "handy"
    agents = page.locator(".of-panel", has=page.locator("text=Agents")).locator("tbody th")
    await expect(agents).to_have_text(["handy"])
    await expect(page.locator(".of-card", has_text="Error rate")).to_contain_text(NO_ERRORS)
    await agents.locator("a").click()
    await page.wait_for_url(f"**{LIST}?*agent__id__exact=*")
    found = await page.locator(ROWS).all_inner_texts()
    assert found
    assert all("handy" in row for row in found)


async def test_a_filtered_list_is_downloaded_as_it_is_seen(
    page: Page, site: Live, upstream: Upstream, tmp_path: Path
) -> None:
    request_id = await asked(site, upstream)
    upstream.says("Fine.")
    await asyncio.to_thread(ask, site, "coder", key=site.keys["alice"])
    await log_in(page, site)
    await page.goto(f"{site.url}{LIST}?q=handy")
    seen = await page.locator(ROWS).count()

    async with page.expect_download() as started:
        await page.click("text=CSV")
    download = await started.value
    await download.save_as(tmp_path / "requests.csv")

    rows = list(csv.DictReader((tmp_path / "requests.csv").read_text().splitlines()))
    assert re.fullmatch(r"openfang-requests-\d{8}-\d{6}\.csv", download.suggested_filename)
    assert {row["agent"] for row in rows} == {"handy"}
    assert len(rows) == seen
    assert rows[0]["request_id"] == request_id


async def test_the_audit_log_tells_who_changed_what_and_keeps_its_filters_in_the_url(page: Page, site: Live) -> None:
    await log_in(page, site)
    await page.goto(f"{site.url}/admin/agents/agent/")
    await page.click("text=listener")
    await page.fill("#id_description", "Listens.")
    await page.click("button[name=_save]")
    await page.wait_for_url(f"{site.url}/admin/agents/agent/")
    await page.click("nav >> text=Audit log")
    newest = page.locator(".of-audit > li").first
    await expect(newest).to_contain_text("boss")
    await expect(newest).to_contain_text("changed Agent listener")
    await expect(newest).to_contain_text("Description: — → now Listens.")

    await page.select_option("select[name=kind]", label="Budget")
    await page.click("text=Apply")

    await expect(page.locator(".of-audit > li")).to_have_count(1)
    await expect(page.locator(".of-audit > li")).to_contain_text("openfang budget set")
    assert "kind=budget" in page.url


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
async def test_the_pages_are_accessible_and_as_wide_as_the_window(
    page: Page, site: Live, upstream: Upstream, scheme: str, width: int
) -> None:
    request_id = uuid.UUID((await asked(site, upstream)).removeprefix("req_"))
    [agent] = site.rows("SELECT id FROM agents_agent WHERE name = 'handy'")
    [with_mcp] = site.rows("SELECT id FROM agents_agent WHERE name = 'listener'")
    await page.set_viewport_size({"width": width, "height": 900})
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await log_in(page, site)
    problems = []
    for address in (
        "",
        f"agents/usagerecord/{request_id}/change/",
        f"agents/agent/{uuid.UUID(agent['id'])}/change/",
        f"agents/agent/{uuid.UUID(with_mcp['id'])}/change/",
        *(f"agents/{table}/" for table in ("usagerecord", "agent", "apikey", "budget", "mcpserver", "memory")),
        "agents/apikey/add/",
        "agents/budget/add/",
        "audit/",
        "auth/user/",
        "auth/user/1/change/",
        "auth/group/1/change/",
    ):
        await page.goto(f"{site.url}/admin/{address}")
        problems += [f"{address}: {problem}" for problem in await serious_problems(page)]
        overflow = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if overflow > 0:
            problems.append(f"{address} is {overflow} px wider than the window")
    assert problems == []
