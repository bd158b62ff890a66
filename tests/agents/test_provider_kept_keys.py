"""A provider's key that is entered in the admin is encrypted, used, never shown, and outlives a new secret key."""

import os
import re
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client

from agents.models import Provider, QuarantinedEntry, StoredContent, Transcript
from agents.models.changes import changes_of
from agents.models.encryption import decrypt, encrypt
from agents.snapshot import read_models
from tests.agents.admin_cast import errors, model
from tests.agents.command_line import command

pytestmark = pytest.mark.django_db
KEY = "sk-kept-0123456789abcdef"


@pytest.fixture
def acme() -> Provider:
    return model().provider


def save(client: Client, provider: Provider, **fields: str) -> Any:
    values = {"kind": "openai", "base_url": provider.base_url, "api_key_env": provider.api_key_env, **fields}
    totals = {"language_models-TOTAL_FORMS": 0, "language_models-INITIAL_FORMS": 0}
    response = client.post(f"/admin/agents/provider/{provider.pk}/change/", {**values, **totals})
    provider.refresh_from_db()
    return response


def used_key(provider: Provider) -> str | None:
    return next(spec.provider.api_key for spec in read_models().values() if spec.provider.name == provider.name)


def test_an_entered_key_is_used_and_stored_encrypted(admin_client: Client, acme: Provider) -> None:
    assert save(admin_client, acme, new_key=KEY).status_code == 302
    assert used_key(acme) == KEY
    assert KEY.encode() not in bytes(acme.encrypted_api_key)
    assert decrypt(bytes(acme.encrypted_api_key)) == KEY.encode()


def test_an_entered_key_is_shown_nowhere(admin_client: Client, acme: Provider) -> None:
    save(admin_client, acme, new_key=KEY)
    pages = ["", f"{acme.pk}/change/", f"{acme.pk}/history/"]
    shown = "".join(admin_client.get(f"/admin/agents/provider/{page}").content.decode() for page in pages)
    shown += str(list(changes_of(Provider).values()))
    assert KEY not in shown
    assert not re.search(r'name="new_key"[^>]*value=', shown)
    assert "encrypted_api_key" not in shown


def test_saving_the_form_without_a_key_keeps_the_one_there_is(admin_client: Client, acme: Provider) -> None:
    save(admin_client, acme, new_key=KEY)
    save(admin_client, acme, label="Acme")
    assert used_key(acme) == KEY


def test_a_kept_key_can_be_forgotten(admin_client: Client, acme: Provider) -> None:
    save(admin_client, acme, new_key=KEY)
    save(admin_client, acme, forget_key="on")
    assert bytes(acme.encrypted_api_key) == b""
    assert used_key(acme) is None


def test_the_environment_goes_before_it(admin_client: Client, acme: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    save(admin_client, acme, new_key=KEY)
    monkeypatch.setitem(os.environ, acme.api_key_env, "from-the-environment")
    assert used_key(acme) == "from-the-environment"


def test_a_kept_key_does_not_follow_to_another_address(admin_client: Client, acme: Provider) -> None:
    save(admin_client, acme, new_key=KEY)
    response = save(admin_client, acme, base_url="https://elsewhere.test/v1")
    assert response.status_code == 200
    assert any("would go to another address" in message for message in errors(response))
    assert acme.base_url == "https://acme.test/v1"
    assert save(admin_client, acme, base_url="https://elsewhere.test/v1", new_key=KEY).status_code == 302


def test_rotating_encrypts_everything_under_the_new_secret_key(acme: Provider, settings: Any) -> None:
    settings.SECRET_KEY = "the-old-secret-key"
    acme.keep_key(KEY)
    acme.save()
    agent = "00000000-0000-4000-8000-000000000002"
    when = "2026-11-22T12:00:00Z"
    Transcript.objects.create(
        id=agent, agent_id=agent, scope="key", content=encrypt(b"{}"), created_at=when, expires_at=when
    )
    StoredContent.objects.create(id=agent, content=encrypt(b"[]"), expires_at=when)
    QuarantinedEntry.objects.create(id=agent, content=encrypt(b"{}"), created_at=when, expires_at=when)

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the-new-secret-key", ["the-old-secret-key"]
    assert used_key(acme) == KEY
    said = command("secrets", "rotate")
    assert said.out.splitlines() == [
        "providers' keys: 1 encrypted again",
        "transcripts: 1 encrypted again",
        "stored conversations: 1 encrypted again",
        "quarantined entries: 1 encrypted again",
    ]

    settings.SECRET_KEY_FALLBACKS = []
    assert used_key(acme) == KEY
    assert decrypt(bytes(Transcript.objects.get().content)) == b"{}"
    assert decrypt(bytes(StoredContent.objects.get().content)) == b"[]"


def test_what_cannot_be_read_is_counted_and_left_as_it_is(acme: Provider, settings: Any) -> None:
    settings.SECRET_KEY = "a-lost-secret-key"
    acme.keep_key(KEY)
    acme.save()
    settings.SECRET_KEY = "the-new-secret-key"
    with pytest.raises(CommandError, match="1 could not be read"):
        command("secrets", "rotate")
    stored = bytes(acme.encrypted_api_key)
    acme.refresh_from_db()
    assert bytes(acme.encrypted_api_key) == stored
    assert used_key(acme) is None
