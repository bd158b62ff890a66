"""Arguments leave the stream as one JSON object, and what a piece belongs to is decided by the JSON so far."""

import json
from typing import Any

import pytest

from agents.providers.arguments import ObjectText, one_object
from tests.agents.acting import answers_every_call, results
from tests.agents.provider_parts import heard
from tests.live import Live
from tests.live.asking import ask, content_of, events_of, text_of
from tests.upstream import DONE, Call, Step, Upstream, calls_many, chunk, junk, says

TOOLS = [{"type": "function", "function": {"name": "look"}}]


def pieces(*several: dict[str, Any], finish: str = "tool_calls") -> Step:
    return junk([*(chunk({"tool_calls": [piece]}) for piece in several), chunk({}, finish), DONE])


def piece(name: str | None, arguments: object = "", **more: Any) -> dict[str, Any]:
    return {**more, "function": ({"name": name} if name else {}) | {"arguments": arguments}}


MEANT: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ('{"path": "x"}', {"path": "x"}),
    "a code fence": ('```json\n{"path": "x"}\n```', {"path": "x"}),
    "words before": ('Here it is: {"path": "x"}', {"path": "x"}),
    "words behind": ('{"path": "x"} That should do.', {"path": "x"}),
    "a brace too many": ('{"path": "x"}}', {"path": "x"}),
    "JSON in JSON": (json.dumps('{"path": "x"}'), {"path": "x"}),
    "JSON in JSON in JSON": (json.dumps(json.dumps('{"path": "x"}')), {"path": "x"}),
    "a Python dict": ("{'path': 'it\\'s', 'deep': True, 'n': None}", {"path": "it's", "deep": True, "n": None}),
    "quotes of both kinds": ('{"path": \'x "y"\'}', {"path": 'x "y"'}),
    "Python's words in JSON": ('{"deep": True, "n": None}', {"deep": True, "n": None}),
    "keys without quotes": ('{path: "x", deep: true}', {"path": "x", "deep": True}),
    "a trailing comma": ('{"path": "x", "list": [1, 2,],}', {"path": "x", "list": [1, 2]}),
    "a line break in a string": ('{"text": "one\ntwo"}', {"text": "one\ntwo"}),
    "an escape that JSON lacks": (r'{"path": "C:\dir", "it": "\'s"}', {"path": "C:\\dir", "it": "'s"}),
    "half an emoji": (r'{"text": "\ud83d!"}', {"text": "\ufffd!"}),
    "an emoji in escapes": (r'{"text": "\ud83d\ude00"}', {"text": "😀"}),
    "nothing": ("", {}),
    "white space": (" \n", {}),
    "an empty object": ("{ }", {}),
    "JSON in JSON, and words behind": (json.dumps('{"path": "x"}') + " That should do.", {"path": "x"}),
    "an empty text, then the object": ('""{"path": "x"}', {"path": "x"}),
    "tags around it": ('<tool_call>{"path": "x"}</tool_call>', {"path": "x"}),
    "an empty object, then the real one": ('{}{"path": "x"}', {"path": "x"}),
}
NOT_OBJECTS = ['{"path": "x"', '{"path": "x', '{"path": ', "[1, 2]", "null", "12", '"word"', "path=x", '{"a" 1}', "}{"]


def assembled(text: str, size: int) -> tuple[dict[str, Any], bool]:
    """What is passed on of a text that comes in pieces of this size, and whether it was read."""
    arguments = ObjectText()
    sent = "".join(arguments.feed(text[at : at + size]) for at in range(0, len(text), size))
    rest, was_read = arguments.finish()
    parsed = json.loads(sent + rest)
    assert isinstance(parsed, dict)
    return parsed, was_read


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_beyond_doubt_is_read(name: str, size: int):
    text, meant = MEANT[name]
    if "then the real one" not in name:  # which the calls of one answer decide
        assert assembled(text, size) == (meant, True)
        assert json.loads(one_object(text)) == meant


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("text", NOT_OBJECTS)
def test_what_is_no_object_still_leaves_as_one_and_is_known_not_to_be_read(text: str, size: int):
    assert not assembled(text, size)[1]
    assert one_object(text) == "{}"


