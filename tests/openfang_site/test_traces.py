"""A run as an OpenTelemetry trace: spans for the agent, its calls of models and of tools; off unless it is wanted."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agents.tracing import Span, read, span_of_run
from tests.live import Live
from tests.live.asking import TIMEOUT, ask, body, row_of, url_of
from tests.live.server import ROOT
from tests.openfang_site.collector import Collector, attributes
from tests.upstream import Upstream, calls, fails, junk, says
from tests.upstream.wire import chunk

pytestmark = pytest.mark.slow

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# What the server waits until it sends a batch; 5 s by default.
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced_server(
    session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Live]:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_RESOURCE_ATTRIBUTES": "deployment=tests", **SOON}
    directory = tmp_path_factory.mktemp("traced")
    with Live(directory, cast=session_upstream.base_url, keys=True, env=env) as live:
        yield live


@pytest.fixture
def traced(traced_server: Live, upstream: Upstream) -> Live:
    return traced_server


def send(
    live: Live, model: str = "coder", *, traceparent: str = "", tracestate: str = "", **fields: Any
) -> httpx2.Response:
    headers = {"authorization": f"Bearer {live.keys['alice']}"}
    headers |= {name: value for name, value in (("traceparent", traceparent), ("tracestate", tracestate)) if value}
    return httpx2.post(url_of(live), json=body(model, **fields), headers=headers, timeout=TIMEOUT, verify=False)


def trace_id(response: httpx2.Response) -> str:
    """Without a trace of the client's the trace has the id of the request."""
    return response.headers["x-request-id"].removeprefix("req_")


def test_a_run_with_a_tool_is_a_trace(traced: Live, upstream: Upstream, collector: Collector):
    upstream.turns(calls("calculator", expression="6 * 7"), says("It is 42."))
    response = send(traced, "handy")
    row = row_of(traced, response)
    run, first, tool, last = collector.trace(trace_id(response), 4)

    names = ["invoke_agent handy", "chat scripted-model", "execute_tool calculator", "chat scripted-model"]
    assert [span.name for span in (run, first, tool, last)] == names
    assert run.parent_span_id == b""
    assert {span.parent_span_id for span in (first, tool, last)} == {run.span_id}
    assert len({span.span_id for span in (run, first, tool, last)}) == 4
    # INTERNAL is 1, CLIENT is 3.
    assert [span.kind for span in (run, first, tool, last)] == [1, 3, 1, 3]
    assert all(span.status.code == 0 for span in (run, first, tool, last))
    lasted = run.end_time_unix_nano - run.start_time_unix_nano
    assert lasted == row["duration_ms"] * 1_000_000

    told = attributes(run)
    assert told.pop("openfang.cost_usd") == pytest.approx(row["cost"] / 10**12)
    assert told == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "scripted",
        "gen_ai.agent.name": "handy",
        "gen_ai.agent.id": told["gen_ai.agent.id"],
        "gen_ai.request.model": "scripted-model",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": row["prompt_tokens"],
        "gen_ai.usage.output_tokens": row["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "openfang.request.id": response.headers["x-request-id"],
        "openfang.key.name": "alice",
    }
    assert told["gen_ai.agent.id"].replace("-", "") == row["agent_id"]
    assert attributes(first)["gen_ai.operation.name"] == "chat"
    assert attributes(first)["gen_ai.request.model"] == "scripted-model"
    assert attributes(first)["gen_ai.response.model"] == "scripted-model"
    assert attributes(first)["gen_ai.usage.input_tokens"] == 10
    assert 0 <= attributes(first)["gen_ai.response.time_to_first_chunk"] < TIMEOUT
    assert [attributes(call)["gen_ai.response.finish_reasons"] for call in (first, last)] == [["tool_calls"], ["stop"]]
    assert attributes(tool) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "calculator",
        "gen_ai.tool.type": "function",
    }


def test_the_resource_is_this_server(traced: Live, upstream: Upstream, collector: Collector):
    upstream.says("Hello")
    collector.trace(trace_id(send(traced)), 2)
    resource = collector.resources[-1]
    assert resource.items() >= {"service.name": "openfang", "deployment": "tests"}.items()
    assert resource["service.version"]


def test_a_clients_trace_goes_on_here_and_at_the_provider(traced: Live, upstream: Upstream, collector: Collector):
    upstream.turns(fails(429, headers={"retry-after": "0"}), says("Hello"))
    response = send(traced, traceparent=f"00-{TRACE}-{CALLER}-01", stream=True)
    assert response.status_code == 200
    run, failed, answered = collector.trace(TRACE, 3)
    assert run.parent_span_id.hex() == CALLER
    # Each call of the provider was told its own span.
    told = [asked.headers["traceparent"] for asked in upstream.requests]
    assert told == [f"00-{TRACE}-{call.span_id.hex()}-01" for call in (failed, answered)]
    assert {call.parent_span_id for call in (failed, answered)} == {run.span_id}


