from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from tests.live import Live
from tests.upstream import Upstream


@pytest.fixture(scope="session")
def limited(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server behind a proxy on this machine, for tests that make keys of their own with limits."""
    proxied = {"OPENFANG_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}
    with Live(tmp_path_factory.mktemp("limited"), cast=session_upstream.base_url, keys=True, env=proxied) as live:
        yield live


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    with live.client() as client:
        yield client


@pytest.fixture
async def async_client(live: Live) -> AsyncIterator[openai.AsyncOpenAI]:
    async with live.async_client() as client:
        yield client