def test_a_value_that_broke_off_does_not_look_whole():
    assert assembled('{"command": "rm -rf /tmp/', 5) == ({"command": None}, False)
    assert assembled('{"path": "x", "lines": [1, 2', 5) == ({"path": "x", "lines": None}, False)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_value_with_quotes_in_it_is_not_cut_at_the_first(size: int):
    assert assembled('{"command": "rm -rf "/tmp/x""}', size) == ({"command": None}, False)
    assert assembled('{"path": "x", "command": "rm -rf "/tmp/x""}', size) == ({"path": "x", "command": None}, False)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_long_value_with_quotes_in_it_broke_off(size: int):
    text = '{"content": "' + "x" * 500 + '" and more"}'
    arguments = ObjectText()
    for at in range(0, len(text), size):
        arguments.feed(text[at : at + size])
    written, was_read = "".join(arguments._sent), arguments.finish()[1]
    assert not was_read
    assert arguments.flows or "xxx" not in written


def test_a_long_value_is_passed_on_while_it_is_written():
    text = ObjectText()
    assert text.feed('{"content": "') == '{"content": '
    assert len(text.feed("x" * 1000)) > 900
    assert text.feed("y" * 10) == "y" * 10
    assert text.flows
    assert text.feed('\\n"') == ""
    assert text.feed("}") == '\\n"}'
    assert text.complete


def test_what_is_nested_too_deeply_or_too_long_to_repair_is_not_read():
    assert assembled('{"a":' * 300 + "1" + "}" * 300, 100)[1]
    assert not assembled('{"a":' * 3000 + "1" + "}" * 3000, 100)[1]
    assert assembled("'" + "x" * 300_000, 1000) == ({}, False)


