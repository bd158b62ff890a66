"""What a new server begins with, and what a start never does a second time."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from agents.catalog import load_catalog
from agents.models import Agent, LanguageModel, Provider, Revision
from agents.profiles import load_profile
from agents.setup import first_start, prepare, spawn, sync_catalog

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.OPENFANG_DATA_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes half a second


def test_the_catalog_becomes_rows():
    sync_catalog()
    entries = load_catalog().providers
    assert set(Provider.objects.values_list("name", flat=True)) == {entry.name for entry in entries}
    assert LanguageModel.objects.count() == sum(len(entry.models) for entry in entries)
    entry = next(entry for entry in entries if entry.name == "groq")
    groq = Provider.objects.get(name="groq")
    assert (groq.label, groq.kind, groq.base_url, groq.api_key_env) == (
        entry.label,
        "openai",
        entry.base_url,
        "GROQ_API_KEY",
    )
    model = LanguageModel.objects.get(provider=groq, name=entry.default_model)
    listed = next(model for model in entry.models if model.name == entry.default_model)
    assert (model.prompt_price, model.context_window) == (listed.prompt_price, listed.context_window)
    assert (model.tools, model.from_catalog) == (listed.tools, True)
    assert Provider.objects.get(name="embedded").kind == "embedded"


def test_rows_that_are_as_the_catalog_has_them_are_left_alone(django_assert_max_num_queries):
    sync_catalog()
    before = Revision.current()
    with django_assert_max_num_queries(5):
        sync_catalog()
    assert Revision.current() == before


def test_rows_that_nobody_edited_follow_the_catalog():
    sync_catalog()
    before = Revision.current()
    Provider.objects.filter(name="groq").update(label="Old name")
    LanguageModel.objects.filter(provider__name="embedded").update(prompt_price=Decimal(7))
    sync_catalog()
    assert Provider.objects.get(name="groq").label == "Groq"
    assert LanguageModel.objects.get(provider__name="embedded").prompt_price == 0
    assert Revision.current() > before


def test_rows_of_an_administrator_are_never_touched():
    own = Provider.objects.create(name="groq", base_url="http://127.0.0.1:1/v1")
    priced = LanguageModel.objects.create(provider=own, name="llama", prompt_price=Decimal(3))
    sync_catalog()
    LanguageModel.objects.filter(provider__name="embedded").update(prompt_price=Decimal(7), from_catalog=False)
    sync_catalog()
    own.refresh_from_db()
    priced.refresh_from_db()
    assert (own.base_url, own.api_key_env, own.from_catalog) == ("http://127.0.0.1:1/v1", "", False)
    assert priced.prompt_price == 3
    assert LanguageModel.objects.get(provider__name="embedded").prompt_price == 7


def test_a_missing_row_comes_back():
    sync_catalog()
    Provider.objects.filter(name="groq").delete()
    sync_catalog()
    assert LanguageModel.objects.filter(provider__name="groq").exists()


def test_a_new_server_gets_an_administrator_and_the_assistant():
    prepare()
    password = first_start()
    admin = User.objects.get()
    assert (admin.username, admin.is_staff, admin.is_superuser) == ("admin", True, True)
    assert password is not None and admin.check_password(password)
    assert len(password) == 16
    agent = Agent.objects.get()
    assert (agent.name, agent.model) == ("assistant", None)
    assert agent.system_prompt == load_profile("assistant").system_prompt


def test_the_second_start_makes_nothing():
    first_start()
    before = User.objects.get().password
    assert first_start() is None
    assert User.objects.get().password == before
    assert Agent.objects.count() == 1


def test_a_deleted_assistant_does_not_come_back():
    first_start()
    Agent.objects.all().delete()
    first_start()
    assert not Agent.objects.exists()


def test_a_server_with_an_agent_gets_no_assistant():
    spawn("coder", load_profile("coder"))
    first_start()
    assert [agent.name for agent in Agent.objects.all()] == ["coder"]


def test_a_user_named_admin_without_rights_becomes_the_administrator():
    User.objects.create_user("admin", password="the old password")
    password = first_start()
    admin = User.objects.get()
    assert admin.is_superuser
    assert password is not None and admin.check_password(password)
