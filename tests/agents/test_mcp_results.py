"""Results of MCP tools: a bad block costs itself alone, and a model with vision sees the pictures."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from msgspec.structs import replace

from agents import runner
from agents.errors import ToolFailed
from agents.tools.mcp import McpPool
from agents.tools.toolbox import RunTools
from agents.types import (
    AgentSpec,
    Delta,
    FinishReason,
    ImagePart,
    ImageURL,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    ModelRequest,
    ModelSpec,
    ProviderSpec,
    TextPart,
    ToolCallDelta,
)
from tests.agents.mcp_parts import CONTEXT, call, patience, scripted, tool

__all__ = ["patience"]  # a fixture
pytestmark = pytest.mark.usefixtures("patience")
PIXEL = base64.b64encode(b"a picture").decode()
PICTURE = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
WORDS = {"type": "text", "text": "Look:"}


@pytest_asyncio.fixture
async def pool() -> AsyncGenerator[McpPool, None]:
    pool = McpPool()
    yield pool
    await pool.aclose()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.json"


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (
            {"content": [WORDS, {"type": "hologram", "data": 1}, {"type": "text", "text": None}, 5, None]},
            "Look:\n[content of the unknown type 'hologram', left out]\n[broken content of type 'text', left out]\n"
            "[something that is no content, left out]\n[something that is no content, left out]",
        ),
        ({"content": [{**WORDS, "annotations": {"priority": 9}, "_meta": []}], "_meta": 3}, "Look:"),
        ({"content": "Plain words."}, "Plain words."),
        ({"content": WORDS}, "Look:"),
        ({"content": None, "structuredContent": {"a": 1}}, '{"a": 1}'),
        ({"structuredContent": {"a": "ü"}}, '{"a": "ü"}'),
        ({"content": [], "structuredContent": [1, 2]}, "[1, 2]"),
        ({"content": [WORDS], "structuredContent": {"a": 1}}, "Look:"),
        ({"content": [PICTURE], "structuredContent": {"a": 1}}, '{"a": 1}\n[image, image/png, 9 bytes]'),
        ({"content": [], "isError": None}, "(The tool answered nothing.)"),
        ({"content": [{"type": "text", "text": "A cut emoji: \ud83d"}]}, "A cut emoji: \ufffd"),
        ({"content": [], "structuredContent": {"a": float("nan")}}, '{"a": null}'),
    ],
)
async def test_a_result_is_read_as_far_as_it_can_be(pool, script, result, answer):
    assert await call(pool, scripted(script, call=result), "find") == answer


async def test_a_tool_that_failed_is_heard_though_its_result_is_odd(pool, script):
    result = {"content": [{"type": "hologram"}, {"type": "text", "text": "The disk is full."}], "isError": True}
    with pytest.raises(ToolFailed, match=r"(?s)hologram.*The disk is full\."):
        await call(pool, scripted(script, call=result), "find")


async def test_an_answer_that_is_no_result_fails_at_once(pool, script):
    with pytest.raises(ToolFailed, match=r"^The server's answer is no result\.$"):
        await call(pool, scripted(script, call=["nothing"]), "find")


async def test_pictures_that_no_model_takes_stay_a_word(pool, script):
    content = [
        PICTURE,
        {**PICTURE, "mimeType": "image/tiff"},
        {**PICTURE, "data": "not base64!"},
        {**PICTURE, "data": ""},
        *[{**PICTURE, "mimeType": "image/webp"}] * 10,
    ]
    server = scripted(script, call={"content": content})
    (called,) = pool.tools_for([tool(server, "find")])
    answer = await called.call(CONTEXT, "{}")
    kinds = [picture.image_url.url.partition(",")[0] for picture in answer.pictures]
    assert kinds == ["data:image/png;base64", *["data:image/webp;base64"] * 7]  # 8 at most
    assert answer.text.count("[image, ") == 14


PROVIDER = ProviderSpec("lab", "Lab", "openai", "http://127.0.0.1:1/v1")
MODEL = ModelSpec("seer", PROVIDER, vision=True)


@pytest.mark.parametrize(
    ("models", "sees"),
    [
        ((MODEL,), True),
        ((replace(MODEL, vision=False),), False),
        ((replace(MODEL, vision=None),), False),
        ((MODEL, replace(MODEL, vision=False)), False),
    ],
    ids=["vision", "none", "unknown", "a fallback without"],
)
async def test_a_model_with_vision_is_shown_the_pictures(pool, script, models, sees):
    server = scripted(script, call={"content": [WORDS, PICTURE]})
    asked = await conversation(pool, server, AgentSpec(uuid4(), "seer", "", 0, "", models))
    _, wish, result, *shown = asked[-1].messages
    assert wish.tool_calls is not None
    assert (result.role, result.content) == ("tool", "Look:\n[image, image/png, 9 bytes]")
    if not sees:
        assert shown == []
        return
    (message,) = shown
    assert message.role == "user"
    assert message.content == [
        TextPart("The pictures that the tools above returned:"),
        ImagePart(ImageURL(f"data:image/png;base64,{PIXEL}")),
    ]


async def conversation(pool: McpPool, server: Any, agent: AgentSpec) -> list[ModelRequest]:
    """Run an agent whose model calls the tool once and then answers; return what the model was asked."""
    asked: list[ModelRequest] = []

    async def ask(request: ModelRequest) -> AsyncGenerator[LLMCallStarted | Delta | LLMCallEnded, None]:
        asked.append(replace(request, messages=[*request.messages]))
        if len(asked) == 1:
            yield Delta(tool_calls=(ToolCallDelta(0, "a", "files_find", "{}"),))
            yield LLMCallEnded(FinishReason.TOOL_CALLS)
        else:
            yield Delta(text="Seen.")
            yield LLMCallEnded(FinishReason.STOP)

    toolbox = RunTools(uuid4(), CONTEXT, own=pool.tools_for([tool(server, "find")]))
    deadline = asyncio.get_running_loop().time() + 60
    request = ModelRequest([Message("user", "What is there?")], deadline)
    events = [event async for event in runner.run(agent, request, ask, toolbox)]
    assert events
    return asked