def test_the_model_that_the_provider_says_has_answered_is_told(traced: Live, upstream: Upstream, collector: Collector):
    answered = chunk({"content": "Hello"}, "stop", model="scripted-model-2026-11-22")
    upstream.turns(fails(429, headers={"retry-after": "0"}), junk([answered]))
    _, failed, call = collector.trace(trace_id(send(traced)), 3)
    assert attributes(call)["gen_ai.request.model"] == "scripted-model"
    assert attributes(call)["gen_ai.response.model"] == "scripted-model-2026-11-22"
    assert "gen_ai.response.model" not in attributes(failed)


def test_a_clients_trace_state_goes_with_its_trace(traced: Live, upstream: Upstream, collector: Collector):
    trace = f"{TRACE[1:]}5"
    upstream.model("steward-model").turns(calls("agent_ask", agent="expert", question="Why?"), says("Because."))
    upstream.model("expert-model").says("Because.")
    send(traced, "steward", traceparent=f"00-{trace}-{CALLER}-01", tracestate="vendor=a1,tenant@other=b 2")
    assert {asked.headers["tracestate"] for asked in upstream.requests} == {"vendor=a1,tenant@other=b 2"}
    assert {span.trace_state for span in collector.trace(trace, 6)} == {"vendor=a1,tenant@other=b 2"}


def test_a_trace_state_without_its_trace_goes_nowhere(traced: Live, upstream: Upstream):
    upstream.turns(says("Hello"))
    send(traced, tracestate="vendor=a1")
    assert "tracestate" not in upstream.requests[0].headers


def test_a_trace_that_its_client_does_not_record_is_not_recorded_here(
    traced: Live, upstream: Upstream, collector: Collector
):
    other = TRACE[::-1]
    upstream.turns(says("Hello"), says("Hello"))
    send(traced, traceparent=f"00-{other}-{CALLER}-00")
    assert upstream.requests[0].headers["traceparent"].startswith(f"00-{other}-")
    assert upstream.requests[0].headers["traceparent"].endswith("-00")
    collector.trace(trace_id(send(traced)), 2)
    assert other not in {span.trace_id.hex() for span in collector.spans}


def test_errors_are_named_and_what_went_wrong_is_marked(traced: Live, upstream: Upstream, collector: Collector):
    upstream.model("scripted-model").turns(fails(401))
    upstream.model("second-model").turns(fails(500, headers={"x-should-retry": "false"}))
    spans = collector.trace(trace_id(send(traced, "understudy")), 3)
    assert [span.name for span in spans] == ["invoke_agent understudy", "chat scripted-model", "chat second-model"]
    errors = [attributes(span)["error.type"] for span in spans]
    assert errors == ["provider_refused", "provider_refused", "provider_unavailable"]
    assert [(span.status.code, span.status.message) for span in spans] == [(2, error) for error in errors]
    assert all("gen_ai.response.finish_reasons" not in attributes(span) for span in spans)


def test_a_tool_that_fails_is_marked_in_a_run_that_does_not(traced: Live, upstream: Upstream, collector: Collector):
    upstream.turns(calls("calculator", expression="1 +"), says("I cannot say."))
    run, _, tool, _ = collector.trace(trace_id(send(traced, "handy")), 4)
    assert run.status.code == 0
    assert (tool.status.code, attributes(tool)["error.type"]) == (2, "tool_failed")


def test_an_agent_that_is_asked_by_another_is_in_its_trace(traced: Live, upstream: Upstream, collector: Collector):
    upstream.model("steward-model").turns(calls("agent_ask", agent="expert", question="Why?"), says("Because."))
    upstream.model("expert-model").says("Because.")
    spans = collector.trace(trace_id(send(traced, "steward")), 6)
    by_name = {span.name: span for span in spans}
    steward, expert = by_name["invoke_agent steward"], by_name["invoke_agent expert"]
    assert expert.parent_span_id == steward.span_id
    assert by_name["chat expert-model"].parent_span_id == expert.span_id


def test_no_word_of_a_conversation_is_in_a_trace(traced: Live, upstream: Upstream, collector: Collector):
    upstream.turns(calls("agent_ask", agent="expert", question="pomegranates?"), says("About pomegranates"))
    upstream.model("expert-model").says("pomegranates!")
    response = send(
        traced, "handy", messages=[{"role": "user", "content": "pomegranates"}], user="lovelace", stream=True
    )
    spans = collector.trace(trace_id(response), 6)
    assert not [span for span in spans if "pomegranate" in str(span) or "lovelace" in str(span)]


