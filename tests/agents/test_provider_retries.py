"""Asking again: only before the first word, only where it may help, and in the order that the agent names."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import pytest

from agents.errors import AgentError, ProviderError, ProviderTimeout, ProviderUnavailable, RunTimeout
from agents.providers import Providers
from agents.providers.attempts import ask
from agents.types import (
    Delta,
    FinishReason,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    ModelRequest,
    ModelSpec,
    ProviderSpec,
)
from tests.clocks import loop_clock
from tests.upstream import (
    DONE,
    Mark,
    Step,
    Upstream,
    answers,
    chunk,
    cuts,
    error_frame,
    fails,
    hangs,
    junk,
    says,
    stalls,
)

NOW = {"retry-after": "0"}
IDLE_SECONDS = 60
FIRST, SECOND, THIRD = "first-model", "second-model", "third-model"


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    providers = Providers(idle_seconds=IDLE_SECONDS)
    yield providers
    await providers.aclose()


@pytest.fixture
async def forward() -> AsyncIterator[Callable[[float], None]]:
    """Puts the clock forward by which silence and a run's time are measured."""
    with loop_clock() as forward:
        yield forward


@pytest.fixture
def full() -> Iterator[str]:
    """An address where a connection is neither taken nor refused, as at that of a machine that is gone."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as first:
        first.connect(server.getsockname())  # all that the queue holds
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


class Asked:
    """What became of one question: the text, the calls made (model and error code), and the error."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[tuple[str, str]] = []
        self.error: AgentError | None = None


async def asked(
    providers: Providers,
    upstream: Upstream,
    *names: str,
    seconds: float = 3600,
    base_url: str = "",
    heard: Callable[[], None] = lambda: None,
    into: Asked | None = None,
) -> Asked:
    """Ask, within so many seconds, call `heard` with each piece of the answer, and note `into` what becomes of it."""
    provider = ProviderSpec("scripted", "Scripted", "openai", base_url or upstream.base_url)
    models = tuple(ModelSpec(name, provider) for name in names or (FIRST,))
    deadline = asyncio.get_running_loop().time() + seconds
    result, model = into or Asked(), ""
    try:
        async with aclosing(ask(providers, models, ModelRequest([Message("user", "Hi")], deadline))) as events:
            async for event in events:
                if isinstance(event, LLMCallStarted):
                    model = event.model.name
                elif isinstance(event, LLMCallEnded):
                    result.calls.append((model, event.error_code))
                elif isinstance(event, Delta):
                    result.text += event.text
                    heard()
    except AgentError as error:
        result.error = error
    return result


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (fails(429, headers=NOW), "provider_rate_limited"),
        (fails(500), "provider_unavailable"),
        (fails(503, "<html>Bad gateway</html>"), "provider_unavailable"),
        (fails(504), "provider_timeout"),
        (fails(408), "provider_timeout"),
        (fails(529), "provider_unavailable"),
        (cuts(), "provider_unavailable"),
        (cuts(reset=True), "provider_unavailable"),
        (cuts(""), "provider_unavailable"),
        (junk([error_frame("Overloaded.")]), "provider_unavailable"),
        (junk([b"event: error\n", error_frame("Overloaded.")]), "provider_unavailable"),
        (junk([b"data: {oops\n\n"]), "bad_model_answer"),
        (junk([b"<html>Welcome</html>"], content_type="text/html"), "provider_unavailable"),
        (answers({"error": {"message": "Overloaded."}}), "provider_unavailable"),
    ],
)
async def test_what_may_pass_is_asked_again(providers: Providers, upstream: Upstream, step: Step, code: str):
    upstream.turns(step, says("Hello"))
    result = await asked(providers, upstream)
    assert (result.text, result.error) == ("Hello", None)
    assert result.calls == [(FIRST, code), (FIRST, "")]


