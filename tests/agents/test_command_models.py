"""`openfang models`: what agents can answer with and what it costs; `providers`: where from."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.models import LanguageModel, ModelPrice, Provider
from tests.agents.admin_cast import model
from tests.agents.command_line import command, refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path


def test_the_list_tells_context_prices_and_abilities() -> None:
    model("alpha", context_window=128000, prompt_price="1.50", cached_price="0", completion_price="6", tools=True)
    model("beta")
    heading, alpha, beta = command("models", "--provider", "acme").out.splitlines()
    assert heading.split() == ["MODEL", "CONTEXT", "PROMPT", "CACHED", "COMPLETION", "CAN"]
    assert alpha.split() == ["acme/alpha", "128,000", "$1.5", "$0", "$6", "tools"]
    assert beta.split() == ["acme/beta", "?", "?", "?", "?", "-"]
    [first, second] = json.loads(command("models", "--provider", "acme", "--json").out)
    assert (first["provider"], first["name"], first["prompt_price"], first["vision"]) == (
        "acme",
        "alpha",
        "1.500000",
        None,
    )
    assert second["prompt_price"] is None


def test_an_added_model_answers_for_an_agent() -> None:
    said = command("models", "add", "ollama/qwen3:8b", "--context", "32768", "--prompt", "0", "--completion", "0")
    assert said.out.startswith("Added the model ollama/qwen3:8b.")
    assert said.err == ""
    command("spawn", "coder")
    command("agent", "set", "coder", "model=ollama/qwen3:8b")
    assert json.loads(command("agents", "--json").out)[0]["model"] == "qwen3:8b"


def test_an_unknown_price_is_a_warning() -> None:
    assert "Its price is unknown" in command("models", "add", "ollama/new").err


def test_a_new_price_is_noted_and_the_catalog_does_not_take_it_back() -> None:
    command("models")  # makes the catalog's rows
    told = command("models", "price", "openai/gpt-5.4-mini", "--prompt", "0.25").out
    assert told.startswith("openai/gpt-5.4-mini costs $0.25 prompt, ")
    command("models")
    row = LanguageModel.objects.get(provider__name="openai", name="gpt-5.4-mini")
    assert row.prompt_price == Decimal("0.25")
    assert row.completion_price is not None
    assert ModelPrice.objects.filter(model=row).count() == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--provider", "nobody"], "There is no provider 'nobody'"),
        (["add", "nobody/x"], "There is no provider 'nobody'"),
        (["add", "acme/alpha"], "There is a model acme/alpha already"),
        (["add", "acme/"], "name: This field cannot be blank."),
        (["add", "acme/new", "--prompt", "-1"], "'-1' is not an amount of US dollars, such as 0.25"),
        (["add", "acme/new", "--prompt", "1e-9"], "'1e-9' is not an amount of US dollars"),
        (["price", "acme/new", "--prompt", "1"], "There is no model 'acme/new'"),
        (["price", "acme/alpha"], "Which price? Name --prompt, --cached or --completion."),
    ],
)
def test_what_is_wrong_is_one_clear_line(words: list[str], message: str) -> None:
    model("alpha")
    assert message in refused("models", *words)
    assert not LanguageModel.objects.filter(name="new").exists()


def test_providers_is_the_list_of_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-secret-0123456789")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert command("providers").out == command("provider", "list").out
    kept = Provider.objects.get(name="mistral")
    kept.keep_key("kept-0123456789")
    kept.save()
    text = command("providers", "--json").out
    found = {row["name"]: (row["key"], row["usable"]) for row in json.loads(text)}
    assert found["groq"] == ("environment", True)
    assert found["openai"] == (None, False)
    assert found["mistral"] == ("kept", True)
    assert found["embedded"] == found["ollama"] == (None, True)
    assert "0123456789" not in text + command("providers").out
    assert "kept in the database" in command("providers").out
