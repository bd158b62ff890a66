"""Histories come back in every state; what a provider gets is a conversation in which every call has its result."""

from uuid import UUID

import msgspec
import pytest

from agents.history import PastTurn, restored, runs_in
from agents.types import FunctionCall, Message, ToolCall
from tests.agents.acting import answers_every_call

RUN, OTHER = UUID(int=1), UUID(int=2)


def call(number: int, *, run: UUID = RUN, name: str = "look") -> ToolCall:
    return ToolCall(f"call_{run.hex}_{number}", FunctionCall(name, "{}"))


def says(text: str | None, *calls: ToolCall) -> Message:
    return Message("assistant", text, tool_calls=list(calls) or None)


def result(of: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=of.id)


def turn(text: str | None, *server: ToolCall, client: tuple[ToolCall, ...] = (), done: bool = True) -> PastTurn:
    results = {one.id: f"result of {one.id[-1]}" for one in server} if done else {}
    return PastTurn(says(text, *server, *client), [one.id for one in server], results)


QUESTION, THANKS = Message("user", "Look twice."), Message("user", "Thanks.")
FIRST, SECOND = turn("First I look.", call(0)), turn(" Then again.", call(1))
PAST = {RUN: [FIRST, SECOND]}
RUN_IN_FULL = [*FIRST.messages(), *SECOND.messages(), says("All is well.")]


def shown(messages: list[Message]) -> list[str]:
    """The conversation in short, after a look at whether a provider would take it."""
    assert answers_every_call(msgspec.to_builtins(messages))
    return [
        f"{message.role}: {message.content or ''}" + "".join(f" +{one.id[-1]}" for one in message.tool_calls or ())
        for message in messages
    ]


IN_FULL = shown(RUN_IN_FULL)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("First I look. Then again.All is well.", id="as it was streamed"),
        pytest.param("  First I look.\n\nThen again.\nAll is well.", id="with other white space"),
        pytest.param("All is well.", id="with the last text only"),
    ],
)
def test_a_message_with_executed_calls_becomes_the_turns_it_was(text: str):
    sent = [QUESTION, says(text, call(0), call(1)), THANKS]
    expected = ["user: Look twice.", *IN_FULL, "user: Thanks."]
    assert shown(restored(sent, PAST)) == expected


def test_a_text_that_was_only_the_turns_adds_nothing():
    assert shown(restored([says("First I look. Then again.  ", call(0), call(1))], PAST)) == IN_FULL[:-1]


def test_calls_without_text_are_enough_to_find_the_turns():
    assert shown(restored([says(None, call(0))], PAST)) == IN_FULL[:-1]


def test_the_calls_of_a_run_that_is_not_known_are_left_out():
    sent = [QUESTION, says("First I look.", call(0), call(1)), says("", call(2)), THANKS]
    assert shown(restored(sent, {})) == ["user: Look twice.", "assistant: First I look.", "user: Thanks."]


def test_a_message_that_was_split_is_one_run_again():
    sent = [says(None, call(0)), says(None, call(1)), says("All is well.")]
    assert shown(restored(sent, PAST)) == IN_FULL


def test_the_text_of_the_last_piece_of_a_split_message_is_kept():
    assert shown(restored([says(None, call(0)), says("All is well.", call(1))], PAST)) == IN_FULL


def test_a_message_that_comes_twice_counts_once():
    twice = says("First I look. Then again.All is well.", call(0), call(1))
    assert shown(restored([twice, THANKS, twice], PAST)) == [*IN_FULL, "user: Thanks."]


def test_results_that_the_client_made_up_for_calls_of_the_server_are_left_out():
    sent = [
        says("First I look. Then again.All is well.", call(0), call(1)),
        result(call(0), "Error: unknown tool"),
        result(call(1), "Error: unknown tool"),
        THANKS,
    ]
    assert shown(restored(sent, PAST)) == [*IN_FULL, "user: Thanks."]


def test_a_call_of_the_server_that_never_ended_is_left_out():
    past = {RUN: [FIRST, turn(" Then again.", call(1), done=False)]}
    sent = [says("First I look. Then again.", call(0), call(1)), THANKS]
    assert shown(restored(sent, past)) == [*IN_FULL[:2], "assistant:  Then again.", "user: Thanks."]


MIXED = {RUN: [FIRST, turn("Now you.", call(1), client=(call(2, name="yours"),))]}


@pytest.mark.parametrize(
    "calls", [pytest.param((0, 1, 2), id="all calls shown"), pytest.param((2,), id="only the client's shown")]
)
def test_the_clients_result_joins_those_of_the_server(calls: tuple[int, ...]):
    sent = [says("First I look.Now you.", *map(call, calls)), result(call(2), "mine")]
    assert shown(restored(sent, MIXED)) == [
        "assistant: First I look. +0",
        "tool: result of 0",
        "assistant: Now you. +1 +2",
        "tool: result of 1",
        "tool: mine",
    ]


def test_a_client_that_never_answers_its_call_loses_only_that_call():
    sent = [says("First I look.Now you.", call(2)), Message("user", "Never mind.")]
    assert shown(restored(sent, MIXED)) == [
        "assistant: First I look. +0",
        "tool: result of 0",
        "assistant: Now you. +1",
        "tool: result of 1",
        "user: Never mind.",
    ]


def test_a_result_before_its_call_is_left_out():
    sent = [result(call(2), "too early"), says("Now you.", call(2))]
    assert shown(restored(sent, MIXED))[-1] == "tool: result of 1"


def test_a_run_that_took_up_another_is_shown_with_the_turns_of_both():
    later = turn(" Then again.", call(0, run=OTHER))
    past = {RUN: [FIRST], OTHER: [FIRST, later]}
    sent = [says("First I look. Then again.All is well.", call(0), call(0, run=OTHER))]
    assert shown(restored(sent, past)) == [*shown([*FIRST.messages(), *later.messages()]), "assistant: All is well."]


def foreign(name: str) -> ToolCall:
    return ToolCall(name, FunctionCall("look", "{}"))


def test_a_history_of_other_services_stays_as_it_is():
    sent = [QUESTION, says("Look.", foreign("a"), foreign("b")), result(foreign("b"), "B"), result(foreign("a"), "A")]
    assert restored(sent, PAST) == sent


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([says("Look.", foreign("a")), THANKS], ["assistant: Look.", "user: Thanks."], id="no result"),
        pytest.param([result(foreign("a"), "A"), THANKS], ["user: Thanks."], id="no call"),
        pytest.param(
            [says(None, foreign("a")), result(foreign("a"), "A"), result(foreign("a"), "A")],
            ["assistant:  +a", "tool: A"],
            id="two results",
        ),
        pytest.param([says(None, foreign("a")), THANKS, result(foreign("a"), "A")], ["user: Thanks."], id="late"),
        pytest.param(
            [says(None, foreign("a"), foreign("a")), result(foreign("a"), "A")],
            ["assistant:  +a", "tool: A"],
            id="one id twice",
        ),
        pytest.param(
            [says(None, foreign("a"), foreign("b")), result(foreign("b"), "B"), result(foreign("c"), "C")],
            ["assistant:  +b", "tool: B"],
            id="only one of two",
        ),
    ],
)
def test_what_dangles_in_a_foreign_history_is_left_out(sent: list[Message], expected: list[str]):
    assert shown(restored(sent, {})) == expected


def test_only_ids_of_ours_name_a_run():
    sent = [says("", call(0)), says("", call(7, run=OTHER)), says("", foreign("call_abc")), result(call(9), "x")]
    assert runs_in(sent) == {RUN, OTHER}
