"""`openfang agents`: what is there, and which model answers."""

import json

import pytest

from agents.models import Agent
from tests.agents.command_line import command

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.OPENFANG_DATA_DIR = tmp_path
    settings.OPENFANG_DEFAULT_PROVIDER = "embedded"


@pytest.fixture
def two_agents():
    command("spawn", "coder")
    command("spawn", "writer", "--provider", "vllm", "--model", "big", "--description", "Writes.")
    Agent.objects.filter(name="writer").update(enabled=False)


def test_the_table_names_the_model_and_says_where_it_is_the_default(two_agents):
    heading, coder, writer = command("agents").out.splitlines()
    assert heading.split() == ["NAME", "MODEL", "ENABLED", "DESCRIPTION"]
    assert coder.split()[:4] == ["coder", "embedded/smollm2-135m-instruct", "(default)", "yes"]
    assert writer.split() == ["writer", "vllm/big", "no", "Writes."]


def test_programs_read_the_same_as_json(two_agents):
    coder, writer = json.loads(command("agents", "--json").out)
    assert coder["id"] == str(Agent.objects.get(name="coder").id)
    assert (coder["provider"], coder["model"]) == ("embedded", "smollm2-135m-instruct")
    assert (coder["default_model"], coder["enabled"]) == (True, True)
    assert {**writer, "id": None} == {
        "id": None,
        "name": "writer",
        "description": "Writes.",
        "provider": "vllm",
        "model": "big",
        "default_model": False,
        "enabled": False,
    }


def test_an_agent_that_no_model_answers_for_is_listed_as_such(settings):
    settings.OPENFANG_DEFAULT_MODEL = "no-such-model"
    command("spawn", "coder")
    assert "none (default)" in command("agents").out
    assert json.loads(command("agents", "--json").out)[0]["model"] is None


def test_without_agents_it_says_how_to_make_one():
    assert command("agents").out.endswith("openfang spawn assistant\n")
    assert json.loads(command("agents", "--json").out) == []
