"""Admin tokens in the web admin: an administrator makes one in their own name, sees it once, revokes it."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from agents.models import AdminToken
from agents.setup.roles import ADMINISTRATOR, EDITOR, make_roles
from tests.agents.admin_cast import text

pytestmark = pytest.mark.django_db

LIST = "/admin/agents/admintoken/"


def made(client: Client, **fields: object) -> str:
    form = {"name": "deployment", "scopes": ["agents:write", "usage:read"], "requests_per_minute": 60, **fields}
    page = client.post(f"{LIST}add/", form).content.decode()
    found = re.search(r"ofa_\w{40}", page)
    assert found, page
    return found[0]


def test_a_token_is_shown_once(admin_client: Client) -> None:
    raw = made(admin_client)

    token = AdminToken.objects.get()
    assert AdminToken.objects.authenticate(raw) == token
    assert (token.owner.username, token.scopes, token.requests_per_minute) == (
        "admin",
        ["agents:write", "usage:read"],
        60,
    )
    for page in (LIST, f"{LIST}{token.pk}/change/", f"{LIST}{token.pk}/history/"):
        shown = admin_client.get(page).content.decode()
        assert raw not in shown and token.digest not in shown


def test_a_token_without_a_scope_is_refused(admin_client: Client) -> None:
    page = text(admin_client.post(f"{LIST}add/", {"name": "deployment", "requests_per_minute": 0}))

    assert "This field is required." in page
    assert not AdminToken.objects.exists()


def test_its_scopes_are_changed_and_it_is_revoked(admin_client: Client) -> None:
    raw = made(admin_client)
    token = AdminToken.objects.get()
    page = f"{LIST}{token.pk}"

    admin_client.post(f"{page}/change/", {"name": "other", "scopes": ["usage:read"], "requests_per_minute": 0})
    token.refresh_from_db()
    assert (token.name, token.scopes) == ("other", ["usage:read"])
    assert AdminToken.objects.authenticate(raw) == token

    admin_client.post(f"{page}/revoke/", {"_form_submitted": "1"})
    assert AdminToken.objects.authenticate(raw) is None
    assert admin_client.get(f"{page}/delete/").status_code == 403


def test_only_administrators_have_tokens_and_none_changes_anothers(client: Client, admin_client: Client) -> None:
    make_roles()
    raw = made(admin_client)
    token = AdminToken.objects.get()
    for role, status in ((EDITOR, 403), (ADMINISTRATOR, 200)):
        user = User.objects.create_user(role, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        assert client.get(LIST).status_code == status
        assert client.get(f"{LIST}add/").status_code == status

    change = client.post(f"{LIST}{token.pk}/change/", {"name": "mine", "scopes": ["admin"], "requests_per_minute": 0})
    assert change.status_code == 403
    client.post(f"{LIST}{token.pk}/revoke/", {"_form_submitted": "1"})
    assert AdminToken.objects.authenticate(raw) is None
