"""The set-ups for clients: filled in with this server's address and the agent's name."""

import ast
import json
import shlex
from typing import Any

import pytest
from django.test import Client

from agents.admin.connect import set_ups
from agents.models import Agent
from tests.agents.admin_cast import key, text

pytestmark = pytest.mark.django_db


def code(title: str) -> str:
    return next(set_up.code for set_up in set_ups("https://ai.test/v1", "coder", "of_key") if set_up.title == title)


def page(client: Client, **options: Any) -> str:
    agent, _ = Agent.objects.get_or_create(name="coder")
    return text(client.get(f"/admin/agents/agent/{agent.pk}/connect/", **options))


def test_every_client_of_the_documentation_has_a_set_up(admin_client: Client) -> None:
    shown = page(admin_client)

    for title in ("curl", "Python", "JavaScript", "Cursor", "Continue", "Open WebUI"):
        assert title in shown
    assert shown.count("openfang:coder") >= 6


def test_the_base_url_is_the_address_that_the_page_was_asked_at(admin_client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["ai.example"]

    assert "https://ai.example/v1" in page(admin_client, headers={"host": "ai.example"}, secure=True)


def test_a_key_is_asked_for_once_there_is_one(admin_client: Client) -> None:
    assert "No key is needed as long as this server has none" in page(admin_client)

    key()

    assert "Put an API key where it says YOUR_KEY." in page(admin_client)


def test_the_curl_line_is_a_request_that_a_shell_understands() -> None:
    words = shlex.split(code("curl").replace("\\\n", " "))

    assert words[:2] == ["curl", "https://ai.test/v1/chat/completions"]
    assert "Authorization: Bearer of_key" in words
    assert json.loads(words[-1])["model"] == "openfang:coder"


def test_the_python_code_is_python() -> None:
    ast.parse(code("Python"))
    assert 'OpenAI(base_url="https://ai.test/v1", api_key="of_key")' in code("Python")
