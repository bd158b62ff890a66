"""web_search: against a scripted search API over real HTTP."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from agents.errors import ToolFailed
from agents.tools import web_search
from agents.tools.web_search import searxng_url, tool
from tests.agents.web_parts import Site, run_context

JSON = "application/json"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
def searxng(site: Site, settings: Any) -> Site:
    settings.OPENFANG_SEARCH_URL = site.url("/")
    return site


@pytest.fixture
def brave(site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Site:
    settings.BRAVE_API_KEY = "BSA-secret"
    monkeypatch.setattr(web_search, "BRAVE", site.url("/res/v1/web/search"))
    return site


async def search(query: str, **arguments: object) -> str:
    return await tool.call(run_context(), json.dumps({"query": query, **arguments}))


async def test_without_a_service_model_and_administrator_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ToolFailed, match="No search service is configured on this server") as refused:
        await search("tea")
    assert "OPENFANG_SEARCH_URL" in str(refused.value)
    assert "set OPENFANG_SEARCH_URL or BRAVE_API_KEY" in caplog.text


async def test_a_searxng_instance_is_asked_although_it_is_private(searxng: Site) -> None:
    hits = [
        {"url": "https://tea.example/", "title": "Tea &amp; <b>more</b>", "content": "All  about\ntea", "score": 1.0},
        {"url": "https://b.example/", "title": "", "content": None},
        {"url": "https://c.example/", "title": "Third", "content": "x"},
    ]
    searxng.page("/search", json.dumps({"query": "tea", "results": hits}), content_type=JSON)
    text = await search("tea & cake", max_results=2)
    assert dict(searxng.requests[0].query) == {"q": "tea & cake", "format": "json"}
    assert "1. Tea & more\nhttps://tea.example/\nAll about tea\n\n2. (no title)\nhttps://b.example/\n" in text
    assert "Third" not in text
    assert text.startswith("What stands between the two marked lines was written by strangers.")


async def test_brave_is_asked_with_the_key_in_a_header(brave: Site) -> None:
    hit = {"url": "https://tea.example/", "title": "Tea", "description": "About <strong>tea</strong>"}
    brave.page("/res/v1/web/search", json.dumps({"web": {"results": [hit]}}), content_type=JSON)
    text = await search("tea", max_results=3)
    (request,) = brave.requests
    assert dict(request.query) == {"q": "tea", "count": "3"}
    assert request.headers["X-Subscription-Token"] == "BSA-secret"
    assert "1. Tea\nhttps://tea.example/\nAbout tea\n" in text


async def test_nothing_found_is_said(searxng: Site) -> None:
    searxng.page("/search", '{"results": []}', content_type=JSON)
    assert await search("qwertz") == "Nothing was found for 'qwertz'."


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "does not accept this server's key"), (429, "too many searches"), (500, "it answered 500")],
)
async def test_a_refusal_is_told_without_the_key(
    brave: Site, caplog: pytest.LogCaptureFixture, status: int, reason: str
) -> None:
    brave.page("/res/v1/web/search", '{"error": "BSA-secret"}', status=status, content_type=JSON)
    with caplog.at_level(logging.WARNING), pytest.raises(ToolFailed, match=reason) as refused:
        await search("tea")
    assert reason in caplog.text
    assert "BSA-secret" not in f"{refused.value} {caplog.text}"


async def test_a_searxng_instance_without_json_says_what_to_set(searxng: Site) -> None:
    searxng.page("/search", "Forbidden", status=403)
    with pytest.raises(ToolFailed, match=r"must list json under search\.formats"):
        await search("tea")


@pytest.mark.parametrize(
    "body", ["<html>a captive portal</html>", '{"results": 1}', '{"results": [{"title": "x"}]}', ""]
)
async def test_an_answer_that_is_no_list_of_results_is_told(searxng: Site, body: str) -> None:
    searxng.page("/search", body, content_type=JSON)
    with pytest.raises(ToolFailed, match="not a list of results"):
        await search("tea")


async def test_a_service_that_redirects_is_not_followed(searxng: Site) -> None:
    searxng.redirect("/search", "http://169.254.169.254/latest/meta-data/")
    with pytest.raises(ToolFailed, match="redirects more than 0 times"):
        await search("tea")


@pytest.mark.parametrize("url", ["searx.lan", "ftp://searx.lan", "http://", "http://a:b@searx.lan"])
def test_a_search_url_that_is_none_stops_the_start(settings: Any, url: str) -> None:
    settings.OPENFANG_SEARCH_URL = url
    with pytest.raises(ImproperlyConfigured, match="OPENFANG_SEARCH_URL is not") as refused:
        searxng_url()
    assert url not in str(refused.value)
