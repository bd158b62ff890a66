"""Makes keys with limits beside a running server: `python -m tests.openai_compat.limits_cast '{"name": {...}}'`.

The fields are those of the row; `budgets` is a list of rows of budgets, and `edge` the second of a minute, 0 to 59, at
which the key's minutes begin. Prints the keys as JSON.
"""

import json
import os
import sys
import uuid
import zlib
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")

import django

django.setup()

from agents.models import Agent, ApiKey, Budget  # noqa: E402 -- needs the apps that django.setup loads


def id_with_edge(edge: int) -> uuid.UUID:
    """Return an id whose minutes begin at this second: each id has one of its own."""
    while True:
        candidate = uuid.uuid4()
        if (zlib.crc32(str(candidate).encode()) + 1 - edge) % 60 == 0:
            return candidate


def make(name: str, *, edge: int | None = None, budgets: list[dict[str, Any]], **fields: Any) -> str:
    if edge is not None:
        fields["id"] = id_with_edge(edge)
    key, raw = ApiKey.objects.issue(name, **fields)
    for budget in budgets:
        Budget.objects.create(api_key=key, **budget)
    return raw


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    agent_budgets = wanted.pop("agents", {})
    for name, budget in agent_budgets.items():
        Budget.objects.create(agent=Agent.objects.get(name=name), **budget)
    for budget in wanted.pop("server", []):
        Budget.objects.create(**budget)
    print(json.dumps({name: make(name, **{"budgets": [], **fields}) for name, fields in wanted.items()}))