@pytest.mark.parametrize("step", [hangs(), stalls("")])
async def test_silence_may_pass_too(
    providers: Providers, upstream: Upstream, forward: Callable[[float], None], step: Step
):
    upstream.turns(step, says("Hello"))
    result = Asked()
    asking = asyncio.create_task(asked(providers, upstream, into=result))
    await upstream.received(1)
    while not result.calls:
        forward(IDLE_SECONDS)
        await asyncio.sleep(0)
    await asking
    assert (result.text, result.calls) == ("Hello", [(FIRST, "provider_timeout"), (FIRST, "")])


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (fails(400), "provider_refused"),
        (fails(422), "provider_refused"),
        (fails(401), "provider_refused"),
        (fails(402), "provider_refused"),
        (fails(403), "provider_refused"),
        (fails(404), "provider_refused"),
        (fails(405), "provider_refused"),
        (fails(429, {"error": {"message": "Pay.", "code": "insufficient_quota"}}), "provider_refused"),
        (fails(429, {"error": {"message": "Pay.", "type": "insufficient_quota", "code": None}}), "provider_refused"),
        (fails(429, headers={"retry-after": "60"}), "provider_rate_limited"),
        (fails(429, headers={"x-should-retry": "false"}), "provider_rate_limited"),
        (fails(500, headers={"x-should-retry": "false"}), "provider_unavailable"),
        (fails(503, headers={"x-should-retry": "false"}), "provider_unavailable"),
    ],
)
async def test_what_will_not_pass_is_asked_once(providers: Providers, upstream: Upstream, step: Step, code: str):
    upstream.turns(step)
    result = await asked(providers, upstream)
    assert result.error is not None
    assert result.error.code == code
    assert result.calls == [(FIRST, code)]


async def test_a_model_is_asked_three_times(providers: Providers, upstream: Upstream):
    upstream.turns(*[fails(429, headers=NOW)] * 3)
    result = await asked(providers, upstream)
    assert result.calls == [(FIRST, "provider_rate_limited")] * 3


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_waited_for(providers: Providers, upstream: Upstream, status: int):
    upstream.turns(fails(status, headers={"retry-after": "1"}), says("Hello"))
    result = await asked(providers, upstream)
    assert result.text == "Hello"
    first, second = upstream.requests
    assert second.at - first.at >= 1


async def test_a_retry_after_that_is_no_number_of_seconds_is_not_believed(providers: Providers, upstream: Upstream):
    upstream.turns(fails(429, headers={"retry-after": "soon"}), says("Hello"))
    assert (await asked(providers, upstream)).text == "Hello"


@pytest.mark.parametrize("step", [cuts("Hello"), stalls("Hello")])
async def test_nothing_is_asked_again_after_the_first_word(
    providers: Providers, upstream: Upstream, forward: Callable[[float], None], step: Step
):
    upstream.turns(step)
    result = await asked(providers, upstream, FIRST, SECOND, heard=lambda: call_soon(forward, IDLE_SECONDS))
    assert result.text == "Hello"
    assert isinstance(result.error, ProviderError)
    assert len(upstream.requests) == 1


def call_soon(function: Callable[[float], None], seconds: float) -> None:
    """Call a function once whoever runs now waits for what comes next."""
    asyncio.get_running_loop().call_soon(function, seconds)


@pytest.mark.parametrize("end", [Mark.CUT, Mark.RESET])
@pytest.mark.parametrize("complete", [False, True])
async def test_what_came_before_a_break_is_read_by_whoever_was_busy_meanwhile(
    providers: Providers, end: Mark, complete: bool
):
    with Upstream() as upstream:
        upstream.turns(
            junk([chunk({"content": "One"}), Mark.HOLD, chunk({"content": " two"}), *[DONE] * complete, end])
        )
        provider = ProviderSpec("scripted", "Scripted", "openai", upstream.base_url)
        deadline = asyncio.get_running_loop().time() + 60
        request = ModelRequest([Message("user", "Hi")], deadline)
        async with aclosing(providers.stream(ModelSpec(FIRST, provider), request)) as deltas:
            assert (await anext(deltas)).text == "One"
            [asked] = upstream.requests
            asked.release()
            await asked.answered.seen()
            await asyncio.to_thread(upstream.stop)
            for _ in range(10):  # turns of the loop, in which the end and the break arrive
                await asyncio.sleep(0)
            assert (await anext(deltas)).text == " two"
            if complete:
                assert (await anext(deltas)).finish_reason == FinishReason.STOP
            else:
                with pytest.raises(ProviderUnavailable):
                    await anext(deltas)


async def test_a_thought_is_a_first_word_too(providers: Providers, upstream: Upstream):
    upstream.turns(says("", reasoning="Hm").but(pieces=cuts("x").pieces[1:]))
    result = await asked(providers, upstream, FIRST, SECOND)
    assert result.error is not None
    assert len(upstream.requests) == 1


