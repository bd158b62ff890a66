"""Sessions of the web admin: neither the database nor a backup of it lets anyone in."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore as StoreOfOlderVersions
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from agents.sessions import SessionStore

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("ada", "", "correct horse battery")


@pytest.fixture
def client(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def lets_in(cookie: str) -> bool:
    client = Client()
    client.cookies["sessionid"] = cookie
    return client.get("/admin/").status_code == 200


def cookie_of(client: Client) -> str:
    return client.cookies["sessionid"].value


def test_what_the_database_holds_of_a_session_lets_nobody_in(client: Client) -> None:
    [row] = Session.objects.all()
    assert cookie_of(client) not in (row.session_key, row.session_data)
    assert lets_in(cookie_of(client))
    assert not lets_in(row.session_key)


def test_a_session_of_an_older_version_which_has_its_key_in_the_database_lets_nobody_in(client: Client) -> None:
    old = StoreOfOlderVersions()
    old.update(client.session.items())
    old.save()
    assert old.session_key and Session.objects.filter(session_key=old.session_key).exists()
    assert not lets_in(old.session_key)


def test_logging_out_deletes_the_session(client: Client) -> None:
    cookie = cookie_of(client)
    client.post("/admin/logout/")
    assert not lets_in(cookie)
    assert not Session.objects.exists()


def test_a_new_password_gives_the_session_a_new_key_and_ends_the_others(client: Client, admin: User) -> None:
    before, elsewhere = cookie_of(client), Client()
    elsewhere.force_login(admin)

    form = {"old_password": "correct horse battery", "new_password1": "staple-4-ada", "new_password2": "staple-4-ada"}
    assert client.post("/admin/password_change/", form).status_code == 302

    assert client.get("/admin/").status_code == 200
    assert not lets_in(before)
    assert not lets_in(cookie_of(elsewhere))


def test_an_expired_session_lets_nobody_in(client: Client) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not lets_in(cookie_of(client))


@pytest.mark.parametrize("cookie", ["", "x", "no-such-session-of-32-characters", "é" * 32, "x" * 4000])
def test_any_other_cookie_lets_nobody_in(cookie: str) -> None:
    assert not lets_in(cookie)


@pytest.mark.django_db(transaction=True)
async def test_asynchronous_code_finds_and_deletes_the_same_sessions() -> None:
    store = SessionStore()
    await store.aset("colour", "green")
    await store.asave()
    key = store.session_key
    assert key is not None and await SessionStore().aexists(key)
    assert await SessionStore(key).aget("colour") == "green"
    assert not await Session.objects.filter(session_key=key).aexists()

    await SessionStore(key).aset("colour", "blue")
    await SessionStore().adelete(key)
    assert not await SessionStore().aexists(key)
    assert await SessionStore(key).aget("colour") is None
