"""`openfang provider`: any OpenAI-compatible API becomes one that agents can use."""

import json
from typing import Any

import pytest

from agents.models import Provider
from tests.agents.command_line import command, refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.OPENFANG_DATA_DIR = tmp_path


def line_of(name: str) -> str:
    return next(line for line in command("provider", "list").out.splitlines() if line.split()[0] == name)


def facts_of(name: str) -> dict[str, Any]:
    facts: list[dict[str, Any]] = json.loads(command("provider", "list", "--json").out)
    return next(row for row in facts if row["name"] == name)


def test_an_added_provider_serves_an_agent(monkeypatch):
    monkeypatch.setenv("LAB_KEY", "secret-of-the-lab")
    said = command("provider", "add", "lab", "--base-url", "http://127.0.0.1:8000/v1/", "--api-key-env", "LAB_KEY")
    assert said.err == ""
    provider = Provider.objects.get(name="lab")
    assert (provider.base_url, provider.api_key_env) == ("http://127.0.0.1:8000/v1", "LAB_KEY")
    assert not provider.from_catalog
    assert "answers with lab/big." in command("spawn", "coder", "--provider", "lab", "--model", "big").out


def test_a_key_that_is_not_here_yet_is_a_warning(monkeypatch):
    monkeypatch.delenv("LAB_KEY", raising=False)
    said = command("provider", "add", "lab", "--base-url", "http://127.0.0.1/v1", "--api-key-env", "LAB_KEY")
    assert "LAB_KEY is not set here" in said.err
    assert Provider.objects.filter(name="lab").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["groq", "--base-url", "http://127.0.0.1/v1"], "There is a provider named 'groq' already"),
        (["lab", "--base-url", "nonsense"], "base_url: Give a URL such as https://"),
        (["no name", "--base-url", "http://127.0.0.1/v1"], "name: Use 1 to 64 of a-z"),
        (
            ["lab", "--base-url", "http://127.0.0.1/v1", "--api-key-env", "A-B"],
            "Not the name of an environment variable",
        ),
        (
            ["lab", "--base-url", "http://127.0.0.1/v1", "--api-key-env", "OPENFANG_SECRET_KEY"],
            "OPENFANG_SECRET_KEY is never sent",
        ),
        (
            ["lab", "--base-url", "http://lab/v1", "--api-key-env", "GROQ_API_KEY"],
            "To allow this, add GROQ_API_KEY@http://lab to that setting.",
        ),
        (["lab"], "the following arguments are required: --base-url"),
    ],
)
def test_what_cannot_be_added_is_one_clear_line(words, message):
    assert message in refused("provider", "add", *words)
    assert not Provider.objects.filter(name="lab").exists()


def test_a_kept_key_is_told_and_so_is_one_that_no_longer_opens(settings):
    command("provider", "add", "lab", "--base-url", "http://127.0.0.1/v1")
    provider = Provider.objects.get(name="lab")
    provider.keep_key("secret-of-the-lab")
    provider.save()
    assert "kept in the database" in line_of("lab")
    assert (facts_of("lab")["key"], facts_of("lab")["usable"]) == ("kept", True)
    settings.SECRET_KEY = "another"
    assert "kept, but under another secret key" in line_of("lab")
    assert (facts_of("lab")["key"], facts_of("lab")["usable"]) == ("unreadable", False)


def test_the_list_tells_which_keys_are_here_and_none_of_them(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "gsk-secret")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "GROQ_API_KEY is set" in line_of("groq")
    assert "OPENAI_API_KEY is not set" in line_of("openai")
    assert "not needed" in line_of("ollama")
    assert "in this server" in line_of("embedded")
    assert "gsk-secret" not in command("provider", "list").out
