"""Keys as they are given to people: from some networks only, rotated, behind a proxy, slowed when they are guessed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.models.api_key import PREFIX_LENGTH, key_digest, new_key
from tests.live import Live
from tests.live.asking import body, eventually
from tests.openai_compat import raw, strict
from tests.openai_compat.limits_parts import make_keys
from tests.openai_compat.test_keys import INCORRECT, MISSING
from tests.upstream import Upstream

OLD = {until: new_key() for until in ("2199-01-01T00:00Z", "2020-01-01T00:00Z")}
ENVIRONMENT_KEY = "a-key-of-the-environment-0123456789"


@pytest.fixture(scope="module")
def keys(limited: Live) -> dict[str, str]:
    office = {"networks": "192.0.2.0/24, 2001:db8::/32"}
    turned = {
        f"until-{until}": {
            "previous_prefix": old[:PREFIX_LENGTH],
            "previous_digest": key_digest(old),
            "previous_until": until,
        }
        for until, old in OLD.items()
    }
    return make_keys(limited, office=office, turning={}, used={}, neighbour={}, newcomer={}, **turned)


def status(live: Live, key: str, address: str = "") -> int:
    headers = {"x-forwarded-for": address} if address else {}
    return raw.send(live, "GET", "/v1/models", headers=headers, key=key).status


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", 200),
        ("2001:db8::7", 200),
        ("::ffff:192.0.2.7", 200),
        ("192.0.2.7:40000", 200),
        ("[2001:db8::7]:40000", 200),
        ("192.0.3.7", 401),
        ("2001:db9::7", 401),
        ("", 401),
        # Whoever writes the header cannot choose what the proxy adds to it.
        ("192.0.2.7, 198.51.100.1", 401),
        ("198.51.100.1, 192.0.2.7", 200),
        # A second proxy of ours, then one that says nothing of use.
        ("192.0.2.7, 10.1.2.3", 200),
        ("192.0.2.7, unknown", 401),
    ],
)
def test_a_key_opens_from_its_networks_only(limited: Live, keys: dict[str, str], address: str, expected: int):
    assert status(limited, keys["office"], address) == expected


def test_a_key_from_elsewhere_is_refused_like_a_wrong_one(limited: Live, keys: dict[str, str]):
    answer = raw.send(limited, "GET", "/v1/models", headers={"x-forwarded-for": "203.0.113.1"}, key=keys["office"])
    assert strict.error(answer.json()).message == INCORRECT


def recorded_address(live: Live, upstream: Upstream) -> str:
    """Ask as somebody who is forwarded from 203.0.113.9, and return whose request the usage row says it is."""
    upstream.says("Hello")
    headers = {"x-forwarded-for": "203.0.113.9"}
    answer = raw.send(live, "POST", "/v1/chat/completions", body(), headers=headers, key=live.keys["alice"])
    [row] = live.usage(f"id = '{answer.headers['x-request-id'].removeprefix('req_')}'")
    address: str = row["client_address"]
    return address


def test_the_usage_row_has_the_address_that_the_proxy_saw(limited: Live, upstream: Upstream):
    assert recorded_address(limited, upstream) == "203.0.113.9"


def test_no_other_sender_is_believed(guarded: Live, upstream: Upstream):
    assert recorded_address(guarded, upstream) == "127.0.0.1"


def test_after_a_rotation_both_keys_are_good(limited: Live, keys: dict[str, str]):
    new = limited.manage("key", "rotate", "turning", "--overlap", "1h").stdout.strip()
    eventually(lambda: status(limited, new) == 200)
    assert status(limited, keys["turning"]) == 200


def test_the_old_key_is_good_until_the_overlap_ends(limited: Live, keys: dict[str, str]):
    assert status(limited, OLD["2199-01-01T00:00Z"], "198.51.100.77") == 200
    assert status(limited, OLD["2020-01-01T00:00Z"], "198.51.100.77") == 401
    assert [status(limited, keys[f"until-{until}"]) for until in OLD] == [200, 200]


def test_the_last_use_of_a_key_is_written_down(limited: Live, keys: dict[str, str]):
    before = limited.rows("SELECT number FROM agents_revision")
    assert limited.rows("SELECT last_used_at FROM agents_apikey WHERE name = 'used'") == [{"last_used_at": None}]
    assert status(limited, keys["used"]) == 200
    used = "SELECT last_used_at FROM agents_apikey WHERE name = 'used' AND last_used_at IS NOT NULL"
    [first] = eventually(lambda: limited.rows(used))
    assert status(limited, keys["used"]) == 200
    # At most once a minute, and no server needs to read its keys again for it.
    assert limited.rows(used) == [first]
    assert limited.rows("SELECT number FROM agents_revision") == before


def test_whoever_tries_keys_out_is_slowed_and_the_neighbours_are_not(limited: Live, keys: dict[str, str]):
    address = "198.51.100.5"
    assert status(limited, keys["neighbour"], address) == 200
    guesses = [_guess(limited, number, address) for number in range(42)]

    # More than a minute's twenty, whatever second it is, and not the forty of two.
    allowed = [answer for answer in guesses if answer.status == 401]
    refused = [answer for answer in guesses if answer.status == 429]
    assert 20 <= len(allowed) <= 40
    assert len(allowed) + len(refused) == 42
    assert {strict.error(answer.json()).message for answer in allowed} == {INCORRECT}
    assert strict.error(refused[0].json()).to_dict() == {
        "message": "Rate limit exceeded: wrong API keys from your address",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
    assert status(limited, keys["neighbour"], address) == 200
    assert status(limited, "of_wrong", "198.51.100.6") == 401
    before, right, after = [status(limited, key, address) for key in ("of_guess98", keys["newcomer"], "of_guess99")]
    if before == after == 429:  # the minute has not ended between the two
        # Nor is a right guess told from a wrong one.
        assert right == 429


def _guess(live: Live, number: int, address: str) -> raw.Answer:
    return raw.send(live, "GET", "/v1/models", headers={"x-forwarded-for": address}, key=f"of_guess{number}")


@pytest.mark.parametrize("name", ["key", "api_key", "api-key", "access_token", "token"])
def test_a_key_in_the_address_is_no_key(limited: Live, name: str):
    key = limited.keys["alice"]
    answer = raw.send(limited, "GET", f"/v1/models?{name}={key}")
    assert answer.status == 401
    assert strict.error(answer.json()).message == MISSING
    unknown = raw.send(limited, "GET", f"/v1/unknown?{name}={key}", key=key)
    assert key not in unknown.body.decode()


def test_no_key_is_in_any_log(limited: Live, keys: dict[str, str]):
    for key in (*keys.values(), *limited.keys.values()):
        raw.send(limited, "GET", f"/v1/nothing?key={key}", headers={"x-forwarded-for": "192.0.2.1"}, key=key)
        assert key not in limited.output


@pytest.fixture(scope="module")
def public(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server on every address, whose only key is that of its environment."""
    env = {"OPENFANG_API_KEY": ENVIRONMENT_KEY, "OPENFANG_HOST": "0.0.0.0"}
    with Live(tmp_path_factory.mktemp("public"), cast=session_upstream.base_url, env=env) as live:
        yield live