CLOCK = ("clock", '{"zone": "UTC"}')
ASSEMBLED: dict[str, tuple[Step, list[tuple[str, str]]]] = {
    "an empty object first (Bedrock)": (
        pieces(piece("look", "{}", index=0, id="a"), piece(None, '{"q":', index=0), piece(None, '"x"}', index=0)),
        [("look", '{"q":"x"}')],
    ),
    "an empty object first, as an object": (
        pieces(piece("look", {}, index=0, id="a"), piece(None, '{"q":"x"}', index=0)),
        [("look", '{"q":"x"}')],
    ),
    "the whole call again": (pieces(*[piece("look", '{"q":"x"}', index=0, id="a")] * 2), [("look", '{"q":"x"}')]),
    "the whole call again at another index": (
        pieces(piece("look", '{"q":"x"}', index=0, id="a"), piece("look", '{"q": "x"}', index=1, id="a")),
        [("look", '{"q":"x"}')],
    ),
    "one id for all calls": (
        pieces(
            piece("look", '{"q":"x"}', index=0, id="a"),
            piece("look", "", index=1, id="a"),
            piece(None, '{"q":"y"}', index=1),
        ),
        [("look", '{"q":"x"}'), ("look", '{"q":"y"}')],
    ),
    "the whole call again in the end, after its pieces": (
        pieces(
            piece("look", "", index=0, id="a"),
            piece(None, '{"q":', index=0),
            piece(None, '"x"}', index=0),
            piece("look", '{"q": "x"}', index=0, id="a"),
        ),
        [("look", '{"q":"x"}')],
    ),
    "the arguments twice in one piece": (
        pieces(piece("look", '{"q":"x"}{"q":"x"}', index=0, id="a")),
        [("look", '{"q":"x"}')],
    ),
    "a second object": (
        pieces(piece("look", '{"q":"x"}{"q":"y"}', index=0, id="a")),
        [("look", '{"q":"x"}'), ("look", '{"q":"y"}')],
    ),
    "a second object in pieces, at the same index": (
        pieces(
            piece("look", '{"q":"x"}', index=0, id="a"), piece(None, '{"q"', index=0), piece(None, ':"y"}', index=0)
        ),
        [("look", '{"q":"x"}'), ("look", '{"q":"y"}')],
    ),
    "another tool at the same index, without ids": (
        pieces(piece("look", '{"q":"x"}', index=0), piece(*CLOCK, index=0)),
        [("look", '{"q":"x"}'), CLOCK],
    ),
    "another tool behind one without arguments, at the same index": (
        pieces(piece("look", "", index=0, id="a"), piece(*CLOCK, index=0, id="b")),
        [("look", "{}"), CLOCK],
    ),
    "a new id with every piece (vLLM)": (
        pieces(
            piece("look", "", index=0, id="a"),
            piece(None, '{"q":', index=0, id="b"),
            piece(None, '"x"}', index=0, id="c"),
        ),
        [("look", '{"q":"x"}')],
    ),
    "a new id and the name with every piece": (
        pieces(piece("look", '{"q":', index=0, id="a"), piece("look", '"x"}', index=0, id="b")),
        [("look", '{"q":"x"}')],
    ),
    "an index that grows with every piece": (
        pieces(piece("look", '{"q":', index=0, id="a"), piece(None, '"x"}', index=1)),
        [("look", '{"q":"x"}')],
    ),
    "an index that grows with every piece, and the id again": (
        pieces(piece("look", '{"q":', index=0, id="a"), piece(None, '"x"}', index=1, id="a")),
        [("look", '{"q":"x"}')],
    ),
    "no indexes, pieces in turns by their ids": (
        pieces(
            piece("look", '{"q":', id="a"),
            piece("clock", '{"zone":', id="b"),
            piece(None, '"x"}', id="a"),
            piece(None, ' "UTC"}', id="b"),
        ),
        [("look", '{"q":"x"}'), CLOCK],
    ),
    "words between two calls' objects": (
        pieces(piece("look", '{"q":"x"}', index=0, id="a"), piece(None, " and that is it", index=0)),
        [("look", '{"q":"x"}')],
    ),
    "an empty object behind the real one": (
        pieces(piece("look", '{"q":"x"}', index=0, id="a"), piece(None, "{}", index=0)),
        [("look", '{"q":"x"}')],
    ),
    "two empty objects, then the real one": (
        pieces(piece("look", "{}", index=0, id="a"), piece(None, "{}", index=0), piece(None, '{"q":"x"}', index=0)),
        [("look", '{"q":"x"}')],
    ),
    "a legacy function call": (
        junk(
            [
                chunk({"function_call": {"name": "look", "arguments": ""}}),
                chunk({"function_call": {"arguments": '{"q":'}}),
                chunk({"function_call": {"arguments": '"x"}'}}),
                chunk({}, "function_call"),
                DONE,
            ]
        ),
        [("look", '{"q":"x"}')],
    ),
    "a call that is no list": (
        junk([chunk({"tool_calls": piece("look", '{"q":"x"}', id="a")}), chunk({}, "tool_calls"), DONE]),
        [("look", '{"q":"x"}')],
    ),
    "a call without a function around it": (
        pieces({"id": "a", "type": "function", "name": "look", "arguments": '{"q":"x"}'}),
        [("look", '{"q":"x"}')],
    ),
    "a number for an id": (pieces(piece("look", '{"q":"x"}', index=0, id=7)), [("look", '{"q":"x"}')]),
    "null": (pieces(piece("look", None, index=0, id="a")), [("look", "{}")]),
    "nothing": (pieces({"index": 0, "id": "a", "function": {"name": "look"}}), [("look", "{}")]),
}


@pytest.mark.parametrize("odd", ["x", 7, None, "", [], [1]])
async def test_extra_content_of_an_odd_type_is_absent(upstream: Upstream, odd: object):
    upstream.turns(pieces(piece("look", "{}", index=0, id="a", extra_content=odd)))
    found = await heard(upstream)
    assert (found.calls, found.extra, found.error) == ([("look", "{}")], {}, None)


@pytest.mark.parametrize("name", ASSEMBLED)
async def test_calls_are_put_together(upstream: Upstream, name: str):
    step, expected = ASSEMBLED[name]
    upstream.turns(step)
    found = await heard(upstream)
    assert found.calls == expected
    assert found.error is None
    assert not found.unread


async def test_arguments_for_a_tool_without_a_name_are_an_error(upstream: Upstream):
    upstream.turns(pieces(piece(None, '{"q":"x"}', index=0, id="a")), says("Hello"))
    found = await heard(upstream)
    assert (found.codes, found.calls) == (["bad_model_answer"], [])


