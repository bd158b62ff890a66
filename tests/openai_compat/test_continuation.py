"""A run that ended with calls of the client is gone on with: after a restart, by its own caller, while it is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.acting import answers_every_call, asking, asks_all, turns_of
from tests.live import Live
from tests.live.asking import eventually
from tests.live.colleague import Colleague
from tests.openai_compat import raw
from tests.openai_compat.examples import HELLO, WEATHER
from tests.upstream import Upstream, call, says

IN_FULL = [
    ("user", "Hello!"),
    ("assistant", ["get_weather", "agent_ask"]),
    ("tool", "It is secret."),
    ("tool", "Rain"),
]
WITHOUT_THE_SERVERS = [("user", "Hello!"), ("assistant", ["get_weather"]), ("tool", "Rain")]


def begun(live: Live, upstream: Upstream, key: str = "") -> list[Any]:
    """The conversation after a turn that called both, with the client's result at its end."""
    upstream.turns(asks_all(call("get_weather", city="Bonn"), asking("critic", "?")))
    upstream.model("critic-model").says("It is secret.")
    message = raw.chat(live, model="handy", key=key, tools=[WEATHER]).json()["choices"][0]["message"]
    [shown] = message["tool_calls"]
    return [*HELLO, message, {"role": "tool", "tool_call_id": shown["id"], "content": "Rain"}]


def gone_on(live: Live, upstream: Upstream, messages: list[Any], key: str = "", model: str = "handy") -> list[Any]:
    """Send it, and return what the provider gets to see."""
    upstream.says("Wet.")
    answer = raw.chat(live, model=model, key=key, tools=[WEATHER], messages=messages)
    assert answer.json()["choices"][0]["message"]["content"] == "Wet."
    assert answers_every_call(upstream.requests[-1].messages)
    return turns_of(upstream.requests[-1])


@pytest.mark.slow
def test_it_goes_on_after_a_restart(server: Live, upstream: Upstream):
    messages = begun(server, upstream)
    assert server.stop() == 0
    server.start()
    assert gone_on(server, upstream, messages) == IN_FULL


def test_another_key_learns_nothing_of_it(guarded: Live, upstream: Upstream):
    messages = begun(guarded, upstream, guarded.keys["alice"])
    assert gone_on(guarded, upstream, messages, guarded.keys["erin"]) == WITHOUT_THE_SERVERS
    assert "secret" not in upstream.requests[-1].raw.decode()
    assert gone_on(guarded, upstream, messages, guarded.keys["alice"]) == IN_FULL


def test_another_agent_learns_nothing_of_it(live: Live, upstream: Upstream):
    messages = begun(live, upstream)
    assert gone_on(live, upstream, messages, model="showing") == WITHOUT_THE_SERVERS


def test_calls_of_another_key_are_left_out(guarded: Live, upstream: Upstream):
    """Nothing is there to answer them: neither the transcript nor the client."""
    upstream.turns(asks_all(asking("critic", "?")), says("I asked."))
    upstream.model("critic-model").says("It is secret.")
    message = raw.chat(guarded, model="handy", key=guarded.keys["alice"]).json()["choices"][0]["message"]
    assert len(message["tool_calls"]) == 1
    messages = [*HELLO, message, {"role": "user", "content": "And?"}]
    expected = [("user", "Hello!"), ("assistant", "I asked."), ("user", "And?")]
    assert gone_on(guarded, upstream, messages, guarded.keys["erin"]) == expected


def test_what_has_expired_is_not_used(live: Live, upstream: Upstream):
    messages = begun(live, upstream)
    run = messages[1]["tool_calls"][0]["id"].split("_")[1]
    with Colleague(live.env) as colleague:
        expire = "from datetime import UTC, datetime; from agents.models import Transcript\n"
        expire += "result = Transcript.objects.filter(pk='%s').update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))"
        assert colleague.does(expire % run) == 1
    assert gone_on(live, upstream, messages) == WITHOUT_THE_SERVERS
    eventually(lambda: live.rows(f"SELECT id FROM agents_transcript WHERE id = '{run}'") == [])


def test_what_is_kept_cannot_be_read_in_the_database(live: Live, upstream: Upstream):
    messages = begun(live, upstream)
    run = messages[1]["tool_calls"][0]["id"].split("_")[1]
    [row] = live.rows(f"SELECT * FROM agents_transcript WHERE id = '{run}'")
    assert "secret" not in str(row)


@pytest.fixture
def forgetful(upstream: Upstream, tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path, cast=upstream.base_url, env={"OPENFANG_TRANSCRIPT_HOURS": "0"}) as live:
        yield live


def test_a_server_that_keeps_nothing_leaves_its_calls_out(forgetful: Live, upstream: Upstream):
    assert gone_on(forgetful, upstream, begun(forgetful, upstream)) == WITHOUT_THE_SERVERS
    upstream.turns(says("One."), says("Two."))
    body, headers = {"model": "coder", "messages": HELLO}, {"idempotency-key": "again"}
    asked = [raw.send(forgetful, "POST", "/v1/chat/completions", body, headers=headers) for _ in range(2)]
    assert [answer.json()["choices"][0]["message"]["content"] for answer in asked] == ["One.", "Two."]
    assert forgetful.rows("SELECT id FROM agents_transcript") == []
