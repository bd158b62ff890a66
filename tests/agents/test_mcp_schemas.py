"""Schemas of tools become ones that every provider takes, and mean the same or a little more."""

from typing import Any

import pytest

from agents.tools.mcp.schemas import BadSchema, normalise

A, B = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize("empty", [{}, None, True, {"type": None, "properties": None, "required": None}])
def test_no_schema_is_an_object_without_properties(empty):
    assert normalise(empty) == {"type": "object", "properties": {}}


def test_a_good_schema_stays_as_it_is():
    schema = {
        "type": "object",
        "description": "What to find.",
        "properties": {
            "q": {"type": "string", "minLength": 1},
            "how": {"anyOf": [A, {"type": "null"}], "default": "x"},
            "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
            "more": {"type": "object", "properties": {"deep": B}, "additionalProperties": False},
            "either": {"type": ["string", "null"]},
        },
        "required": ["q"],
        "additionalProperties": False,
    }
    assert normalise(schema) == schema


def test_null_members_are_dropped_at_every_depth():
    schema = {
        "type": "object",
        "title": None,
        "properties": {
            "a": {"type": "string", "description": None, "enum": None, "default": None},
            "b": None,
            "c": {"type": "array", "items": None},
            "d": {"anyOf": [None, A]},
        },
        "required": [None, "a", "zzz", "a"],
    }
    assert normalise(schema) == {
        "type": "object",
        "properties": {"a": A, "b": {}, "c": {"type": "array", "items": {}}, "d": {"anyOf": [A]}},
        "required": ["a"],
    }


@pytest.mark.parametrize(
    ("schema", "typed"),
    [
        ({"properties": {"x": {"properties": {"y": A}}}}, {"type": "object", "properties": {"y": A}}),
        ({"properties": {"x": {"items": A}}}, {"type": "array", "items": A}),
        ({"properties": {"x": {"enum": ["a", "b"]}}}, {"enum": ["a", "b"], "type": "string"}),
        ({"properties": {"x": {"const": 1}}}, {"const": 1, "type": "integer"}),
        ({"properties": {"x": {"enum": [1, "b"]}}}, {"enum": [1, "b"]}),
        ({"properties": {"x": {"type": "array"}}}, {"type": "array", "items": {}}),
        ({"properties": {"x": {"type": "str"}}}, {}),
        ({"properties": {"x": {"type": ["string", "file"]}}}, {"type": ["string"]}),
        ({"properties": {"x": {"anyOf": [A, {}]}}}, {}),
        ({"properties": {"x": True}}, {}),
    ],
)
def test_a_missing_or_unknown_type_is_filled_in_where_the_rest_says_it(schema, typed):
    assert normalise(schema) == {"type": "object", "properties": {"x": typed}}


def test_references_are_filled_in():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"Place": {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}}, "City": A},
        "definitions": {"a/b": B},
        "properties": {
            "from": {"$ref": "#/$defs/Place", "description": "Where it begins."},
            "to": {"$ref": "#/$defs/Place"},
            "n": {"$ref": "#/definitions/a~1b"},
            "lost": {"$ref": "#/$defs/Nothing"},
            "far": {"$ref": "https://example.com/schema.json"},
        },
    }
    place = {"type": "object", "properties": {"city": A}}
    assert normalise(schema)["properties"] == {
        "from": {**place, "description": "Where it begins."},
        "to": place,
        "n": B,
        "lost": {},
        "far": {},
    }


def test_the_whole_schema_may_be_a_reference():
    assert normalise({"$ref": "#/$defs/X", "$defs": {"X": {"properties": {"a": A}}}}) == {
        "type": "object",
        "properties": {"a": A},
    }


def test_a_schema_that_contains_itself_ends():
    node = {"type": "object", "properties": {"value": A, "next": {"$ref": "#/$defs/Node"}}}
    schema = {"properties": {"list": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert normalise(schema)["properties"]["list"] == {"type": "object", "properties": {"value": A, "next": {}}}


@pytest.mark.parametrize(
    ("schema", "properties", "required", "words"),
    [
        (
            {
                "anyOf": [
                    {"properties": {"id": A}, "required": ["id"]},
                    {"properties": {"name": A}, "required": ["name"]},
                ]
            },
            {"id": A, "name": A},
            None,
            "Give either id or name.",
        ),
        (
            {
                "description": "Finds.",
                "properties": {"q": A},
                "required": ["q"],
                "oneOf": [
                    {"properties": {"x": A, "both": A}, "required": ["x", "both"]},
                    {"properties": {"x": B, "both": A}, "required": ["both"]},
                ],
            },
            {"q": A, "x": {"anyOf": [A, B]}, "both": A},
            ["q", "both"],
            "Finds. Give either x, both or both.",
        ),
        (
            {"allOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}, "required": ["b"]}]},
            {"a": A, "b": B},
            ["a", "b"],
            None,
        ),
    ],
)
def test_alternatives_at_the_top_become_one_object(schema, properties, required, words):
    found = normalise(schema)
    assert not {"anyOf", "oneOf", "allOf"} & set(found)
    assert (found["type"], found["properties"]) == ("object", properties)
    assert (found.get("required"), found.get("description")) == (required, words)


def test_conditions_at_the_top_are_dropped():
    found = normalise({"properties": {"a": A}, "if": {"required": ["a"]}, "then": {}, "not": {}, "enum": [{}]})
    assert found == {"type": "object", "properties": {"a": A}}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = dict(A)
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """A small schema whose references would fill 2**levels places."""
    definitions = {
        f"n{n}": {"properties": {side: {"$ref": f"#/$defs/n{n + 1}"} for side in "lr"}} for n in range(levels)
    }
    return {"$ref": "#/$defs/n0", "$defs": {**definitions, f"n{levels}": A}}


@pytest.mark.parametrize("schema", [[], "object", 5, False, {"type": "string"}, deep(40), doubling(25)])
def test_what_cannot_be_put_right_is_refused(schema):
    with pytest.raises(BadSchema):
        normalise(schema)
