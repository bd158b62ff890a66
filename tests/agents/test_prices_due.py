"""A price that was entered for a moment to come is charged from that moment on, by a server that runs meanwhile."""

from typing import Any

import pytest

from tests.live import Live
from tests.live.asking import ask, eventually, row_of
from tests.upstream import Upstream, Usage

pytestmark = pytest.mark.slow

# Ten seconds on: entering it, which waits for the server's own writing, must not take longer.
ENTER = """
from datetime import timedelta
from django.utils import timezone
from agents.models import LanguageModel, ModelPrice
model = LanguageModel.objects.get(name="scripted-model")
before = {"prompt_price": model.prompt_price, "cached_price": model.cached_price, "completion_price": 6}
ModelPrice.objects.enter(model, before, {**before, "prompt_price": 15}, timezone.now() + timedelta(seconds=10))
"""
PRICE = "SELECT prompt_price FROM agents_languagemodel WHERE name = 'scripted-model'"
HISTORY = "SELECT history_change_reason FROM agents_historicallanguagemodel WHERE name = 'scripted-model'"


def test_a_server_charges_a_price_once_its_time_has_come(server: Live, upstream: Upstream):
    def charged() -> dict[str, Any]:
        upstream.says("Yes.", usage=Usage(prompt_tokens=1000, completion_tokens=0))
        return row_of(server, ask(server))

    before = charged()
    server.manage("shell", "--no-imports", "-c", ENTER)
    eventually(lambda: server.rows(PRICE)[0]["prompt_price"] == 15)
    after = eventually(lambda: (row := charged())["cost"] != before["cost"] and row)

    assert after["cost"] == 10 * before["cost"]
    assert server.usage(f"id = '{before['id']}'") == [before]
    reasons = [row["history_change_reason"] for row in server.rows(HISTORY)]
    assert any(reason and reason.startswith("openfang start, with prices that hold from ") for reason in reasons)
