"""Agents as JSON: what the web admin exports and imports. A file makes agents, and changes none that is there."""

import json
from datetime import UTC, datetime
from typing import Any

from agents.models import Agent
from agents.transfer.entries import FORMAT, MOST_AGENTS, VERSION, Known, NotReadable, Planned, Where, data_of, plan_of


def exported(agents: list[Agent]) -> str:
    """Return agents as the text of a file."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "agents": [data_of(agent) for agent in agents],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def read(text: str) -> list[Planned]:
    """Return what a file would make. Raises NotReadable with everything that is wrong with it."""
    known = Known(replaced=False)
    problems: list[str] = []
    plans = [plan_of(entry, where_of(number), known, problems) for number, entry in enumerate(entries_in(text))]
    if problems:
        raise NotReadable(problems)
    return [plan for plan in plans if plan is not None]


def where_of(number: int) -> Where:
    return lambda key: f"agents[{number}].{key}" if key else f"agents[{number}]"


def entries_in(text: str) -> list[Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotReadable([f"Not JSON: {error.msg} in line {error.lineno}, column {error.colno}."]) from None
    except RecursionError:
        raise NotReadable(["Not a file of agents: it is nested too deeply."]) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotReadable([f'format: must be "{FORMAT}". Is this a file that an OpenFang server has exported?'])
    if document.get("version") != VERSION:
        raise NotReadable([f"version: this server reads version {VERSION}, not {document.get('version')!r}."])
    entries = document.get("agents")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_AGENTS:
        raise NotReadable([f"agents: must be a list of 1 to {MOST_AGENTS} agents."])
    return entries
