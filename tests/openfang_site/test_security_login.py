"""Logging in to the web admin: few tries, and no word of which accounts exist."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from openfang_site.security.login import TRIES_PER_ACCOUNT, TRIES_PER_ADDRESS, WINDOW_SECONDS
from tests.agents.admin_cast import text

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def one_window(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    monkeypatch.setattr("openfang_site.security.login.time.time", lambda: 1_800_000_000.0 + 60)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes 0.3 s a try
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("ada", "", PASSWORD)


def try_to_log_in(username: str = "ada", password: str = "wrong", address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post("/admin/login/", {"username": username, "password": password})


def test_the_right_password_logs_in(admin: User) -> None:
    assert try_to_log_in(password=PASSWORD).status_code == 302


def test_after_too_many_tries_at_one_account_even_the_right_password_waits(admin: User) -> None:
    for number in range(TRIES_PER_ACCOUNT):
        assert try_to_log_in(address=f"192.0.2.{number}").status_code == 200
    response = try_to_log_in(password=PASSWORD, address="192.0.2.99")
    assert response.status_code == 429
    assert response["Retry-After"] == str(WINDOW_SECONDS - 60)
    assert "Too many failed tries to log in. Try again in 14 minutes." in text(response)
    assert "sessionid" not in response.cookies


def test_after_too_many_tries_from_one_address_every_account_waits_there_only(admin: User) -> None:
    for number in range(TRIES_PER_ADDRESS):
        assert try_to_log_in(f"user-{number}").status_code == 200
    assert try_to_log_in(password=PASSWORD).status_code == 429
    assert try_to_log_in(password=PASSWORD, address="192.0.2.2").status_code == 302


def test_a_network_of_ipv6_counts_as_one_address(admin: User) -> None:
    for number in range(TRIES_PER_ADDRESS):
        try_to_log_in(f"user-{number}", address=f"2001:db8::{number:x}")
    assert try_to_log_in(password=PASSWORD, address="2001:db8::ffff").status_code == 429


def test_logging_in_forgets_what_was_mistyped_before(admin: User) -> None:
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        for _ in range(TRIES_PER_ACCOUNT - 1):
            assert try_to_log_in(address=address).status_code == 200
        assert try_to_log_in(password=PASSWORD, address=address).status_code == 302


def test_the_case_of_a_name_gives_no_further_tries(admin: User) -> None:
    for number in range(TRIES_PER_ACCOUNT):
        try_to_log_in("ADA" if number % 2 else "ada")
    assert try_to_log_in("Ada").status_code == 429


def test_the_next_quarter_of_an_hour_has_tries_of_its_own(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(TRIES_PER_ACCOUNT + 1):
        try_to_log_in()
    monkeypatch.setattr("openfang_site.security.login.time.time", lambda: 1_800_000_000.0 + WINDOW_SECONDS)
    assert try_to_log_in(password=PASSWORD).status_code == 302


def test_nothing_tells_an_account_from_none(admin: User) -> None:
    User.objects.create_user("guest", "", PASSWORD)
    User.objects.create_superuser("gone", "", PASSWORD, is_active=False)
    tries = {
        "wrong password": ("ada", "wrong"),
        "no account": ("nobody", "wrong"),
        "not staff": ("guest", PASSWORD),
        "inactive": ("gone", PASSWORD),
    }
    said = {why: try_to_log_in(*given) for why, given in tries.items()}
    assert {response.status_code for response in said.values()} == {200}
    messages = {why: response.context["form"].non_field_errors().as_text() for why, response in said.items()}
    assert len(set(messages.values())) == 1, messages


def test_an_account_that_does_not_exist_waits_like_one_that_does(admin: User) -> None:
    for _ in range(TRIES_PER_ACCOUNT):
        try_to_log_in("nobody")
    assert try_to_log_in("nobody").status_code == 429
