"""A provider's key goes to the provider, and nowhere else. Silence has its limit, which a setting gives."""

from collections.abc import Iterator

import pytest

from tests.live import Live
from tests.live.asking import ask, events_of, row_of, text_of
from tests.live.colleague import Colleague
from tests.upstream import Step, Upstream, chunk, error_frame, fails, junk, says, stalls

SECRET = "sk-proj-0123456789abcdefghij"
NO_RETRY = {"x-should-retry": "false"}


@pytest.fixture(scope="module")
def keyed_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server whose agent `keyed` uses a provider that wants a key and may be silent for ten seconds."""
    env = {
        "SCRIPTED_KEY": SECRET,
        "POSTGRES_PASSWORD": SECRET,
        "BROKEN_KEY": f"{SECRET}\nsecond line",
        "OPENFANG_PROVIDER_IDLE_SECONDS": "10",
        "OPENFANG_LOG_LEVEL": "DEBUG",
    }
    live = Live(tmp_path_factory.mktemp("keyed"), env=env)
    with Colleague(live.env) as colleague:
        colleague.does("from django.core.management import call_command; call_command('migrate', verbosity=0)")
        variables = {
            "keyed": "SCRIPTED_KEY",
            "bare": "ABSENT_KEY",
            "broken": "BROKEN_KEY",
            "curious": "POSTGRES_PASSWORD",
        }
        for name, variable in variables.items():
            colleague.does(
                f"at = Provider.objects.create(name='{name}', base_url='{session_upstream.base_url}', "
                f"api_key_env='{variable}')\n"
                f"model = LanguageModel.objects.create(provider=at, name='a-model')\n"
                f"Agent.objects.create(name='{name}', model=model)"
            )
    with live:
        yield live


@pytest.fixture
def keyed(keyed_server: Live, upstream: Upstream) -> Live:
    return keyed_server


def test_the_key_is_sent_to_the_provider(keyed: Live, upstream: Upstream):
    upstream.says("Hello")
    assert ask(keyed, "keyed").status_code == 200
    assert upstream.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_without_a_key_nothing_is_sent_in_its_place(live: Live, upstream: Upstream):
    upstream.says("Hello")
    assert ask(live, key="a-clients-secret").status_code == 200
    assert "authorization" not in upstream.requests[0].headers
    assert b"a-clients-secret" not in upstream.requests[0].raw


def test_a_key_that_the_server_does_not_have_is_named_by_its_variable(keyed: Live, upstream: Upstream):
    response = ask(keyed, "bare")
    assert response.status_code == 502
    assert response.json()["error"]["message"] == "bare has no API key on this server: ABSENT_KEY is not set."
    assert row_of(keyed, response)["error_code"] == "provider_refused"
    assert upstream.requests == []


@pytest.mark.parametrize("streamed", [False, True])
def test_a_key_that_no_header_can_carry_is_named_by_its_variable(keyed: Live, upstream: Upstream, streamed: bool):
    response = ask(keyed, "broken", stream=streamed)
    assert response.status_code == 502
    assert response.json()["error"]["message"] == (
        "broken's API key has a character that no header can carry. Correct BROKEN_KEY or the kept key."
    )
    assert row_of(keyed, response)["error_code"] == "provider_refused"
    assert upstream.requests == []
    assert SECRET not in keyed.output


def test_a_variable_that_the_operator_does_not_list_is_sent_to_no_provider(keyed: Live, upstream: Upstream):
    response = ask(keyed, "curious")
    assert response.status_code == 502
    message = "curious has no API key on this server: POSTGRES_PASSWORD may not be sent to it."
    assert response.json()["error"]["message"] == message
    assert row_of(keyed, response)["error_code"] == "provider_refused"
    assert upstream.requests == []


@pytest.mark.parametrize(
    "step",
    [
        fails(400, {"error": {"message": f"Bad request by {SECRET}."}}),
        fails(400, {"error": {"message": "x" * 490 + SECRET}}),
        fails(400, {"error": {"message": "Bad.", "param": SECRET, "code": SECRET}}),
        fails(401, {"error": {"message": f"Incorrect API key provided: {SECRET}."}}),
        fails(403, {"error": {"message": f"Not for {SECRET}."}}),
        fails(418, {"error": f"Not for {SECRET}."}),
        fails(500, {"error": {"message": f"Failed for {SECRET}."}}, NO_RETRY),
        fails(400, f"<html>{SECRET}</html>"),
        junk([chunk({"content": "Hi"}), error_frame(f"Broke for {SECRET}.")], interval=0.1),
        junk([chunk({"content": "Hi"}), f"data: {{{SECRET}\n\n".encode()], interval=0.1),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_key_that_the_provider_repeats_is_told_to_nobody(keyed: Live, upstream: Upstream, step: Step, streamed: bool):
    upstream.turns(step)
    response = ask(keyed, "keyed", stream=streamed)
    assert "error" in response.text
    row = row_of(keyed, response)
    said = f"{response.text}{response.headers}{row}{keyed.steps(row['id'])}{keyed.output}"
    assert row["status"] == "failed"
    assert SECRET[:10] not in said


def test_a_key_in_the_answer_is_the_models_to_say(keyed: Live, upstream: Upstream):
    """Answers are passed on as they are: the model was never told the key."""
    upstream.turns(says("sk-proj"))
    assert text_of(events_of(ask(keyed, "keyed", stream=True))) == "sk-proj"
    assert SECRET.encode() not in upstream.requests[0].raw


def test_a_provider_that_falls_silent_is_given_up_after_the_time_of_the_setting(keyed: Live, upstream: Upstream):
    upstream.turns(stalls("Hello"))
    response = ask(keyed, "keyed", stream=True)
    events = events_of(response)
    assert text_of(events) == "Hello"
    assert events[-1]["error"]["message"] == "keyed was silent for 10 s."
    row = row_of(keyed, response)
    assert (row["status"], row["error_code"]) == ("failed", "provider_timeout")
    assert upstream.requests[0].client_gone.wait(60)
