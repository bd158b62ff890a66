"""A running server learns how a model counts, and still knows it after a restart."""

from tests.live import Live
from tests.live.asking import ask, eventually, row_of
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import Upstream, Usage, says

LONG = [{"role": "user", "content": "The quick brown fox jumps over the lazy dog. " * 200}]


def test_a_model_that_counts_more_is_estimated_higher_from_then_on(server: Live, upstream: Upstream):
    budget = {"period": "day", "unit": "tokens", "limit": 10**9}
    keys = make_keys(server, new_agents={"eager": {}, "other": {}}, learner={"budgets": [budget]})

    def estimate(agent: str = "eager") -> int:
        upstream.turns(says("Hello", usage=None))
        return int(row_of(server, ask(server, agent, key=keys["learner"], messages=LONG))["prompt_tokens"])

    first = estimate()
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=2 * first)))
    ask(server, "eager", key=keys["learner"], messages=LONG)
    corrected = eventually(lambda: (now := estimate()) > first and now)
    assert first < corrected <= 1.2 * first
    assert estimate("other") == first

    server.stop()
    server.start()
    assert estimate() == corrected
