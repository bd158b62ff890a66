"""A stream is never silent for long: load balancers and clients would take it for dead."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import uuid4

import openai
import pytest

from agents.types import AgentSpec, Delta, Event, Finished, FinishReason
from openai_compat import sse
from openai_compat.rendering import ChunkRenderer
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO
from tests.upstream import Upstream, stalls

CODER = AgentSpec(id=uuid4(), name="coder", description="", created=0, system_prompt="", models=())


async def test_a_silence_is_filled_with_chunks_that_add_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "FIRST_EVENT_SECONDS", 0.01)
    monkeypatch.setattr(sse, "SILENCE_SECONDS", 0.01)
    thought, done = asyncio.Event(), asyncio.Event()

    async def run() -> AsyncGenerator[Event, None]:
        await thought.wait()
        yield Delta(text="One")
        await done.wait()
        yield Delta(text=" two")
        yield Finished(FinishReason.STOP)

    reader = sse.RunReader(run())
    await reader.first()
    stream = sse.EventStream(reader, ChunkRenderer(uuid4(), 0, CODER), include_usage=False)
    frames = stream.frames()
    # The head of the answer goes out with the first chunk, so that one does not wait for the model.
    assert delta(await anext(frames)) == {"role": "assistant"}
    assert delta(await anext(frames)) == {}
    assert delta(await anext(frames)) == {}
    thought.set()
    while (said := delta(await anext(frames))) == {}:
        pass
    assert said == {"content": "One"}
    assert delta(await anext(frames)) == {}
    done.set()
    rest = b"".join([frame async for frame in frames])
    assert rest.count(b'"content":" two"') == 1
    assert rest.endswith(b"data: [DONE]\n\n")
    await stream.aclose()


@pytest.mark.slow
def test_a_silent_provider_is_bridged(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(stalls("One", then=" two"))
    with client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True) as stream:
        deltas = []
        for one in stream:
            deltas.append(strict.chunk(one).choices[0].delta.to_dict())
            if deltas[-1] == {}:
                upstream.release()
    assert deltas == [{"role": "assistant"}, {"content": "One"}, {}, {"content": " two"}, {}]


def delta(frame: bytes) -> object:
    """Return what the only chunk of a frame adds."""
    assert frame.count(b"\n\n") == 1
    return strict.chunk(frame.removeprefix(b"data: ")).choices[0].delta.to_dict()
