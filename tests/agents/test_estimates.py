"""Estimates of prompts: they cover all that a model reads, and are on the high side."""

import base64
import json
import random

import msgspec
import pytest

from agents.tools import BUILT_IN
from agents.types import (
    Attachment,
    FunctionCall,
    ImagePart,
    ImageURL,
    Message,
    ModelSpec,
    PromptEstimate,
    ProviderSpec,
    TextPart,
    ToolCall,
    ToolFunction,
    ToolSpec,
)
from agents.usage import estimates
from agents.usage.estimates import IMAGE_TOKENS, PromptEstimator, json_tokens, measure
from tests.estimated import estimated

SCRIPTED = ProviderSpec("scripted", "Scripted", "openai", "http://127.0.0.1:9/v1")
RANDOM = random.Random(1)


def ask(text: str) -> int:
    return estimated(Message("user", text))


def test_ordinary_text_is_estimated_a_little_high():
    prose = "The quick brown fox jumps over the lazy dog and returns the result to the caller. " * 100
    assert 1.2 <= ask(prose) / (17 * 100) <= 1.5  # 17 tokens a sentence with GPT-4's tokenizer


@pytest.mark.parametrize(
    ("text", "bytes_per_token"),
    [
        ("人工智能代理服务器管理员可以在后台创建代理。" * 50, 2),
        ("Агент вызывает языковую модель" * 50, 2.2),
        ("0123456789" * 100, 1),
        (base64.b64encode(RANDOM.randbytes(3000)).decode(), 1.5),
        (RANDOM.randbytes(1500).hex(), 1.5),
        ("SELECT COUNT" * 100, 1.2),
    ],
    ids=["chinese", "russian", "digits", "base64", "hex", "capitals"],
)
def test_text_that_tokenizers_cut_small_counts_more_for_a_byte(text: str, bytes_per_token: float):
    assert ask(text) >= len(text.encode()) / bytes_per_token
    assert ask(text) <= len(text.encode()) * 1.1


def test_no_text_has_more_than_four_times_its_estimate_in_tokens():
    for sample in (b"abc", b"a b c", "äöü".encode(), b"{}", bytes(range(32, 127)), RANDOM.randbytes(1000)):
        assert len(sample) <= 4 * json_tokens(sample)


def test_whatever_a_message_carries_counts():
    plain = Message("assistant", "Done.")
    function = FunctionCall("search", json.dumps({"pattern": "x" * 4000}))
    attached = {"scripted": Attachment({"reasoning_content": "y" * 4000})}
    calling = Message("assistant", "Done.", tool_calls=[ToolCall("call_1", function)], attached=attached)
    assert estimated(calling) - estimated(plain) >= 2000
    assert estimated(Message("tool", "x" * 4000, tool_call_id="call_1")) >= 1000


def test_tools_and_the_format_of_the_answer_count():
    tool = ToolSpec(ToolFunction("search", "d" * 400, {"type": "object", "properties": {"p": {"type": "string"}}}))
    assert estimated(tools=[tool, tool]) == 2 * json_tokens(msgspec.json.encode(tool)) >= 200
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"description": "d" * 400}}}
    assert PromptEstimator({}).estimate([], [], schema).tokens == json_tokens(msgspec.json.encode(schema)) >= 100


def test_an_image_counts_for_itself_and_not_for_its_bytes():
    image = ImagePart(ImageURL("data:image/png;base64," + "A" * 100_000))
    estimate = PromptEstimator({}).estimate([Message("user", [TextPart("What is this?"), image, image])], [], None)
    text = estimated(Message("user", [TextPart("What is this?")]))
    assert estimate == PromptEstimate(text + 2 * IMAGE_TOKENS, images=2)


def test_what_was_measured_is_not_measured_again(monkeypatch: pytest.MonkeyPatch):
    specs = [tool.spec for tool in BUILT_IN.values()]
    shared = measure(specs, [])
    estimator, history = PromptEstimator(shared), [Message("user", "One"), Message("assistant", "Two")]
    first = estimator.estimate(history, specs, None)
    measured: list[bytes] = []

    def length(encoded: bytes) -> int:
        measured.append(encoded)
        return len(encoded)

    monkeypatch.setattr(estimates, "json_tokens", length)
    more = estimator.estimate([*history, Message("user", "Three")], specs, None)
    assert measured == [b'{"role":"user","content":"Three"}']
    assert more.tokens == first.tokens + len(measured[0])


def test_long_texts_are_not_read_where_nothing_is_reserved():
    long, chinese = Message("user", "7" * 9000), Message("user", "人" * 9000)
    rough, thorough = (
        [PromptEstimator({}, thorough=thorough).estimate([message], [], None).tokens for message in (long, chinese)]
        for thorough in (False, True)
    )
    assert 3000 <= rough[0] <= 3020
    assert thorough[0] >= 9000
    assert rough[1] == thorough[1] >= 9000


def test_a_models_correction_is_rounded_up():
    model = ModelSpec("model", SCRIPTED, token_correction=1.05)
    assert estimates.prompt_tokens(PromptEstimate(10), model) == 11
