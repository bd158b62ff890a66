"""Agents as TOML: what `openfang export` writes and people keep in git. The file is all that an agent is.

A field that is not there has its default, so only what differs from that is written: in the order of the fields here,
agents oldest first (the first one answers for unknown names), and always in the same form.
"""

import tomllib
from typing import Any

from agents.models import Agent
from agents.transfer.entries import (
    FORMAT,
    KEYS,
    MOST_AGENTS,
    PLAIN,
    VERSION,
    NotReadable,
    Planned,
    Where,
    data_of,
    data_of_plan,
)

HEAD = f"""\
# The agents of an OpenFang server: openfang import FILE makes a server's agents like these.
format = "{FORMAT}"
version = {VERSION}
"""
# How it is read aloud: what it is for, what it answers with, what it can do, its limits, and the long prompt last.
FIRST = ("description", "model", "fallback_models", "tools", "mcp_tools")
LAST = ("system_prompt",)
ORDER = (*FIRST, *(name for name in PLAIN if name not in FIRST + LAST), *LAST)
ALL_TOOLS = "*"


def written(agents: list[Agent]) -> str:
    """Return agents as the text of a file. Models and MCP servers are named, not included; there are no secrets."""
    defaults = data_of_plan(Planned(Agent()))
    return "\n".join([HEAD, *(_table(data_of(agent), defaults) for agent in agents)])


def _table(data: dict[str, Any], defaults: dict[str, Any]) -> str:
    import tomlkit  # noqa: PLC0415 -- 45 ms that only this needs

    def line(name: str, value: Any) -> str:
        return f"{tomlkit.key([name]).as_string()} = {_value(value)}"

    lines = [f"[{tomlkit.key(['agents', data['name']]).as_string()}]"]
    lines += [line(name, _shown(name, data[name])) for name in ORDER if data[name] != defaults[name]]
    return "\n".join([*lines, ""])


def _shown(name: str, value: Any) -> Any:
    if name != "mcp_tools":
        return value
    return [f"{chosen['server']}/{chosen['tool'] or ALL_TOOLS}" for chosen in value]


def _value(value: Any) -> str:
    import tomlkit  # noqa: PLC0415

    if isinstance(value, list):
        # An element a line, however few: a change then touches the lines of what it changes.
        return "\n".join(["[", *(f"    {_value(item)}," for item in value), "]"])
    if isinstance(value, str) and "\n" in value and "\r" not in value and value[0] != "\n":
        # The first line break of such a text does not count, which lets the text begin in a line of its own.
        return '"""\n' + tomlkit.string(value, multiline=True).as_string().removeprefix('"""')
    return str(tomlkit.item(value).as_string())


def entries_in(text: str) -> list[tuple[dict[str, Any], Where]]:
    """Return the agents of a file as data, each with the naming of its places. Raises NotReadable."""
    document = parsed(text)
    for name, value in {"format": FORMAT, "version": VERSION}.items():
        if document.get(name) != value:
            raise NotReadable([f"{name}: must be {value!r}. Has openfang export written this file?"])
    unknown = [name for name in document if name not in ("format", "version", "agents")]
    if unknown:
        raise NotReadable([f"{_Lines(text).of(name)}{name}: there is no such key." for name in unknown])
    agents = document.get("agents", {})
    if not isinstance(agents, dict) or len(agents) > MOST_AGENTS:
        raise NotReadable([f"agents: must be up to {MOST_AGENTS} tables [agents.NAME]."])
    places = {name: _where(name, _Lines(text)) for name in agents}
    if named := [name for name, table in agents.items() if isinstance(table, dict) and "name" in table]:
        raise NotReadable([f"{places[name]('name')}: the name is the table's, [agents.{name}]." for name in named])
    return [(_entry(name, table), places[name]) for name, table in agents.items()]


def parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotReadable([f"Not TOML: {error}."]) from None
    except RecursionError:
        raise NotReadable(["Not a file of agents: it is nested too deeply."]) from None


def _entry(name: str, table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    entry = {**table, "name": name}
    if isinstance(chosen := table.get("mcp_tools"), list):
        entry["mcp_tools"] = [_mcp_tool(item) for item in chosen]
    return entry


def _mcp_tool(item: Any) -> Any:
    if not isinstance(item, str) or "/" not in item:
        return item
    server, _, tool = item.partition("/")
    return {"server": server, "tool": "" if tool == ALL_TOOLS else tool}


def _where(agent: str, lines: "_Lines") -> Where:
    def where(key: str) -> str:
        place = f"agents.{agent}.{key}" if key else f"agents.{agent}"
        return lines.of("agents", agent, *filter(None, [key])) + place

    return where


class _Lines:
    """Finds the line in which a key is given: the first one up to which the text has it."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def of(self, *path: str) -> str:
        """Return the line of a key as the beginning of a message, or nothing for a key that is not there."""
        for number, line in enumerate(self._lines):
            if path[-1] in line and not self._has(number, path) and self._has_soon(number, path):
                return f"line {number + 1}: "
        return ""

    def _has_soon(self, number: int, path: tuple[str, ...]) -> bool:
        # A value may go on for lines, within which nothing can be read.
        for end in range(number + 1, len(self._lines) + 1):
            try:
                return _contains(tomllib.loads("\n".join(self._lines[:end])), path)
            except tomllib.TOMLDecodeError:
                continue
        return False

    def _has(self, number: int, path: tuple[str, ...]) -> bool:
        try:
            return _contains(tomllib.loads("\n".join(self._lines[:number])), path)
        except tomllib.TOMLDecodeError:
            return True  # in the middle of a value: no key begins here


def _contains(document: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True


assert set(ORDER) == set(KEYS) - {"name"}
