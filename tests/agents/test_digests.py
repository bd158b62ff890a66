"""Two bodies are one request if they ask for the same, however they are written down."""

import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.digests import digests_of

ASKED: dict[str, Any] = {
    "model": "coder",
    "messages": [{"role": "user", "content": "Größe?"}],
    "temperature": 1,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": [0.5, 2]}}}],
}
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def digest(body: dict[str, Any] | str, end_user: str = "") -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return digests_of(text.encode(errors="surrogatepass"), end_user).current


def test_the_order_of_keys_and_the_way_of_writing_do_not_count():
    other = json.dumps(dict(reversed(ASKED.items())), indent=1, ensure_ascii=False)
    other = other.replace('"b": 1', '"b": 1.0').replace('"temperature": 1', '"temperature": 1e0')
    assert digest(other) == digest(ASKED)


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"stream": False, "stream_options": {"include_usage": True}},
        {"metadata": {"session": "1"}},
        {"client_metadata": {"turn": 2}},
        {"top_p": None},
    ],
)
def test_what_does_not_change_the_answer_does_not_count(more):
    assert digest(ASKED | more) == digest(ASKED)


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [{"role": "user", "content": "Größe!"}]},
        {"messages": [{"role": "user", "content": "Größe?", "name": None}]},
        {"temperature": 0.5},
        {"user": "someone"},
        {"safety_identifier": "someone"},
        {"tools": []},
        {"max_tokens": 5},
    ],
)
def test_what_is_asked_and_by_whom_counts(other):
    assert digest(ASKED | other) != digest(ASKED)


def test_the_order_of_a_list_counts():
    assert digest({"stop": ["a", "b"]}) != digest({"stop": ["b", "a"]})


def test_the_end_user_counts_wherever_the_client_names_them():
    assert digest(ASKED, "someone") != digest(ASKED)


def test_of_a_key_that_is_there_twice_the_last_counts():
    assert digest('{"a": 1, "a": 2}') == digest('{"a": 2}')


@pytest.mark.parametrize("number", ["1e400", "-1e400", "123456789012345678901234567890", "9007199254740993.0"])
def test_numbers_beyond_a_float_are_no_others(number):
    assert len({digest(f'{{"seed": {other}}}') for other in (number, "0", "1e308")}) == 3


@pytest.mark.parametrize("odd", ['{"x": "\\ud800"}', '{"x": "\ud800"}', f'{{"x": {"[" * 5000}{"]" * 5000}}}', ""])
def test_what_only_a_field_that_nobody_reads_may_hold_is_taken_as_it_is(odd):
    assert digest(odd) == digest(odd)
    assert digest(odd) != digest(odd + " ")


@settings(max_examples=100, deadline=None)
@given(body=st.dictionaries(st.text(max_size=5), ANY_JSON, max_size=6), seed=st.randoms(use_true_random=False))
def test_any_body_keeps_its_digest_when_its_keys_change_places(body: dict[str, Any], seed: random.Random):
    assert digest(_shuffled(body, seed)) == digest(body)


def _shuffled(value: Any, seed: random.Random) -> Any:
    if isinstance(value, list):
        return [_shuffled(item, seed) for item in value]
    if not isinstance(value, dict):
        return value
    items = [(name, _shuffled(item, seed)) for name, item in value.items()]
    seed.shuffle(items)
    return dict(items)


def test_servers_of_earlier_versions_know_the_same_request_by_its_bytes():
    body = json.dumps(ASKED).encode()
    digests = digests_of(body, "")
    assert digests.old == hashlib.sha256(body).hexdigest()
    asked = f"{digests.old}\nWhy?".encode()
    assert digests.asking("Why?").old == hashlib.sha256(asked).hexdigest()
    assert all(len(digest) == 64 for digest in (digests.current, digests.asking("Why?").current))
