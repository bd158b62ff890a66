"""Telling the administrator that a budget is nearly used up: by e-mail and by a signed call of a webhook."""

import hashlib
import hmac
import logging
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from functools import cache as once

import msgspec
from django.conf import settings
from django.core.mail import send_mail

from agents.models import Budget, BudgetPeriod, Period, Unit

logger = logging.getLogger(__name__)

PAUSES = (1.0, 5.0, 30.0, 120.0)  # seconds before the second try and those after it
ANSWER_SECONDS = 10.0


class BudgetWarning(msgspec.Struct, frozen=True):
    """A budget that has come to its threshold; the body of the webhook's call."""

    whose: str
    period: str
    unit: str
    limit: str
    spent: str
    percent: int
    resets_at: datetime
    event: str = "budget.warning"

    @classmethod
    def about(cls, budget: Budget, row: BudgetPeriod) -> "BudgetWarning":
        unit = Unit(budget.unit)
        return cls(
            whose=budget.whose,
            period=budget.period,
            unit=unit.value,
            limit=f"{unit.shown(budget.limit):f}",
            spent=f"{unit.shown(row.spent):f}",
            percent=row.spent * 100 // budget.limit if budget.limit else 100,
            resets_at=Period(budget.period).end(row.start),
        )

    def __str__(self) -> str:
        every = "daily" if self.period == Period.DAY else "monthly"
        of = f"{self.spent} of {self.limit} {'dollars' if self.unit == Unit.USD else 'tokens'}"
        return (
            f"{self.percent} % of the {every} budget of {self.whose} is spent ({of}); "
            f"it resets at {self.resets_at:%Y-%m-%d %H:%M} UTC."
        )


def send(warning: BudgetWarning) -> None:
    """Have a warning sent; returns at once."""
    logger.warning("%s", warning)
    if settings.OPENFANG_ALERT_WEBHOOK or settings.OPENFANG_ALERT_EMAIL:
        _letters().put(warning)


@once
def _letters() -> "queue.SimpleQueue[BudgetWarning]":
    letters: queue.SimpleQueue[BudgetWarning] = queue.SimpleQueue()
    threading.Thread(target=_deliver, args=[letters], name="openfang-alerts", daemon=True).start()
    return letters


def _deliver(letters: "queue.SimpleQueue[BudgetWarning]") -> None:
    while True:
        warning = letters.get()
        if settings.OPENFANG_ALERT_EMAIL:
            _retried("e-mail", lambda: _mail(warning))  # noqa: B023 -- called before the next round
        if settings.OPENFANG_ALERT_WEBHOOK:
            _retried("webhook", lambda: _call(warning))  # noqa: B023


def _retried(what: str, deliver: Callable[[], object]) -> None:
    for pause in (*PAUSES, None):
        try:
            deliver()
        except Exception as error:  # of any kind: without this thread no warning would be sent again
            # The error's type alone: its text may hold the address, and that a secret.
            logger.warning("The %s about a budget could not be sent: %s", what, type(error).__name__)
            if pause is not None:
                time.sleep(pause)
        else:
            return


def _mail(warning: BudgetWarning) -> None:
    send_mail("OpenFang: a budget is nearly used up", str(warning), None, settings.OPENFANG_ALERT_EMAIL)


def _call(warning: BudgetWarning) -> None:
    body, moment = msgspec.json.encode(warning), str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "x-openfang-timestamp": moment,
        "x-openfang-signature": f"sha256={signature(moment, body)}",
    }
    request = urllib.request.Request(settings.OPENFANG_ALERT_WEBHOOK, body, headers)
    with settings.PROXIES.opener(request.full_url).open(request, timeout=ANSWER_SECONDS):
        pass


def signature(moment: str, body: bytes) -> str:
    """Return the HMAC-SHA-256, with OPENFANG_ALERT_SECRET, of the timestamp, a dot, and the body."""
    return hmac.new(settings.OPENFANG_ALERT_SECRET.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
