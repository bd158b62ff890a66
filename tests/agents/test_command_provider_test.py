"""`openfang provider test` and `remove`: a real call, and what is wrong in words to act on."""

from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent, LanguageModel, Provider
from agents.providers.embedded import EmbeddedModel
from tests.agents.command_line import command, refused
from tests.upstream import Upstream, fails

pytestmark = pytest.mark.django_db
KEY = "sk-scripted-0123456789"


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path
    monkeypatch.setenv("SCRIPTED_API_KEY", KEY)


@pytest.fixture
def scripted(upstream: Upstream) -> Provider:
    return Provider.objects.create(name="scripted", base_url=upstream.base_url, api_key_env="SCRIPTED_API_KEY")


def refusal(*words: str) -> str:
    said = refused("provider", *words)
    assert KEY not in said
    return said


def test_a_provider_that_answers_is_told_with_its_time(scripted: Provider, upstream: Upstream) -> None:
    upstream.models = ["alpha", "beta"]
    said = command("provider", "test", "scripted").out
    assert said.startswith("scripted answered after ")
    assert "It offers 2 models." in said


def test_a_key_that_is_refused_names_its_variable(scripted: Provider, upstream: Upstream) -> None:
    upstream.models = fails(401)
    assert refusal("test", "scripted") == (
        "scripted refused this server's API key, so check SCRIPTED_API_KEY (HTTP 401)."
    )


def test_a_key_that_is_missing_is_named(scripted: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCRIPTED_API_KEY")
    assert "SCRIPTED_API_KEY is not set" in refusal("test", "scripted")


def test_one_that_is_not_there_says_so() -> None:
    Provider.objects.create(name="nowhere", base_url="http://127.0.0.1:9/v1")
    assert "nothing listens on port 9 of 127.0.0.1" in refusal("test", "nowhere")
    assert refusal("test", "nobody").startswith("There is no provider 'nobody'; ")


@pytest.mark.slow
@pytest.mark.skipif(not EmbeddedModel().available, reason="the embedded model is not installed")
def test_the_embedded_model_is_started_asked_and_ended() -> None:
    assert "smollm2-135m-instruct said" in command("provider", "test", "embedded").out


def test_a_provider_is_removed_with_its_models_unless_agents_use_them(scripted: Provider) -> None:
    agent = Agent.objects.create(name="coder", model=LanguageModel.objects.create(provider=scripted, name="alpha"))
    assert refusal("remove", "scripted") == "scripted has models that agents use: coder. Give them others first."
    agent.delete()
    assert command("provider", "remove", "scripted").out == "Removed the provider scripted and its models.\n"
    assert not LanguageModel.objects.filter(name="alpha").exists()


def test_what_comes_with_openfang_is_not_removed() -> None:
    assert refusal("remove", "groq").startswith("groq comes with OpenFang and would come back")
