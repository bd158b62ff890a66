"""Makes keys with limits beside a running server: `python -m tests.openai_compat.limits_cast '{"name": {...}}'`.

The fields are those of the row; `budgets` is a list of rows of budgets, and `edge` the second of a minute, 0 to 59, at
which the key's minutes begin. `new_agents` are rows of agents, each made with a model of its name at the scripted
provider; `agents` and `server` have budgets. Prints the keys as JSON.
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

from agents.models import (  # noqa: E402 -- needs the apps that django.setup loads
    Agent,
    AgentMcpTool,
    ApiKey,
    Budget,
    LanguageModel,
    McpServer,
    Provider,
)


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


def make_agent(name: str, *, model: dict[str, Any], mcp_tools: list[dict[str, Any]], **fields: Any) -> None:
    own = LanguageModel.objects.create(provider=Provider.objects.get(name="scripted"), name=name, **model)
    agent = Agent.objects.create(name=name, model=own, **fields)
    if mcp_tools:
        server = McpServer.objects.create(name=name, transport="http", url="http://127.0.0.1:9/mcp", tools=mcp_tools)
        AgentMcpTool.objects.create(agent=agent, server=server)


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    for name, fields in wanted.pop("new_agents", {}).items():
        make_agent(name, **{"model": {}, "mcp_tools": [], **fields})
    agent_budgets = wanted.pop("agents", {})
    for name, budget in agent_budgets.items():
        Budget.objects.create(agent=Agent.objects.get(name=name), **budget)
    for budget in wanted.pop("server", []):
        Budget.objects.create(**budget)
    print(json.dumps({name: make(name, **{"budgets": [], **fields}) for name, fields in wanted.items()}))
