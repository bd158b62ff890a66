import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from agents.models import Agent, ApiKey
from agents.models.api_key import key_digest
from tests.agents.admin_cast import errors, key, text

pytestmark = pytest.mark.django_db
LIST, ADD = "/admin/agents/apikey/", "/admin/agents/apikey/add/"
KEY = re.compile(r"of_\w{40}")


def test_a_key_is_shown_once_and_then_never(admin_client: Client) -> None:
    answer = admin_client.post(ADD, {"name": "alice"})
    issued = ApiKey.objects.get()
    raw = KEY.findall(answer.content.decode())[0]

    assert issued.digest == key_digest(raw)
    assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    for page in (LIST, f"{LIST}{issued.pk}/change/", f"{LIST}{issued.pk}/history/", "/admin/"):
        later = admin_client.get(page).content.decode()
        assert raw not in later
        assert issued.digest not in later
    assert issued.digest not in answer.content.decode()


def test_a_key_is_kept_nowhere_but_as_its_digest(admin_client: Client) -> None:
    raw = KEY.findall(admin_client.post(ADD, {"name": "alice"}).content.decode())[0]

    assert all(raw not in str(session.get_decoded()) for session in Session.objects.all())
    assert all(raw not in cookie.value for cookie in admin_client.cookies.values())
    entry = LogEntry.objects.get()
    assert raw not in f"{entry.object_repr} {entry.change_message}"
    assert entry.object_id == str(ApiKey.objects.get().pk)


def test_a_key_is_for_the_chosen_agents_until_its_last_day(admin_client: Client) -> None:
    coder = Agent.objects.create(name="coder")
    form = {"name": "ci", "agents": [str(coder.pk)], "expires_at_0": "2099-12-31", "expires_at_1": "23:59:00"}

    admin_client.post(ADD, form)

    issued = ApiKey.objects.get()
    assert (list(issued.agents.all()), issued.limited) == ([coder], True)
    assert f"{issued.expires_at:%Y-%m-%d %H:%M %Z}" == "2099-12-31 23:59 UTC"


def test_a_name_is_not_used_again_and_a_key_does_not_begin_expired(admin_client: Client) -> None:
    key("alice")
    past = {"name": "bob", "expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}

    again = admin_client.post(ADD, {"name": "alice"})
    late = admin_client.post(ADD, past)

    assert errors(again) == ["There is, or was, a key of this name. Names are not used again."]
    assert errors(late) == ["This moment has passed already (it is read as UTC)."]
    assert ApiKey.objects.count() == 1
    assert not KEY.search(again.content.decode() + late.content.decode())


def test_the_list_tells_active_expired_and_revoked_keys_apart(admin_client: Client) -> None:
    key("active")
    key("expired", expires_at=timezone.now() - timedelta(days=1))
    key("revoked").revoke()

    for state in ("active", "expired", "revoked"):
        found = admin_client.get(LIST, {"state": state}).context["cl"].result_list
        assert [row.name for row in found] == [state]
    assert {"active", "expired", "revoked"} <= set(text(admin_client.get(LIST)).split())


def test_a_key_whose_agents_are_gone_is_not_said_to_open_all(admin_client: Client) -> None:
    agent = Agent.objects.create(name="coder")
    key("ci").agents.add(agent)
    agent.delete()

    page = text(admin_client.get(LIST))

    assert "nothing: its agents are gone" in page
    assert "all agents" not in page


def test_chosen_keys_are_revoked(admin_client: Client) -> None:
    chosen, other = key("chosen"), key("other")

    response = admin_client.post(LIST, {"action": "revoke_selected", "_selected_action": [str(chosen.pk)]}, follow=True)

    assert "1 key revoked." in text(response)
    assert list(ApiKey.objects.filter(revoked_at=None)) == [other]


def test_the_button_asks_before_it_revokes(admin_client: Client) -> None:
    alice = key()
    revoke, page = f"{LIST}{alice.pk}/revoke/", f"{LIST}{alice.pk}/change/"
    assert revoke in admin_client.get(page).content.decode()

    question = admin_client.get(revoke)
    alice.refresh_from_db()
    assert "Revoke it?" in text(question)
    assert alice.revoked_at is None

    done = admin_client.post(revoke, {"_form_submitted": "True"})
    alice.refresh_from_db()
    assert done["HX-Redirect"] == page
    assert alice.revoked_at is not None
    assert revoke not in admin_client.get(page).content.decode()
    assert admin_client.post(revoke, {"_form_submitted": "True"}).status_code == 403


def test_renaming_a_key_changes_nothing_of_the_key(admin_client: Client) -> None:
    alice = key()

    answer = admin_client.post(f"{LIST}{alice.pk}/change/", {"name": "alice's laptop", "prefix": "of_x", "digest": "x"})

    assert answer.status_code == 302
    renamed = ApiKey.objects.get()
    assert (renamed.name, renamed.prefix, renamed.digest) == ("alice's laptop", alice.prefix, alice.digest)


def test_a_key_is_not_deleted(admin_client: Client) -> None:
    alice = key()

    assert admin_client.post(f"{LIST}{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.exists()
