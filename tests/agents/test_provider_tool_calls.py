"""Tool calls as providers really write them: whatever the pieces, the client gets whole calls with ids of their own."""

import json
from typing import Any

import pytest

from tests.live import Live
from tests.live.asking import ask, events_of, row_of
from tests.upstream import DONE, Call, CallStyle, Step, Upstream, call, calls_many, chunk, junk

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("clock", "weather")]
CLOCK = ("clock", {"zone": "Europe/Zürich"})
WEATHER = ("weather", {"city": "Oslo", "days": 3})
CALLS = (call("clock", zone="Europe/Zürich"), call("weather", city="Oslo", days=3))
CLOCK_JSON, WEATHER_JSON = (json.dumps(arguments) for _, arguments in (CLOCK, WEATHER))


def pieces(*several: dict[str, Any]) -> Step:
    """A chunk for each piece of a call."""
    return junk([*(chunk({"tool_calls": [piece]}) for piece in several), chunk({}, "tool_calls"), DONE])


def piece(name: str | None = None, arguments: object = "", **more: Any) -> dict[str, Any]:
    return {**more, "function": ({"name": name} if name else {}) | {"arguments": arguments}}


QUIRKS: dict[str, tuple[Step, list[tuple[str, dict[str, Any]]]]] = {
    "arguments in pieces": (calls_many(*CALLS), [CLOCK, WEATHER]),
    "arguments in single characters": (calls_many(*CALLS, style=CallStyle(size=1)), [CLOCK, WEATHER]),
    "each call in one chunk": (calls_many(*CALLS, style=CallStyle(whole=True)), [CLOCK, WEATHER]),
    "each call in one chunk, without indexes": (
        calls_many(*CALLS, style=CallStyle(whole=True, index=False)),
        [CLOCK, WEATHER],
    ),
    "pieces without indexes": (calls_many(*CALLS, style=CallStyle(index=False)), [CLOCK, WEATHER]),
    "the id with every piece": (calls_many(*CALLS, style=CallStyle(repeat_id=True)), [CLOCK, WEATHER]),
    "the name with every piece": (calls_many(*CALLS, style=CallStyle(repeat_name=True)), [CLOCK, WEATHER]),
    "id and name with every piece, without indexes": (
        calls_many(*CALLS, style=CallStyle(repeat_id=True, repeat_name=True, index=False)),
        [CLOCK, WEATHER],
    ),
    "calls take turns": (calls_many(*CALLS, style=CallStyle(interleaved=True)), [CLOCK, WEATHER]),
    "every call has index 0": (
        pieces(
            piece("clock", CLOCK_JSON, index=0, id="a", type="function"),
            piece("weather", WEATHER_JSON, index=0, id="b", type="function"),
        ),
        [CLOCK, WEATHER],
    ),
    "every call has index 0, in pieces": (
        pieces(
            piece("clock", CLOCK_JSON[:5], index=0, id="a"),
            piece(None, CLOCK_JSON[5:], index=0),
            piece("weather", WEATHER_JSON[:5], index=0, id="b"),
            piece(None, WEATHER_JSON[5:], index=0),
        ),
        [CLOCK, WEATHER],
    ),
    "both calls in one chunk": (
        junk(
            [
                chunk({"tool_calls": [piece("clock", CLOCK_JSON, id="a"), piece("weather", WEATHER_JSON, id="b")]}),
                chunk({}, "tool_calls"),
                DONE,
            ]
        ),
        [CLOCK, WEATHER],
    ),
    "no ids": (
        calls_many(*(Call(each.name, each.arguments, id=None) for each in CALLS)),
        [CLOCK, WEATHER],
    ),
    "the same id twice": (calls_many(*(Call(each.name, each.arguments) for each in CALLS)), [CLOCK, WEATHER]),
    "the same tool twice": (
        calls_many(Call("clock", CLOCK_JSON, "a"), Call("clock", CLOCK_JSON, "b")),
        [CLOCK, CLOCK],
    ),
    "indexes that begin at 1": (
        pieces(piece("clock", CLOCK_JSON, index=1, id="a"), piece("weather", WEATHER_JSON, index=2, id="b")),
        [CLOCK, WEATHER],
    ),
    "the name after the id": (
        pieces(
            {"index": 0, "id": "a", "type": "function"}, piece("clock", "", index=0), piece(None, CLOCK_JSON, index=0)
        ),
        [CLOCK],
    ),
    "an empty id with the later pieces": (
        pieces(piece("clock", CLOCK_JSON[:5], index=0, id="a"), piece(None, CLOCK_JSON[5:], index=0, id="")),
        [CLOCK],
    ),
    "an empty name with the later pieces": (
        pieces(
            piece("clock", CLOCK_JSON[:5], index=0, id="a"),
            {"index": 0, "id": None, "function": {"name": "", "arguments": CLOCK_JSON[5:]}},
        ),
        [CLOCK],
    ),
    "arguments are an object": (pieces(piece("clock", CLOCK[1], index=0, id="a")), [CLOCK]),
    "no arguments": (pieces({"index": 0, "id": "a", "function": {"name": "clock"}}), [("clock", {})]),
    "arguments are null": (pieces(piece("clock", None, index=0, id="a")), [("clock", {})]),
    "arguments are an empty text": (pieces(piece("clock", "", index=0, id="a")), [("clock", {})]),
    "the finish reason says stop": (
        junk([chunk({"tool_calls": [piece("clock", CLOCK_JSON, index=0, id="a")]}), chunk({}, "stop"), DONE]),
        [CLOCK],
    ),
    "text comes before": (calls_many(CALLS[0], text="Let me see."), [CLOCK]),
}


def parsed(calls: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(each["function"]["name"], json.loads(each["function"]["arguments"] or "{}")) for each in calls]


def joined(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of a stream, put together as OpenAI's clients do."""
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        for choice in event["choices"]:
            for delta in choice["delta"].get("tool_calls", ()):
                at = calls.get(delta["index"])
                if at is None:
                    assert delta["id"], delta
                    assert delta["type"] == "function"
                    calls[delta["index"]] = delta
                else:
                    assert "id" not in delta
                    assert "name" not in delta["function"]
                    at["function"]["arguments"] += delta["function"]["arguments"]
    assert list(calls) == list(range(len(calls)))
    return list(calls.values())


@pytest.mark.parametrize("name", QUIRKS)
def test_the_client_gets_whole_calls(live: Live, upstream: Upstream, name: str):
    step, expected = QUIRKS[name]
    upstream.turns(step, step)
    whole = ask(live, tools=TOOLS)
    streamed = ask(live, tools=TOOLS, stream=True)
    [choice] = whole.json()["choices"]
    events = events_of(streamed)
    for calls in (choice["message"]["tool_calls"], joined(events)):
        assert parsed(calls) == expected
        assert len({each["id"] for each in calls}) == len(calls)
    assert choice["finish_reason"] == events[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert row_of(live, whole)["finish_reason"] == row_of(live, streamed)["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("odd", ["clock", {}, "", [None], [7], [[]], [{"index": 0, "function": "clock"}], True])
def test_calls_of_an_odd_shape_are_none(live: Live, upstream: Upstream, odd: object):
    upstream.turns(junk([chunk({"content": "Hello"}), chunk({"tool_calls": odd}), chunk({}, "stop"), DONE]))
    [choice] = ask(live, tools=TOOLS).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "stop")
    assert "tool_calls" not in choice["message"]
