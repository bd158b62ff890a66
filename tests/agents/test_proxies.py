"""HTTP_PROXY, HTTPS_PROXY and NO_PROXY: one rule for everything that this server calls by itself."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.errors import ProviderUnavailable, ToolFailed
from agents.limits.alerts import BudgetWarning, _call
from agents.models import Agent, Provider
from agents.probing import offered_models
from agents.providers import Providers
from agents.proxies import read_proxies
from agents.snapshot import read_snapshot
from agents.tools import web_fetch
from agents.tools.mcp import McpPool, McpServerSpec
from agents.tools.web_search import tool as web_search
from agents.types import Message, ModelRequest, ModelSpec, ProviderSpec
from tests.agents.mcp_parts import call, patience
from tests.agents.web_parts import Site, run_context
from tests.live.proxy import Proxy
from tests.live.webhook import Webhook
from tests.mcp_servers.sessions import SessionServer
from tests.upstream import Upstream, says

__all__ = ["patience"]  # a fixture
ROOT = Path(__file__).resolve().parents[2]
PROXY = "http://proxy.test:3128"
WARNING = BudgetWarning("the server", "day", "usd", "10", "9", 90, datetime(2026, 12, 1, tzinfo=UTC))


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: Proxy, settings: Any) -> Proxy:
    """The proxy, used for http and https."""
    settings.PROXIES = read_proxies(proxy.url, proxy.url, "direct.test")
    return proxy


@pytest.mark.parametrize(
    ("url", "exceptions", "uses_proxy"),
    [
        ("https://api.example.com/v1", "", True),
        ("http://api.example.com:8000/v1", "", True),
        ("https://8.8.8.8/v1", "", True),
        ("https://[2606:4700::1111]/v1", "", True),
        # This machine and private networks, whatever NO_PROXY says.
        ("http://localhost:11434/v1", "", False),
        ("http://LOCALHOST.:11434/v1", "", False),
        ("http://127.0.0.53/v1", "", False),
        ("http://[::1]:8000/v1", "", False),
        ("http://10.1.2.3/v1", "", False),
        ("http://192.168.1.5:8000/v1", "", False),
        ("http://[fd00::5]/v1", "", False),
        ("http://169.254.1.1/v1", "", False),
        ("http://gpu:8000/v1", "", False),
        # NO_PROXY.
        ("https://api.example.com/v1", "example.com", False),
        ("https://api.example.com/v1", ".example.com", False),
        ("https://api.example.com/v1", "other.org, *.EXAMPLE.com", False),
        ("https://example.com/v1", ".example.com", False),
        ("https://badexample.com/v1", "example.com", True),
        ("https://api.example.com/v1", "api.example.com:443", False),
        ("https://api.example.com:8443/v1", "api.example.com:443", True),
        ("https://8.8.8.8/v1", "8.8.0.0/16", False),
        ("https://8.8.8.8/v1", "8.8.8.8:443", False),
        ("https://9.8.8.8/v1", "8.8.0.0/16", True),
        ("https://[2606:4700::1111]/v1", "[2606:4700::1111]:443", False),
        ("https://[2606:4700::1111]/v1", "2606:4700::/32", False),
        ("https://anything.example.org/v1", "*", False),
        ("https://api.example.com/v1", " , ,", True),
        ("http://[", "", False),
    ],
)
def test_which_calls_go_through_the_proxy(url, exceptions, uses_proxy):
    proxies = read_proxies(PROXY, PROXY, exceptions)
    assert proxies.for_url(url) == (PROXY if uses_proxy else None)


def test_each_scheme_has_its_own_proxy():
    proxies = read_proxies("", PROXY, "")
    assert proxies.for_url("https://api.example.com") == PROXY
    assert proxies.for_url("http://api.example.com") is None


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.test:1"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "example.com"}, None),
        ({"HTTP_PROXY": PROXY}, None),
    ],
)
def test_the_variables_are_read_in_both_spellings(variables, proxy):
    assert in_python(variables).stdout.strip() == str(proxy)


def test_a_proxy_that_is_no_url_stops_the_start_without_showing_it():
    said = in_python({"HTTP_PROXY": "socks5://me:secret@proxy.test"})
    assert said.returncode != 0
    assert "HTTP_PROXY is not the URL of an HTTP proxy, such as http://proxy.example.com:3128." in said.stderr
    assert "secret" not in said.stderr


def in_python(variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    code = "from openfang_site.settings import PROXIES; print(PROXIES.for_url('https://api.example.com/v1'))"
    names = ("http_proxy", "https_proxy", "no_proxy")
    kept = {name: value for name, value in os.environ.items() if name.lower() not in names}
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | variables, cwd=ROOT, capture_output=True, text=True, check=False
    )


async def answer_of(base_url: str, proxy: str | None) -> str:
    providers = Providers(idle_seconds=60)
    provider = ProviderSpec("scripted", "Scripted", "openai", base_url, proxy=proxy)
    request = ModelRequest([Message("user", "Hi")], asyncio.get_running_loop().time() + 60)
    try:
        async with aclosing(providers.stream(ModelSpec("a-model", provider), request)) as answer:
            return "".join([delta.text async for delta in answer])
    finally:
        await providers.aclose()


async def test_a_provider_is_called_through_the_proxy(proxy: Proxy, upstream: Upstream):
    proxy.ports["provider.test"] = int(upstream.base_url.split(":")[2].partition("/")[0])
    upstream.turns(says("Through the proxy."))
    with_name = proxy.url.replace("://", "://me:secret@")
    assert await answer_of("http://provider.test/v1", with_name) == "Through the proxy."
    assert proxy.asked == [("POST", "http://provider.test/v1/chat/completions")]
    assert proxy.credentials == ["Basic bWU6c2VjcmV0"]


async def test_a_provider_with_https_is_reached_by_a_tunnel(proxy: Proxy):
    with pytest.raises(ProviderUnavailable, match=r"^Scripted cannot be reached through the proxy \(\w+\)\.$"):
        await answer_of("https://provider.test/v1", proxy.url)
    assert proxy.asked == [("CONNECT", "provider.test:443")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("base_url", "uses_proxy"), [("http://provider.test/v1", True), ("http://direct.test/v1", False)]
)
def test_the_proxy_of_a_provider_is_decided_once_with_the_snapshot(proxied: Proxy, base_url, uses_proxy):
    provider = Provider.objects.create(name="far", base_url=base_url)
    model = provider.language_models.create(name="a-model")
    Agent.objects.create(name="coder", model=model)
    (agent,) = read_snapshot().agents
    assert agent.models[0].provider.proxy == (proxied.url if uses_proxy else None)


@pytest.mark.django_db
def test_a_provider_s_list_of_models_is_asked_for_through_the_proxy(proxied: Proxy, upstream: Upstream):
    proxied.ports["provider.test"] = int(upstream.base_url.split(":")[2].partition("/")[0])
    upstream.models = ["alpha"]
    assert offered_models(Provider(name="far", base_url="http://provider.test/v1")) == ["alpha"]
    assert proxied.asked == [("GET", "http://provider.test/v1/models")]


@pytest.mark.usefixtures("patience")
async def test_an_mcp_server_is_called_through_the_proxy(proxied: Proxy):
    pool = McpPool()
    with SessionServer() as server:
        proxied.ports |= {"mcp.test": server.port}
        try:
            spec = McpServerSpec(id=1, name="web", transport="http", url="http://mcp.test/mcp")
            assert await call(pool, spec, "search") == "session 1"
            near = McpServerSpec(id=2, name="near", transport="http", url=server.url)
            before = len(proxied.asked)
            assert await call(pool, near, "search") == "session 2"
            assert len(proxied.asked) == before
        finally:
            await pool.aclose()
    assert {target for _, target in proxied.asked} == {"http://mcp.test/mcp"}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


async def test_the_search_service_is_asked_through_the_proxy(proxied: Proxy, site: Site, settings: Any):
    settings.OPENFANG_SEARCH_URL = "http://search.test/"
    proxied.ports["search.test"] = int(site.url("/").split(":")[2].partition("/")[0])
    found = '{"results": [{"url": "https://example.com", "title": "Found"}]}'
    site.page("/search", found, content_type="application/json")
    assert "Found" in await web_search.call(run_context(), json.dumps({"query": "anything"}))
    assert proxied.asked == [("GET", "http://search.test/search?q=anything&format=json")]


async def test_web_fetch_goes_past_the_proxy_so_that_its_check_of_addresses_holds(proxied: Proxy):
    proxied.ports["inside.test"] = proxied.port
    with pytest.raises(ToolFailed, match="there is no host named inside"):
        await web_fetch.tool.call(run_context(), '{"url": "http://inside.test/"}')
    assert proxied.asked == []


def test_a_warning_about_a_budget_is_posted_through_the_proxy(proxied: Proxy, settings: Any):
    with Webhook() as webhook:
        proxied.ports["hooks.test"] = webhook.port
        settings.OPENFANG_ALERT_WEBHOOK, settings.OPENFANG_ALERT_SECRET = "http://hooks.test/alerts", "a secret"
        with pytest.raises(OSError, match="503"):  # it takes each at the second try
            _call(WARNING)
        _call(WARNING)
        assert len(webhook.received) == 2
    assert proxied.asked == [("POST", "http://hooks.test/alerts")] * 2
