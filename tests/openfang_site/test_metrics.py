"""What Prometheus is told: every request is in it once, as in the usage rows, and no name that a stranger made up."""

from collections.abc import Callable

import pytest

from agents.models.rollup import HISTOGRAM_BOUNDS
from tests.live import Live
from tests.live.asking import ask, eventually, read_until, somebody, streaming
from tests.openai_compat.raw import send
from tests.openfang_site.metrics_parts import Figures, figures
from tests.upstream import Upstream, call, calls, fails, says, stalls
from tests.upstream.steps import calls_many
from tests.upstream.wire import Usage

NOW = {"retry-after": "0"}
Growth = Callable[..., float]


CLOSED = """
SELECT count(*) AS requests FROM agents_usagerecord
WHERE status != 'running' AND worker_id IN (SELECT id FROM agents_worker)
"""


def at_rest(live: Live) -> Figures | None:
    """What is told while nothing is answered: a request is counted a moment after its client has the answer."""
    now = figures(live)
    [closed] = live.rows(CLOSED)
    # Counted without a row: what failed because its row could not be written.
    counted = now.of("openfang_requests_in_flight") == 0 and now.of("openfang_requests_total") >= closed["requests"]
    return now if counted else None


@pytest.fixture
def growth(live: Live) -> Growth:
    """By how much a figure has grown in this test, once this many requests have been counted."""
    before: Figures = eventually(lambda: at_rest(live))

    def counted(requests: int) -> Figures | None:
        now, name = at_rest(live), "openfang_requests_total"
        return now if now and now.of(name) - before.of(name) == requests else None

    def grown(name: str, *, after: int = 1, **labels: str) -> float:
        now = eventually(lambda: counted(after))
        change: float = now.of(name, **labels) - before.of(name, **labels)
        return round(change, 9)

    return grown


def test_a_request_is_counted_with_its_tokens_and_its_cost(live: Live, upstream: Upstream, growth: Growth):
    upstream.says("Hello", usage=Usage(1000, 200, 600, 50))
    ask(live)
    assert growth("openfang_requests_total", agent="coder", status="ok", streamed="false") == 1
    counted = {
        kind: growth("openfang_tokens_total", agent="coder", provider="scripted", model="scripted-model", kind=kind)
        for kind in ("prompt", "completion", "cached", "reasoning")
    }
    assert counted == {"prompt": 1000, "completion": 200, "cached": 600, "reasoning": 50}
    assert growth("openfang_cost_dollars_total", agent="coder", model="scripted-model") == pytest.approx(
        (400 * 1.5 + 600 * 0.15 + 200 * 6) / 1_000_000
    )
    assert growth("openfang_http_responses_total", status="200") == 1
    assert growth("openfang_upstream_duration_seconds_count", provider="scripted", model="scripted-model") == 1


def test_durations_fall_into_the_buckets_of_the_usage_sums(live: Live, upstream: Upstream, growth: Growth):
    upstream.says("Hello")
    ask(live, stream=True)
    labels = {"agent": "coder", "streamed": "true"}
    assert growth("openfang_request_duration_seconds_count", **labels) == 1
    assert growth("openfang_request_duration_seconds_bucket", le="+Inf", **labels) == 1
    assert growth("openfang_first_token_seconds_count", agent="coder") == 1
    assert 0 < growth("openfang_first_token_seconds_sum", agent="coder") < 60
    bounds = {float(bound) for bound in figures(live).values("le")}
    assert bounds == {bound / 1000 for bound in HISTOGRAM_BOUNDS} | {float("inf")}


def test_tries_and_fallbacks_are_counted_by_provider(live: Live, upstream: Upstream, growth: Growth):
    upstream.model("scripted-model").turns(fails(429, headers=NOW), fails(401))
    upstream.model("second-model").says("Hello")
    ask(live, "understudy")
    assert growth("openfang_upstream_errors_total", provider="scripted", error="provider_rate_limited") == 1
    assert growth("openfang_upstream_errors_total", provider="scripted", error="provider_refused") == 1
    assert growth("openfang_upstream_retries_total", provider="scripted") == 1
    assert growth("openfang_upstream_fallbacks_total", provider="scripted") == 1
    assert growth("openfang_unpriced_calls_total", model="second-model") == 1


