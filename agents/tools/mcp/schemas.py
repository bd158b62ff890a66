"""JSON schemas of tools, in the form that every provider takes.

Providers refuse a whole request for one schema they dislike: a null member, a reference, alternatives at the top, an
array without items, a property without a schema. Here such a schema is rewritten to an equal or a wider one; the
tool's server still checks the arguments.
"""

import json
import re
from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

MOST_CHARACTERS = 64 * 1024  # of a schema as JSON, with its references filled in
DEEPEST = 32
# Providers' rule for the names of functions and, with some, of parameters.
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ALTERNATIVES = ("anyOf", "oneOf", "allOf")
LISTS_OF_SCHEMAS = (*ALTERNATIVES, "prefixItems")
MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas")
# Where a schema stands alone, the booleans of JSON Schema are left to those places that providers know.
SINGLE_SCHEMAS = ("items", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems")
SCHEMAS_OR_BOOLEANS = ("additionalProperties", "unevaluatedProperties")
DEFINITIONS = ("$defs", "definitions")
# What providers refuse beside `type: object` at the top, and what says nothing to a model.
ONLY_BELOW_THE_TOP = ("enum", "const", "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "items")
WITHOUT_MEANING = ("$schema", "$id", "id", "$comment", "$anchor", "$dynamicAnchor", "$vocabulary", *DEFINITIONS)
TYPE_NAMES = ("object", "array", "string", "number", "integer", "boolean", "null")
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


class BadSchema(ValueError):
    """A schema that cannot be put right; the text says why."""


def normalise(schema: object) -> Schema:
    """Return a schema of arguments that every provider takes. Raises BadSchema."""
    if schema is None or schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise BadSchema("its schema is not an object")
    top = _merge_alternatives(_Reader(schema).read(schema, depth=0, following=()))
    if top.get("type", "object") != "object" and "object" not in _listed(top.get("type")):
        raise BadSchema(f"its arguments are of type {top['type']!r}, not an object")
    kept = {name: value for name, value in top.items() if name not in ONLY_BELOW_THE_TOP}
    properties = kept.get("properties", {})
    if len(json.dumps(kept)) > MOST_CHARACTERS:
        raise BadSchema(f"its schema has more than {MOST_CHARACTERS // 1024} KB")
    return {**kept, "type": "object", "properties": properties}


class _Reader:
    """Reads the schemas below one root, whose definitions they refer to."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._room = MOST_CHARACTERS  # references to references can make a small schema huge

    def read(self, schema: object, *, depth: int, following: tuple[str, ...]) -> Schema:
        """Return a schema with its references filled in and without null members."""
        if not isinstance(schema, dict):
            return {}  # true, or nothing that is a schema: anything goes
        self._room -= len(schema) + 1
        if depth > DEEPEST or self._room < 0:
            raise BadSchema("its schema is nested too deeply or too large")
        target = schema.get("$ref")
        if isinstance(target, str):
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            if target in following:  # it contains itself: models get one round of it
                return self.read(beside, depth=depth + 1, following=following)
            found = self.read(self._find(target), depth=depth + 1, following=(*following, target))
            return {**found, **self.read(beside, depth=depth + 1, following=following)}
        read = {
            name: value
            for name, value in schema.items()
            if isinstance(name, str) and value is not None and name not in WITHOUT_MEANING
        }
        for name in [*read]:
            self._read_member(read, name, depth + 1, following)
        return _typed(read)

    def _read_member(self, schema: Schema, name: str, depth: int, following: tuple[str, ...]) -> None:
        value = schema[name]
        if name in MAPS_OF_SCHEMAS:
            members = value.items() if isinstance(value, dict) else ()
            schema[name] = {key: self.read(member, depth=depth, following=following) for key, member in members}
        elif name in LISTS_OF_SCHEMAS:
            given = [each for each in _listed(value) if each is not None]
            schemas = [self.read(each, depth=depth, following=following) for each in given]
            if name == "allOf":
                schemas = [each for each in schemas if each]
            if not schemas or (name in ("anyOf", "oneOf") and {} in schemas):  # anything goes
                del schema[name]
            else:
                schema[name] = schemas
        elif name in SINGLE_SCHEMAS or (name in SCHEMAS_OR_BOOLEANS and not isinstance(value, bool)):
            schema[name] = self.read(value, depth=depth, following=following)

    def _find(self, target: str) -> object:
        """Return what `#/$defs/name` points to; another document is not fetched, and anything goes there."""
        if not target.startswith("#"):
            return {}
        found: Any = self._root
        for step in filter(None, target[1:].split("/")):
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                found = found.get(key) if isinstance(found, dict) else None
        return found


def _typed(schema: Schema) -> Schema:
    """Add the type where the other members say it, and mend the members that have a wrong one."""
    kinds = schema.pop("type", None)
    if isinstance(kinds, list):
        kinds = [kind for kind in kinds if kind in TYPE_NAMES]
    elif kinds not in TYPE_NAMES:
        kinds = None
    if kinds or (kinds := _type_of(schema)):
        schema["type"] = kinds
    if schema.get("type") == "array":
        schema.setdefault("items", {})
    if "required" in schema:
        known = schema.get("properties", {})
        names = dict.fromkeys(name for name in _listed(schema["required"]) if isinstance(name, str) and name in known)
        schema["required"] = list(names)
        if not names:
            del schema["required"]
    if "enum" in schema and not _listed(schema["enum"]):
        del schema["enum"]
    if not isinstance(schema.get("description", ""), str):
        del schema["description"]
    return schema


def _type_of(schema: Schema) -> str | None:
    if "properties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    values = [schema["const"]] if "const" in schema else _listed(schema.get("enum"))
    types = {TYPES.get(type(value)) for value in values}
    return types.pop() if len(types) == 1 else None


def _merge_alternatives(top: Schema) -> Schema:
    """Return a top-level schema without anyOf, oneOf and allOf: every property that any branch has may be given.

    What all branches of allOf require, and what every branch of the others requires, stays required.
    """
    properties, required = dict(top.get("properties", {})), dict.fromkeys(top.get("required", ()))
    choices = []
    for keyword in ALTERNATIVES:
        branches = [_merge_alternatives(branch) for branch in top.get(keyword, ())]
        for branch in branches:
            for name, schema in branch.get("properties", {}).items():
                properties[name] = _either(properties[name], schema) if name in properties else schema
        wanted = [dict.fromkeys(branch.get("required", ())) for branch in branches]
        if keyword == "allOf":
            required |= {name: None for names in wanted for name in names}
        elif wanted:
            required |= {name: None for name in wanted[0] if all(name in names for names in wanted)}
            choices.append(" or ".join(", ".join(names) for names in wanted if names))
    merged = {name: value for name, value in top.items() if name not in ALTERNATIVES}
    if any(keyword in top for keyword in ALTERNATIVES):
        merged = {"type": "object", **merged, "properties": properties}
        merged.pop("required", None)
        if required:
            merged["required"] = list(required)
    if any(choices):
        words = [merged.get("description", ""), *(f"Give either {choice}." for choice in choices if choice)]
        merged["description"] = " ".join(filter(None, words))
    return merged


def _either(one: Schema, other: Schema) -> Schema:
    return one if one == other else {"anyOf": [one, other]}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
