"""`openfang passwd`: a way back into the web admin."""

import getpass

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from tests.agents.command_line import command

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.OPENFANG_DATA_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes half a second


@pytest.fixture
def terminal(monkeypatch):
    """A terminal at which the given passwords are typed."""

    def typing(*passwords):
        typed = iter(passwords)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))

    return typing


@pytest.fixture
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)


def test_without_a_terminal_a_password_is_made_and_printed_alone(no_terminal):
    said = command("passwd")
    admin = User.objects.get()
    assert admin.check_password(said.out.strip())
    assert (admin.username, admin.is_superuser, admin.is_staff) == ("admin", True, True)
    assert said.out.strip() not in said.err


def test_each_made_password_takes_the_place_of_the_one_before(no_terminal):
    first, second = command("passwd").out.strip(), command("passwd").out.strip()
    assert not User.objects.get().check_password(first)
    assert User.objects.get().check_password(second)


def test_on_a_terminal_it_asks_twice_and_prints_no_password(terminal):
    terminal("correct horse battery", "correct horse battery")
    said = command("passwd")
    assert User.objects.get().check_password("correct horse battery")
    assert said.out == "admin has a new password.\n"


def test_on_a_terminal_a_password_is_made_when_asked_for(terminal):
    terminal()
    password = command("passwd", "--generate").out.strip()
    assert User.objects.get().check_password(password)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("password", "password"), "too common"),
        (("correct horse", "correct cow"), "differ"),
        (("", ""), "too short"),
    ],
)
def test_a_password_that_will_not_do_changes_nothing(terminal, typed, message):
    User.objects.create_superuser("admin", password="the old password")
    terminal(*typed)
    with pytest.raises(CommandError, match=message):
        command("passwd")
    assert User.objects.get().check_password("the old password")


def test_another_user_gets_a_password_but_is_not_made(no_terminal):
    User.objects.create_superuser("admin", password="of the admin")
    User.objects.create_user("ada", password="the old password")
    password = command("passwd", "ada").out.strip()
    assert User.objects.get(username="ada").check_password(password)
    with pytest.raises(CommandError, match=r"There is no user 'bob'. Users: ada, admin\."):
        command("passwd", "bob")
    assert User.objects.get(username="admin").check_password("of the admin")


def test_an_admin_that_was_deleted_comes_back(no_terminal):
    User.objects.create_superuser("ada", password="the old password")
    password = command("passwd").out.strip()
    admin = User.objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password(password)
