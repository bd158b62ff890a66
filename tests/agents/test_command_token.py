"""`openfang token`: made for scopes and a person, listed without its characters, revoked."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.utils import timezone

from agents.models import AdminToken
from tests.agents.command_line import command

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss")


def test_a_token_is_printed_once_and_stored_as_a_digest(boss: User) -> None:
    said = command("token", "create", "deployment", "--scope", "agents:write", "--scope", "usage:read")

    raw = said.out.strip()
    token = AdminToken.objects.get()
    assert raw.startswith("ofa_") and len(raw) == 44
    assert AdminToken.objects.authenticate(raw) == token
    assert (token.owner, token.scopes, token.expires_at) == (boss, ["agents:write", "usage:read"], None)
    assert raw not in str(vars(token))
    assert "in the name of boss" in said.err
    assert raw not in command("token", "list").out


def test_a_token_expires_when_it_is_told_to(boss: User) -> None:
    raw = command("token", "create", "short", "--scope", "admin", "--expires", "30d").out.strip()

    token = AdminToken.objects.get()
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    token.expires_at = timezone.now()
    token.save()
    assert AdminToken.objects.authenticate(raw) is None


def test_the_list_names_owner_scopes_and_state(boss: User) -> None:
    ann = User.objects.create_user("ann", is_staff=True)
    command("token", "create", "one", "--scope", "agents:read", "--user", "ann")
    command("token", "create", "two", "--scope", "admin")
    command("token", "revoke", "two")
    ann.is_active = False
    ann.save()

    heading, one, two = command("token", "list").out.splitlines()

    assert heading.split() == ["NAME", "TOKEN", "OWNER", "SCOPES", "CREATED", "LAST", "USED", "EXPIRES", "STATE"]
    assert one.startswith("one   ofa_") and "ann" in one and "agents:read" in one and one.endswith("owner inactive")
    assert two.endswith("revoked")


def test_a_revoked_token_opens_nothing_and_its_name_is_not_used_again(boss: User) -> None:
    raw = command("token", "create", "deployment", "--scope", "admin").out.strip()

    assert command("token", "revoke", "deployment").out == "Revoked the token deployment.\n"

    assert AdminToken.objects.authenticate(raw) is None
    assert "was revoked already" in command("token", "revoke", "deployment").out
    with pytest.raises(CommandError, match="names are not used again"):
        command("token", "create", "deployment", "--scope", "admin")


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(CommandError, match="There is no administrator yet"):
        command("token", "create", "deployment", "--scope", "admin")
    User.objects.create_user("customer")
    with pytest.raises(CommandError, match="There is nobody named 'customer' who may use the web admin"):
        command("token", "create", "deployment", "--scope", "admin", "--user", "customer")
    with pytest.raises(CommandError, match=r"invalid choice: 'agents:run' \(choose from"):
        command("token", "create", "deployment", "--scope", "agents:run")
    with pytest.raises(CommandError, match="There is no token named 'nobody'"):
        command("token", "revoke", "nobody")
    assert "token create NAME" in command("token", "list").out
