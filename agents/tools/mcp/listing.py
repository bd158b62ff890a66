"""One page of a server's list of tools, of which every tool is read for itself."""

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

from agents.tools.mcp.schemas import NAME, BadSchema, normalise

LONGEST_NAME = 200  # of a tool, as the row of an agent's tool keeps it
# PostgreSQL stores no NUL in JSON, and UTF-8 no half of a surrogate pair.
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class LeftOut(dict[str, str]):
    """A member of a list that was left out: its `name`, empty if it has none, and the `reason`."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name=name, reason=reason)

    def __str__(self) -> str:
        return f"{self['name'] or 'a tool without a name'}: {self['reason']}"


def read_tools(tools: object, left_out: list[LeftOut]) -> Iterator[dict[str, Any]]:
    """Yield the good tools of a page as the protocol writes them, with schemas that providers take."""
    if not isinstance(tools, list):
        left_out.append(LeftOut("", "the page has no list of tools"))
        return
    for number, tool in enumerate(tools, 1):
        if not isinstance(tool, dict):
            left_out.append(LeftOut("", f"entry {number} of the page is not an object"))
            continue
        name = tool.get("name")
        if problem := _name_problem(name):
            left_out.append(LeftOut(NOT_TEXT.sub("", str(name or ""))[:LONGEST_NAME], problem))
            continue
        try:
            schema = clean(normalise(tool.get("inputSchema")))
        except BadSchema as error:
            left_out.append(LeftOut(str(name), str(error)))
            continue
        yield {"name": name, "description": _words(tool), "inputSchema": schema}


def listed(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as a row keeps it; `renamed` has the parameters whose names some providers refuse."""
    properties = schema["properties"]
    renamed: dict[str, str] = {}
    for parameter in properties:
        if not NAME.fullmatch(parameter):
            renamed[_free_name(parameter, {*properties, *renamed})] = parameter
    if not renamed:
        return {"name": name, "description": description, "parameters": schema}
    new_names = {old: new for new, old in renamed.items()}
    parameters = {**schema, "properties": {new_names.get(old, old): value for old, value in properties.items()}}
    if "required" in schema:
        parameters["required"] = [new_names.get(old, old) for old in schema["required"]]
    return {"name": name, "description": description, "parameters": parameters, "renamed": renamed}


def clean(value: Any) -> Any:
    """Return a JSON value without the characters and numbers that databases and providers refuse."""
    if isinstance(value, str):
        return NOT_TEXT.sub("\ufffd", value)
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def _name_problem(name: object) -> str:
    if not isinstance(name, str) or not name:
        return "it has no name"
    if len(name) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} characters"
    return "its name has a control character" if CONTROL.search(name) or NOT_TEXT.search(name) else ""


def _words(tool: dict[str, Any]) -> str:
    found = (tool.get(member) for member in ("description", "title"))
    return next((clean(words) for words in found if isinstance(words, str) and words), "")


def _free_name(parameter: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-zA-Z0-9_-]", "_", parameter)[:60] or "_"
    return next(name for name in (base, *(f"{base}_{number}" for number in range(2, 1000))) if name not in taken)
