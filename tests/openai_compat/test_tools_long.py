"""Tools that take long: the stream lives on, and whoever leaves ends them."""

import openai
import pytest

from tests.agents.acting import asks
from tests.live import Live
from tests.live.asking import closed_row, read_until, somebody, streaming
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO
from tests.upstream import Upstream, hangs, says


def test_leaving_during_a_tool_ends_the_tool(live: Live, upstream: Upstream):
    user = somebody()
    upstream.turns(asks("expert", "How long?").but(pieces=("Let me ask.",)))
    upstream.model("expert-model").turns(hangs())
    with streaming(live, "handy", user=user) as response:
        lines = response.iter_lines()  # kept: httpx leaves when nobody holds it
        read_until(lines, "ask.")
        _, held = upstream.wait_for_requests(2)
    assert held.client_gone.wait(60)
    row = closed_row(live, f"end_user = '{user}' AND parent_id IS NULL")
    assert (row["status"], row["error_code"], row["http_status"]) == ("cancelled", "client_disconnected", 200)
    assert (row["llm_calls"], row["tool_calls"]) == (1, 0)
    inner = closed_row(live, f"parent_id = '{row['id']}'")
    assert (inner["agent_name"], inner["status"]) == ("expert", "cancelled")


@pytest.mark.slow
def test_a_long_tool_is_bridged(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(asks("expert", "How long?"), says("Long."))
    upstream.model("expert-model").turns(hangs(says("Very.")))
    with client.chat.completions.create(model="hiding", messages=HELLO, stream=True) as stream:
        deltas = []
        for one in stream:
            deltas.append(strict.chunk(one).choices[0].delta.to_dict())
            if deltas[-1] == {}:
                upstream.release()
    assert deltas == [{"role": "assistant"}, {}, {"content": "Long."}, {}]
