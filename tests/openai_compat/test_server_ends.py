"""A server that is told to stop says so to those it cannot wait for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.live import Live
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO
from tests.openai_compat.rows import row_of
from tests.upstream import Upstream, hangs, stalls


@pytest.fixture
def hurried(upstream: Upstream, tmp_path: Path) -> Iterator[Live]:
    """A server that does not wait for running answers when it is told to stop."""
    live = Live(tmp_path, cast=upstream.base_url, env={"OPENFANG_DRAIN_SECONDS": "0"})
    with live:
        yield live


async def test_an_answer_that_is_cut_short_is_service_unavailable(hurried: Live, upstream: Upstream):
    upstream.turns(stalls("One"), hangs())
    async with hurried.async_client() as client:
        create = client.chat.completions.create
        stream = await create(model="openfang:coder", messages=HELLO, stream=True)
        chunk = await anext(stream)
        while not chunk.choices[0].delta.content:
            chunk = await anext(stream)
        asking = asyncio.create_task(create(model="openfang:coder", messages=HELLO))
        await upstream.received(2)
        assert await asyncio.to_thread(hurried.stop) == 0
        with pytest.raises(openai.InternalServerError) as caught:
            await asking
        # Cut without a [DONE]: an answer that is not complete does not look as if it were.
        with pytest.raises(openai.APIConnectionError):
            await anext(stream)
    assert caught.value.status_code == 503
    assert strict.error(caught.value.response.content).to_dict() == {
        "message": "The server is stopping.",
        "type": "api_error",
        "param": None,
        "code": "service_unavailable",
    }
    row = row_of(hurried, chunk.id)
    assert (row["status"], row["error_code"], row["token_source"]) == ("failed", "server_stopped", "estimated")
    assert [one["http_status"] for one in hurried.usage()] == [200, 503]
