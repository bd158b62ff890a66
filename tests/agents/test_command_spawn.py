"""`openfang spawn`: agents from profiles, and one clear line for what cannot be made."""

import json
from typing import Any

import pytest

from agents.models import Agent, ApiKey, LanguageModel, Provider
from agents.profiles import load_profile
from tests.agents.command_line import command, refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path, monkeypatch):
    settings.OPENFANG_DATA_DIR = tmp_path
    settings.OPENFANG_DEFAULT_PROVIDER = "embedded"
    settings.OPENFANG_PORT = 4321
    monkeypatch.setenv("GROQ_API_KEY", "gsk-test")


def chosen_model() -> LanguageModel:
    model = Agent.objects.get().model
    assert model is not None
    return model


def test_a_profile_makes_an_agent_of_its_name():
    command("spawn", "coder")
    agent = Agent.objects.get()
    profile = load_profile("coder")
    assert (agent.name, agent.description, agent.system_prompt) == ("coder", profile.description, profile.system_prompt)
    assert (agent.model, agent.temperature, agent.enabled) == (None, profile.temperature, True)


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "python-expert", "--profile", "coder"],
        ["coder", "--name", "python-expert"],
        ["python-expert", "--profile", "coder"],
        ["--profile", "coder", "--name", " Python-Expert "],
    ],
)
def test_an_agent_of_another_name_begins_as_the_profile(words):
    command("spawn", *words)
    agent = Agent.objects.get()
    assert (agent.name, agent.system_prompt) == ("python-expert", load_profile("coder").system_prompt)


def test_a_profile_brings_its_tools_and_others_can_be_added():
    out = command("spawn", "coder", "--tool", "shell", "--tool", "file_read").out
    agent = Agent.objects.get()
    assert agent.tools == [*load_profile("coder").tools, "shell"]
    assert "shell" in out


def test_a_tool_that_is_not_there_is_refused():
    assert refused("spawn", "coder", "--tool", "teleport").startswith("There is no tool 'teleport'. Known: file_read,")
    assert not Agent.objects.exists()


def test_options_win_over_the_profile():
    command("spawn", "coder", "--system-prompt", "Be brief.", "--temperature", "0.5", "--description", "Terse.")
    agent = Agent.objects.get()
    assert (agent.system_prompt, agent.temperature, agent.description) == ("Be brief.", 0.5, "Terse.")


def test_an_agent_with_a_prompt_needs_no_profile():
    command("spawn", "--name", "poet", "--system-prompt", "Answer in verse.")
    assert Agent.objects.get().system_prompt == "Answer in verse."


def test_it_tells_the_model_and_how_to_call_the_agent():
    said = command("spawn", "coder").out
    assert "embedded/smollm2-135m-instruct (the server's default)" in said
    assert "curl http://127.0.0.1:4321/v1/chat/completions" in said
    assert json.loads(said.split("-d '")[1].split("'")[0])["model"] == "openfang:coder"
    assert "Authorization" not in said


def test_it_calls_the_agent_with_a_key_where_one_is_needed():
    ApiKey.objects.issue("me")
    assert "    -H 'Authorization: Bearer YOUR_KEY' \\\n" in command("spawn", "coder").out


def test_the_key_of_the_environment_is_one_that_is_needed(settings: Any):
    settings.OPENFANG_API_KEY = "of_environment"
    assert "Authorization: Bearer" in command("spawn", "coder").out


def test_a_provider_alone_means_its_default_model():
    said = command("spawn", "coder", "--provider", "groq")
    model = chosen_model()
    assert model.provider.name == "groq"
    assert f"groq/{model.name}" in said.out
    assert said.err == ""


def test_a_model_alone_is_found_where_one_provider_has_it():
    command("spawn", "coder", "--model", "smollm2-135m-instruct")
    assert chosen_model().provider.name == "embedded"


def test_a_model_that_several_providers_have_needs_its_provider():
    command("spawn", "writer", "--provider", "groq", "--model", "shared")
    command("spawn", "ops", "--provider", "vllm", "--model", "shared")
    message = refused("spawn", "coder", "--model", "shared")
    assert message == "Several providers have the model 'shared'. Name one of them too: groq, vllm."


def test_a_model_that_no_provider_has_needs_its_provider():
    message = refused("spawn", "coder", "--model", "new-model")
    assert message.startswith("No provider lists the model 'new-model'. Name its provider too: ")
    assert "groq" in message


def test_a_model_outside_the_catalog_is_taken_with_a_warning_and_all_about_it_is_unknown():
    said = command("spawn", "coder", "--provider", "groq", "--model", "new-model")
    assert "does not list groq/new-model" in said.err
    model = chosen_model()
    assert (model.name, model.from_catalog) == ("new-model", False)
    assert {model.prompt_price, model.completion_price, model.context_window, model.tools} == {None}


def test_a_provider_whose_key_is_not_here_is_taken_with_a_warning(monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY")
    assert "GROQ_API_KEY is not set" in command("spawn", "coder", "--provider", "groq").err
    assert Agent.objects.count() == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["foo"], "There is no profile 'foo'. Known: analyst, assistant, coder"),
        ([], "Which agent? Name a profile: analyst, assistant, coder"),
        (["coder", "--name", "a", "--profile", "b"], "Two names were given: 'coder' and 'a'."),
        (["foo", "--name", "bar", "--system-prompt", "x"], "There is no profile 'foo'."),
        (["coder", "--provider", "foo"], "There is no provider 'foo'. Known: anthropic"),
        (["coder", "--provider", "ollama"], "The provider 'ollama' has no default model."),
        (["coder", "--name", "not a name"], "name: Use 1 to 64 of a-z"),
        (["coder", "--name", "84698b6f-2d58-4852-a1ea-c8a451e81577"], "name: A name must not be a UUID"),
        (["coder", "--temperature", "2.5"], "temperature: Ensure this value is less than or equal to 2"),
        (["coder", "--temperature", "hot"], "argument --temperature: 'hot' is not a number"),
        (["coder", "--temperature", "nan"], "argument --temperature: 'nan' is not a number"),
        (["coder", "--description", "x" * 301], "description: Ensure this value has at most 300 characters"),
        (["coder", "--model", "x" * 201, "--provider", "groq"], "name: Ensure this value has at most 200 characters"),
    ],
)
def test_what_cannot_be_made_is_one_clear_line(words, message):
    assert message in refused("spawn", *words)
    assert not Agent.objects.exists()


def test_a_taken_name_is_refused_whatever_its_case():
    command("spawn", "coder")
    assert refused("spawn", "CODER", "--profile", "writer") == "There is an agent named 'CODER' already."


def test_a_refused_agent_leaves_no_model_behind():
    refused("spawn", "coder", "--provider", "groq", "--model", "new-model", "--temperature", "3")
    assert not LanguageModel.objects.filter(name="new-model").exists()
    assert Provider.objects.filter(name="groq").exists()


def test_tools_that_the_model_cannot_call_are_told_as_such():
    assert "web_fetch, which this model cannot call." in command("spawn", "coder").out
    assert "web_fetch.\n" in command("spawn", "writer", "--provider", "groq", "--tool", "web_fetch").out