def test_a_run_that_fails_is_counted_as_failed(live: Live, upstream: Upstream, growth: Growth):
    upstream.turns(fails(401))
    ask(live)
    assert growth("openfang_requests_total", agent="coder", status="failed") == 1
    assert growth("openfang_http_responses_total", status="502") == 1


def test_tools_are_counted_by_outcome_and_those_that_a_model_makes_up_have_no_name(
    live: Live, upstream: Upstream, growth: Growth
):
    upstream.turns(
        calls_many(
            call("calculator", expression="1 + 1"), call("calculator", expression="1 +"), call("format_disk", drive="C")
        ),
        says("Two."),
    )
    ask(live, "handy")
    assert growth("openfang_tool_calls_total", tool="calculator", outcome="ok") == 1
    assert growth("openfang_tool_calls_total", tool="calculator", outcome="error") == 1
    assert growth("openfang_tool_calls_total", tool="unknown", outcome="error") == 1
    assert "format_disk" not in figures(live).text


def test_the_agents_tool_keeps_its_name_beside_a_clients_of_that_name(live: Live, upstream: Upstream, growth: Growth):
    upstream.turns(calls("openfang_calculator", expression="1 + 1"), says("Two."))
    ask(live, "handy", tools=[{"type": "function", "function": {"name": "calculator", "parameters": {}}}])
    assert growth("openfang_tool_calls_total", tool="calculator", outcome="ok") == 1


def test_nothing_that_a_client_may_make_up_is_a_label(live: Live, upstream: Upstream, growth: Growth):
    name = somebody()
    upstream.turns(says("Hello"))
    ask(live, f"model-of-{name}", user=name)
    ask(live, f"openfang:{name}")
    assert growth("openfang_requests_total", agent="coder") == 1
    assert growth("openfang_http_responses_total", status="404") == 1
    assert name not in figures(live).text


def test_what_is_refused_before_it_is_read_is_counted_as_an_answer_on_v1(live: Live):
    def answers(status: str) -> float:
        return figures(live).of("openfang_http_responses_total", status=status)

    before = answers("413")
    for path in ("/v1/chat/completions", "/api/agents"):
        assert send(live, "POST", path, headers={"content-length": "999999999"}).status == 413
    assert answers("413") - before == 1


def test_a_request_is_in_flight_until_its_client_has_left(live: Live, upstream: Upstream, growth: Growth):
    upstream.turns(stalls("One two"))
    with streaming(live) as response:
        lines = response.iter_lines()  # kept: without it the client hangs up
        read_until(lines, "two")
        assert figures(live).of("openfang_requests_in_flight") == 1
    assert growth("openfang_requests_total", status="cancelled", streamed="true") == 1


def test_the_process_tells_what_it_takes(live: Live):
    now = eventually(lambda: at_rest(live))
    assert now.of("process_cpu_seconds_total") > 0
    assert now.of("process_resident_memory_bytes") > 10_000_000
    assert now.of("process_threads") > 1
    assert 1 <= now.of("openfang_open_sockets") < now.of("process_open_fds") < now.of("process_max_fds")
    assert now.of("openfang_usage_writer_queue_length") == 0
    assert now.of("openfang_usage_writer_up") == 1
    assert now.of("openfang_usage_writer_failures_total", kind="entry") == 0
    assert now.of("openfang_quarantined_entries") == 0
    assert now.of("openfang_build_info") == 1
    assert now.types["openfang_requests"] == "counter"
    assert now.types["openfang_request_duration_seconds"] == "histogram"
    assert now.types["openfang_requests_in_flight"] == "gauge"
