"""A provider that lies, and a model that invents: each request is answered and recorded, and harms no other."""

import sqlite3
from contextlib import closing

import httpx2
import pytest

from agents.usage.recording import MOST_REFUSED
from benchmarks.liars import LIES
from tests.live import Live
from tests.live.asking import TIMEOUT, ask, content_of, row_of
from tests.upstream import Upstream, junk, says

TOOLS = ["lie-nul", "lie-surrogate", "lie-calls"]  # answers that call tools, and are asked for again with the results


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_lie_is_answered_and_recorded(live: Live, upstream: Upstream, lie: str, stream: bool):
    upstream.turns(junk([LIES[lie]]), *[says("Done.")] * (lie in TOOLS))
    answer = ask(live, "handy", stream=stream)
    row = row_of(live, answer)
    assert (answer.status_code, row["status"]) == (200, "ok")
    assert row["prompt_tokens"] >= 0 <= row["completion_tokens"]
    steps = live.steps(row["id"])
    assert len(steps) == row["llm_calls"] + row["tool_calls"]
    assert not any("\x00" in str(value) for step in steps for value in step.values())
    upstream.says("Hello")
    assert content_of(ask(live)) == "Hello"
    assert httpx2.get(f"{live.url}/healthz", timeout=TIMEOUT, verify=False).status_code == 200


def test_a_run_saves_its_transcript_a_few_times_however_many_calls_one_answer_has(live: Live, upstream: Upstream):
    if "DATABASE_URL" in live.env:
        pytest.skip("the triggers that count the saves are those of SQLite")
    with closing(sqlite3.connect(live.data_dir / "openfang.sqlite3", timeout=20)) as database:
        database.execute("CREATE TABLE saves (run)")
        for event in ("INSERT", "UPDATE"):
            database.execute(
                f"CREATE TRIGGER saves_{event} AFTER {event} ON agents_transcript "
                "BEGIN INSERT INTO saves VALUES (new.id); END"
            )
        database.commit()
        try:
            upstream.turns(junk([LIES["lie-calls"]]), says("Done."))
            answer = ask(live, "handy")
            assert content_of(answer) == "Done."
            row = row_of(live, answer)
            assert row["tool_calls"] == 5 + MOST_REFUSED
            [(saves,)] = database.execute("SELECT count(*) FROM saves WHERE run = ?", [row["id"]]).fetchall()
            assert 1 <= saves <= 100
        finally:
            for event in ("INSERT", "UPDATE"):
                database.execute(f"DROP TRIGGER saves_{event}")
            database.execute("DROP TABLE saves")
            database.commit()