def test_a_collector_that_does_not_answer_delays_no_request_and_a_stop_sends_what_is_left(
    upstream: Upstream, tmp_path: Path
):
    with Collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces", **SOON}
        with Live(tmp_path, cast=upstream.base_url, env=env) as live:
            collector.answers.clear()
            upstream.turns(says("One"), says("Two"))
            assert ask(live).status_code == 200
            assert collector.asked.wait(60)
            response = ask(live)
            assert response.status_code == 200
            assert not collector.spans
            collector.answers.set()
            assert live.stop() == 0
        run, _ = collector.trace(trace_id(response), 2)
        assert run.name == "invoke_agent coder"


def test_a_collector_that_is_not_there_does_not_hold_up_requests_or_a_stop(upstream: Upstream, tmp_path: Path):
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **SOON}
    with Live(tmp_path, cast=upstream.base_url, env=env) as live:
        upstream.says("One")
        assert ask(live).status_code == 200
        assert live.stop() == 0
    assert "Traceback" not in live.output


def test_without_an_endpoint_nothing_is_loaded_and_providers_are_told_no_trace(live: Live, upstream: Upstream):
    upstream.says("Hello")
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=a1"}
    httpx2.post(url_of(live), json=body(), headers=headers, timeout=TIMEOUT, verify=False)
    assert not {"traceparent", "tracestate"} & set(upstream.requests[0].headers)
    # Redis' client loads a part of OpenTelemetry where it is installed.
    loaded = "import openfang_site.asgi, sys; sys.exit('opentelemetry.exporter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], env=live.env, cwd=ROOT, check=False).returncode == 0


def test_an_endpoint_without_the_packages_is_one_line_at_the_start():
    without = (
        "import sys; sys.modules['opentelemetry.exporter'] = None; import openfang_site.asgi;"
        "print('serves', openfang_site.asgi.application is not None)"
    )
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", without], env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "serves True\n"
    [line] = done.stderr.splitlines()
    assert line.endswith("no traces are written: install what they need with pip install -r requirements-otel.lock")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE}-{CALLER}-01-more",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{TRACE[:-1]}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01\n",
    ],
)
def test_what_is_no_traceparent_is_ignored(header: str):
    assert read(header) is None


def test_a_traceparent_is_read_and_written_and_later_versions_may_say_more():
    span = read(f"00-{TRACE}-{CALLER}-01")
    assert span == Span(int(TRACE, 16), int(CALLER, 16), sampled=True)
    assert str(span) == f"00-{TRACE}-{CALLER}-01"
    assert read(f"cc-{TRACE}-{CALLER}-03-what-the-future-will-be-like") == span


@pytest.mark.parametrize(
    ("header", "passed_on"),
    [
        ("vendor=a1", "vendor=a1"),
        ("vendor=a1 ,\tother=b,, ", "vendor=a1,other=b"),
        ("0tenant@vendor=a=1", ""),
        ("0tenant@vendor=a 1", "0tenant@vendor=a 1"),
        ("0vendor=a1", ""),
        ("Vendor=a1", ""),
        ("vendor=a1,other", ""),
        ("vendor=a\x01", ""),
        ("vendor=\u00e9", ""),
        ("vendor=" + "a" * 257, ""),
        (",".join(f"v{number}=1" for number in range(32)), ",".join(f"v{number}=1" for number in range(32))),
        (",".join(f"v{number}=1" for number in range(33)), ""),
        (f"a={'x' * 250},b={'x' * 250},c={'x' * 10}", ""),
    ],
)
def test_a_trace_state_is_passed_on_whole_or_not_at_all(header: str, passed_on: str):
    span = read(f"00-{TRACE}-{CALLER}-01", header)
    assert span is not None
    assert span.state == passed_on
    told = span_of_run(uuid.uuid4(), span).child().headers
    assert told.get("tracestate", "") == passed_on
    assert told["traceparent"].startswith(f"00-{TRACE}-")


def test_a_run_has_a_span_of_its_own_and_the_requests_id_where_it_is_the_first():
    run_id = uuid.uuid4()
    own = span_of_run(run_id, None)
    assert own.trace_id == run_id.int
    assert 0 < own.span_id < 2**64
    caller = read(f"00-{TRACE}-{CALLER}-00")
    assert span_of_run(run_id, caller) == Span(int(TRACE, 16), own.span_id, sampled=False)
