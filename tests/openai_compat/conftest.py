from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from tests.live import Live


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    with live.client() as client:
        yield client


@pytest.fixture
async def async_client(live: Live) -> AsyncIterator[openai.AsyncOpenAI]:
    async with live.async_client() as client:
        yield client