async def test_fallbacks_are_asked_in_their_order(providers: Providers, upstream: Upstream):
    upstream.model(FIRST).turns(fails(401))
    upstream.model(SECOND).turns(fails(404))
    upstream.model(THIRD).says("Hello")
    result = await asked(providers, upstream, FIRST, SECOND, THIRD)
    assert (result.text, result.error) == ("Hello", None)
    assert result.calls == [(FIRST, "provider_refused"), (SECOND, "provider_refused"), (THIRD, "")]


async def test_a_long_wait_is_not_made_when_there_is_a_fallback(providers: Providers, upstream: Upstream):
    upstream.model(FIRST).turns(fails(429, headers={"retry-after": "60"}))
    upstream.model(SECOND).says("Hello")
    assert (await asked(providers, upstream, FIRST, SECOND)).text == "Hello"


async def test_a_model_with_a_longer_context_may_take_over(providers: Providers, upstream: Upstream):
    upstream.model(FIRST).turns(fails(400, {"error": {"message": "x", "code": "context_length_exceeded"}}))
    upstream.model(SECOND).says("Hello")
    result = await asked(providers, upstream, FIRST, SECOND)
    assert (result.text, result.calls) == ("Hello", [(FIRST, "context_length_exceeded"), (SECOND, "")])


async def test_a_bad_request_is_bad_for_every_model(providers: Providers, upstream: Upstream):
    upstream.model(FIRST).turns(fails(400))
    result = await asked(providers, upstream, FIRST, SECOND)
    assert result.error is not None
    assert result.calls == [(FIRST, "provider_refused")]


async def test_when_all_fail_the_first_models_first_error_is_told(providers: Providers, upstream: Upstream):
    upstream.model(FIRST).turns(fails(402))
    upstream.model(SECOND).turns(fails(500, headers={"x-should-retry": "false"}))
    result = await asked(providers, upstream, FIRST, SECOND)
    assert str(result.error) == "Scripted wants this server's account to be paid (HTTP 402)."


async def test_a_provider_that_is_not_there_is_unavailable(providers: Providers, upstream: Upstream):
    result = await asked(providers, upstream, base_url="http://127.0.0.1:9/v1")
    assert str(result.error) == "Scripted cannot be reached (ClientConnectorError)."
    assert result.calls == [(FIRST, "provider_unavailable")] * 3


async def test_a_silent_provider_is_given_up(
    providers: Providers, upstream: Upstream, forward: Callable[[float], None]
):
    upstream.turns(stalls("Hello"))
    result = await asked(providers, upstream, heard=lambda: call_soon(forward, IDLE_SECONDS))
    assert isinstance(result.error, ProviderTimeout)
    assert str(result.error) == "Scripted was silent for 60 s."
    await upstream.requests[0].client_gone.seen()


async def test_the_runs_deadline_comes_before_patience(providers: Providers, upstream: Upstream):
    upstream.turns(stalls("Hello"))
    result = await asked(providers, upstream, seconds=0.2)
    assert isinstance(result.error, RunTimeout)


async def test_words_that_keep_coming_are_not_silence(
    providers: Providers, upstream: Upstream, forward: Callable[[float], None]
):
    upstream.turns(says([str(digit) for digit in range(10)], interval=0.2))
    result = await asked(providers, upstream, heard=lambda: call_soon(forward, IDLE_SECONDS / 3))
    assert result.text == "0123456789"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(providers: Providers, upstream: Upstream, status: int):
    upstream.turns(fails(status, {}, {"location": f"{upstream.base_url}/chat/completions"}))
    result = await asked(providers, upstream)
    assert str(result.error) == f"Scripted refused the request (HTTP {status})."
    assert len(upstream.requests) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses, or takes more than it was told")
async def test_an_address_without_an_answer_is_out_of_reach_and_neither_silent_nor_slow(
    upstream: Upstream, full: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agents.providers.openai_compatible.CONNECT_SECONDS", 0.1)
    providers = Providers(idle_seconds=60)
    try:
        result = await asked(providers, upstream, base_url=full)
    finally:
        await providers.aclose()
    assert str(result.error) == "Scripted cannot be reached (ConnectionTimeoutError)."
    assert result.calls == [(FIRST, "provider_unavailable")] * 3