async def test_a_character_cut_in_two_is_joined_in_arguments(upstream: Upstream):
    first = b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"look","arguments":'
    rest = b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":'
    upstream.turns(
        junk(
            [
                first + rb'"{\"q\":\"\ud83d"}}]}}]}' + b"\n\n",
                rest + rb'"\ude00\"}"}}]}}]}' + b"\n\n",
                chunk({}, "tool_calls"),
                DONE,
            ]
        )
    )
    assert (await heard(upstream)).calls == [("look", '{"q":"😀"}')]


@pytest.mark.parametrize("arguments", ['{"expression": "1+1"', "[1]", "null", "1+1", '{"expression" "1"}'])
def test_the_model_reads_what_it_wrote_and_history_has_an_object(live: Live, upstream: Upstream, arguments: str):
    upstream.turns(calls_many(Call("calculator", arguments)), says("Sorry."))
    assert content_of(ask(live, "handy")) == "Sorry."
    last = upstream.requests[-1]
    [call] = last.messages[-2]["tool_calls"]
    assert call["function"]["arguments"] == "{}"
    [result] = results(last)
    assert result == (
        "Error: the arguments of calculator were not read, because they are not one JSON object. "
        f"You wrote: {arguments}\nCall it again, with a JSON object."
    )
    assert answers_every_call(last.messages)


def test_a_repaired_call_is_executed(live: Live, upstream: Upstream):
    upstream.turns(calls_many(Call("calculator", "```\n{'expression': '6*7'}\n```")), says("There."))
    assert content_of(ask(live, "handy")) == "There."
    last = upstream.requests[-1]
    assert json.loads(last.messages[-2]["tool_calls"][0]["function"]["arguments"]) == {"expression": "6*7"}
    assert results(last) == ["42"]


def test_what_a_model_wrote_is_quoted_up_to_a_limit(live: Live, upstream: Upstream):
    upstream.turns(calls_many(Call("calculator", "x" * 5000)), says("Sorry."))
    ask(live, "handy")
    [result] = results(upstream.requests[-1])
    assert "x" * 1000 + " [cut here, 5,000 characters]" in result
    assert len(result) < 1300


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("arguments", [*NOT_OBJECTS, "", "{'path': 'x'}", '```json\n{"path": "x"}\n```'])
def test_a_client_always_gets_an_object(live: Live, upstream: Upstream, arguments: str, stream: bool):
    upstream.turns(calls_many(Call("look", arguments)))
    response = ask(live, tools=TOOLS, stream=stream)
    if stream:
        deltas = [call for event in events_of(response) for call in event["choices"][0]["delta"].get("tool_calls", ())]
        written = "".join(call["function"]["arguments"] for call in deltas)
    else:
        written = response.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(written), dict)


@pytest.mark.parametrize(("finish", "where"), [("tool_calls", ""), ("length", " at the model's output limit")])
def test_half_a_file_is_never_passed_off_as_the_whole(live: Live, upstream: Upstream, finish: str, where: str):
    upstream.turns(calls_many(Call("look", '{"content": "' + "x" * 1000)).but(finish=finish))
    *_, last = events_of(ask(live, tools=TOOLS, stream=True))
    message = f"The model's call of 'look' broke off in its arguments{where}."
    assert last == {"error": {"message": message, "type": "api_error", "param": None, "code": "bad_model_answer"}}


@pytest.mark.parametrize(
    ("sent", "expected"), [('{"path": "x"', "{}"), ("", "{}"), ("{'path': 'x'}", '{"path": "x"}'), ("[1]", "{}")]
)
def test_what_a_client_sends_back_is_an_object_too(live: Live, upstream: Upstream, sent: str, expected: str):
    upstream.says("Good.")
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": sent}}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "Nothing."},
    ]
    assert content_of(ask(live, messages=messages, tools=TOOLS)) == "Good."
    assert upstream.asked[0]["messages"][-2]["tool_calls"][0]["function"]["arguments"] == expected


def test_text_beside_a_call_that_was_not_read_is_shown(live: Live, upstream: Upstream):
    upstream.turns(calls_many(Call("calculator", "1+1"), text="Let me see."), says(" Two."))
    assert text_of(events_of(ask(live, "handy", stream=True))) == "Let me see. Two."
