"""How long the dashboard takes over a million requests: `python benchmarks/dashboard.py [REQUESTS]`.

Fills a database of its own with requests of 90 days, by 12 agents of 4 models, 6 keys and 2,000 end users, some of whom
ask more than others, then asks for the start page of the admin as an administrator does, five times for each period.
"""

# ruff: noqa: E402 -- the settings come first

import os
import random
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "openfang_site.settings"
os.environ["OPENFANG_DATA_DIR"] = os.environ.get("OPENFANG_BENCHMARK_DIR") or tempfile.mkdtemp(prefix="openfang-")

import django

django.setup()

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.limits.turns import own_turn
from agents.models import Agent, ApiKey, Status, UsageRecord
from agents.sql.statements import Insert
from agents.usage.rollups import add_to_rollups

DAYS = 90
BATCH = 10_000
MODELS = [("openai", "gpt-5-mini"), ("groq", "llama-3.3-70b"), ("anthropic", "sonnet"), ("local", "smollm2")]


def fill(count: int) -> None:
    agents = [Agent.objects.create(name=f"agent-{number}") for number in range(12)]
    keys = [ApiKey.objects.issue(f"key-{number}")[0] for number in range(6)]
    insert, began = Insert(UsageRecord), timezone.now() - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / count
    for first in range(0, count, BATCH):
        rows = [row(agents, keys, began + number * step) for number in range(first, min(first + BATCH, count))]
        with own_turn() as cursor:
            insert(cursor, rows)
            add_to_rollups(cursor, rows)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM agents_usagerollup")
        print(f"{count:,} requests in {cursor.fetchone()[0]:,} quarter-hour sums")


def row(agents: list[Agent], keys: list[ApiKey], began: Any) -> UsageRecord:
    number = random.randrange(len(agents))
    agent, key, (provider, model) = agents[number], random.choice(keys), MODELS[number % len(MODELS)]
    failed = random.random() < 0.02
    duration = int(random.lognormvariate(8, 1))
    return UsageRecord(
        id=uuid.uuid4(),
        started_at=began,
        ended_at=began + timedelta(milliseconds=duration),
        worker_id=uuid.UUID(int=1),
        agent_id=agent.id,
        agent_name=agent.name,
        api_key_id=key.id,
        api_key_name=key.name,
        endpoint="/v1/chat/completions",
        status=Status.FAILED if failed else Status.OK,
        error_code="provider_unavailable" if failed else "",
        requested_model=f"openfang:{agent.name}",
        provider=provider,
        model=model,
        prompt_tokens=random.randrange(50, 8000),
        completion_tokens=random.randrange(1, 1500),
        cost=None if model == "sonnet" else Decimal(random.randrange(10**9)).scaleb(-12),
        llm_calls=1,
        first_token_ms=duration // 4,
        duration_ms=duration,
        end_user=f"user-{int(2000 * random.random() ** 2)}",
    )


def measure() -> None:
    administrator, _ = User.objects.get_or_create(username="admin", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "localhost"})
    client.force_login(administrator)
    for period in ("hour", "day", "7d", "30d", "90d"):
        times = []
        for _ in range(6):
            began = time.perf_counter()
            response = client.get("/admin/", {"period": period})
            assert response.status_code == 200
            times.append((time.perf_counter() - began) * 1000)
        print(
            f"{period:>5}: {median(times[1:]):4.0f} ms, at most {max(times[1:]):4.0f} ms, the first {times[0]:4.0f} ms"
        )


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    if not UsageRecord.objects.exists():
        fill(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    measure()
    print(f"The database is left in {settings.OPENFANG_DATA_DIR}; OPENFANG_BENCHMARK_DIR uses it again.")
