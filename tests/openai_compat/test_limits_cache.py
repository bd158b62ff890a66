"""What becomes of the counting while Redis does not answer."""

import logging
from pathlib import Path

import pytest

from agents.errors import LimitsUnavailable
from agents.limits import cache
from agents.limits.cache import Outage, RedisOrLocal
from openai_compat.errors import error_body, http_status
from tests.openai_compat.limits_parts import need_redis
from tests.services import Redis


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    monkeypatch.setattr(cache, "outage", Outage())
    return cache.outage


@pytest.fixture
def gone(outage: Outage, tmp_path: Path) -> RedisOrLocal:
    """A cache whose Redis is not there."""
    counts = RedisOrLocal(Redis(tmp_path / "redis").new_database(), {})
    counts._local.clear()
    return counts


def test_the_process_counts_for_itself_and_says_so_once(gone: RedisOrLocal, caplog: pytest.LogCaptureFixture):
    # Also a counter that Redis had begun goes on.
    assert [gone.incr("requests") for _ in range(3)] == [1, 2, 3]
    assert gone.add("slot", 1) and not gone.add("slot", 1)
    assert gone.get_many(["slot", "requests"]) == {"slot": 1, "requests": 3}
    assert gone.delete("slot") and not gone.has_key("slot")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["Redis does not answer (ConnectionError); until it does, this process counts for itself."]


def test_it_can_be_set_to_refuse(gone: RedisOrLocal, settings):
    settings.OPENFANG_LIMITS_WITHOUT_REDIS = "refuse"
    with pytest.raises(LimitsUnavailable) as refusal:
        gone.incr("requests")
    assert http_status(refusal.value) == 503
    assert error_body(refusal.value)["error"]["code"] == "limits_unavailable"


def test_redis_counts_again_when_it_is_back(
    outage: Outage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    need_redis()
    monkeypatch.setattr(cache, "TRY_AGAIN_SECONDS", 0)
    redis = Redis(tmp_path / "redis")
    counts = RedisOrLocal(redis.new_database(), {})
    counts._local.clear()
    counts.add("requests", 7)
    redis.start()
    assert counts.get("requests") is None
    assert counts.add("requests", 1)
    redis.stop()
    assert caplog.messages[-1] == "Redis answers again."
