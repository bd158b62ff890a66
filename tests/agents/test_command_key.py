"""`openfang key`: keys are shown once, scoped from their first moment, and revoked."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.keyring import KeySpec
from agents.models import ApiKey
from agents.snapshot import read_snapshot
from tests.agents.command_line import command, refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.OPENFANG_DATA_DIR = tmp_path


def expiry() -> datetime:
    expires_at = ApiKey.objects.get().expires_at
    assert expires_at is not None
    return expires_at


def bearer(raw: str) -> KeySpec:
    """Return the key that a request with these characters would have."""
    key = read_snapshot().keys.authenticate(raw.strip())
    assert key is not None
    return key


def listed() -> dict[str, str]:
    """Return what the list says of each key, by the key's name."""
    return {line.split()[0]: line for line in command("key", "list").out.splitlines()[1:]}


def test_the_key_alone_is_printed_for_scripts_to_take():
    said = command("key", "create", "ci")
    assert said.out.startswith("of_")
    assert said.out.count("\n") == 1
    assert bearer(said.out).name == "ci"
    assert said.out.strip() not in said.err


def test_the_first_key_says_that_the_open_days_are_over():
    assert "from now on every request needs a key" in command("key", "create", "one").err
    assert "from now on" not in command("key", "create", "two").err


def test_the_key_of_the_environment_has_closed_the_server_before(settings: Any):
    settings.OPENFANG_API_KEY = "of_environment"
    assert "from now on" not in command("key", "create", "one").err


def test_a_key_for_some_agents_opens_only_those():
    command("spawn", "coder")
    command("spawn", "writer")
    said = command("key", "create", "ci", "--agent", "coder")
    assert [agent.name for agent in read_snapshot().visible(bearer(said.out))] == ["coder"]
    assert "for coder" in said.err


def test_an_unknown_agent_is_refused_and_no_key_is_made():
    command("spawn", "coder")
    assert (
        refused("key", "create", "ci", "--agent", "coder", "--agent", "foo")
        == "There is no agent 'foo'. Agents: coder."
    )
    assert not ApiKey.objects.exists()


def test_a_span_counts_from_now():
    command("key", "create", "ci", "--expires", "30d")
    left = expiry() - timezone.now()
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


def test_a_date_counts_from_its_first_moment():
    said = command("key", "create", "ci", "--expires", "2199-01-01")
    assert expiry().isoformat() == "2199-01-01T00:00:00+00:00"
    assert "it expires 2199-01-01 00:00 UTC" in said.err


@pytest.mark.parametrize("when", ["soon", "2027-13-01", "30", "-1d", "30m", "99999999999d"])
def test_a_moment_that_cannot_be_read_is_refused(when):
    assert f"{when!r} is neither a span such as 30d nor a date" in refused("key", "create", "ci", f"--expires={when}")
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("when", ["0d", "2020-01-01"])
def test_a_key_does_not_begin_expired(when):
    assert f"{when} is not in the future" in refused("key", "create", "ci", "--expires", when)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb"])
def test_a_name_that_cannot_be_shown_is_refused(name):
    assert refused("key", "create", name) == "The name of a key is 1 to 100 printable characters."


def test_a_name_is_used_once():
    command("key", "create", "ci")
    assert "There is a key named 'ci' already" in refused("key", "create", "ci")


def test_a_revoked_key_opens_nothing():
    raw = command("key", "create", "ci").out.strip()
    assert command("key", "revoke", "ci").out == "Revoked the key ci.\n"
    assert read_snapshot().keys.authenticate(raw) is None
    assert "was revoked already" in command("key", "revoke", "ci").out


def test_a_key_that_is_not_there_cannot_be_revoked():
    assert "There is no key named 'foo'" in refused("key", "revoke", "foo")


def test_the_list_tells_scope_and_state_and_no_key():
    command("spawn", "coder")
    raw = command("key", "create", "scoped", "--agent", "coder", "--expires", "2199-01-01").out.strip()
    for name in ("open", "gone", "old"):
        command("key", "create", name)
    command("key", "revoke", "gone")
    ApiKey.objects.filter(name="old").update(expires_at=timezone.now() - timedelta(days=1))
    lines = listed()
    assert lines["scoped"].split()[2] == "coder"
    assert lines["scoped"].split()[6:] == ["2199-01-01", "00:00", "UTC", "active"]
    assert lines["open"].split()[2] == "all"
    assert lines["open"].split()[6:] == ["never", "active"]
    assert lines["gone"].endswith("revoked")
    assert lines["old"].endswith("expired")
    assert raw[:11] in lines["scoped"]
    assert raw[:12] not in lines["scoped"]


def test_a_key_whose_agents_are_all_gone_is_shown_to_open_none():
    command("spawn", "coder")
    command("key", "create", "ci", "--agent", "coder")
    ApiKey.objects.get().agents.all().delete()
    assert "none any more" in listed()["ci"]


def test_without_keys_the_list_says_how_to_make_one():
    assert "openfang key create NAME" in command("key", "list").out
