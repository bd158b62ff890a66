"""What a newcomer has after `openfang start`: an agent that the embedded model answers, without an account or a key."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.live import Live

TALK: Any = [
    {"role": "user", "content": "My name is Ada. Say hello to me in one short sentence."},
    {"role": "assistant", "content": "Hello, Ada!"},
    {"role": "user", "content": "What is the capital of France? Answer in one short sentence."},
]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("fresh")) as live:
        live.manage("agent", "set", "assistant", "temperature=0")  # it says the same each time
        live.stop()
        live.start()
        yield live


@pytest.fixture
def embedded(fresh: Live) -> Live:
    models = [model.id for model in fresh.client().models.list()]
    assert models == ["openfang:assistant"]
    return fresh


def test_a_conversation_is_answered_whole(embedded: Live):
    answer: Any = embedded.client(timeout=120).chat.completions.create(model="openfang:assistant", messages=TALK)
    assert "Paris" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 50
    [row] = embedded.usage("streamed = false")
    assert (row["status"], row["provider"], row["token_source"]) == ("ok", "embedded", "provider")
    assert (row["prompt_tokens"], row["completion_tokens"], row["cost"]) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
        0,
    )


def test_a_conversation_is_streamed(embedded: Live):
    stream = embedded.client(timeout=120).chat.completions.create(
        model="assistant",
        messages=TALK,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3
    assert "Paris" in "".join(pieces)
    assert chunks[-1].usage is not None
    [row] = embedded.usage("streamed = true")
    assert (row["status"], row["completion_tokens"]) == ("ok", chunks[-1].usage.completion_tokens)


def test_a_prompt_beyond_its_context_is_told_in_the_words_that_clients_know(embedded: Live):
    with pytest.raises(openai.BadRequestError) as refused:
        embedded.client(timeout=120).chat.completions.create(
            model="assistant", messages=[{"role": "user", "content": "hello world " * 9000}]
        )
    assert refused.value.code == "context_length_exceeded"
    assert "maximum context length is 8192 tokens" in refused.value.message