@pytest.mark.parametrize(
    ("key", "path", "expected"),
    [
        (ENVIRONMENT_KEY, "/v1/models", 200),
        (ENVIRONMENT_KEY, "/v1/models/openfang:coder", 200),
        (ENVIRONMENT_KEY, "/v1/models/openfang:listener", 200),
        (ENVIRONMENT_KEY, "/v1/models/openfang:disabled", 404),
        (ENVIRONMENT_KEY, "/v1/models/openfang:nobody", 404),
        (f"{ENVIRONMENT_KEY}x", "/v1/models", 401),
        (ENVIRONMENT_KEY[:-1], "/v1/models", 401),
        ("dummy", "/v1/models", 401),
        ("", "/v1/models", 401),
        ("", "/v1/models/openfang:coder", 401),
    ],
)
def test_the_key_of_the_environment_opens_every_agent_and_closes_the_server(
    public: Live, key: str, path: str, expected: int
):
    assert raw.send(public, "GET", path, key=key).status == expected


def test_the_key_of_the_environment_is_named_in_the_usage_row_and_stored_nowhere(public: Live, upstream: Upstream):
    upstream.says("Hello")
    answer = raw.chat(public, key=ENVIRONMENT_KEY)
    assert answer.status == 200
    [row] = public.usage()
    assert (row["api_key_name"], row["status"]) == ("environment", "ok")
    assert public.rows("SELECT * FROM agents_apikey") == []
    kept = b"".join(path.read_bytes() for path in Path(public.data_dir).rglob("*") if path.is_file())
    assert ENVIRONMENT_KEY.encode() not in kept
