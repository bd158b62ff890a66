"""How to use an agent from the programs that people have: each set-up filled in, ready to be copied."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from agents.admin.public_urls import public_url
from agents.models import Agent, ApiKey


@dataclass(frozen=True)
class SetUp:
    """How to connect one program: what to do, and what to copy."""

    title: str
    steps: tuple[str, ...]
    code: str = ""
    values: tuple[tuple[str, str], ...] = ()


def page(request: HttpRequest, model_admin: Any, agent_id: UUID) -> HttpResponse:
    """Show how clients reach an agent."""
    agent = get_object_or_404(Agent, pk=agent_id)
    if not model_admin.has_view_permission(request, agent):
        raise PermissionDenied
    base_url, needs_key = public_url(request, "/v1"), ApiKey.objects.needed()
    context = {
        **model_admin.admin_site.each_context(request),
        "title": agent.name,
        "opts": model_admin.opts,
        "original": agent,
        "agent": agent,
        "tab": "connect",
        "base_url": base_url,
        "model": f"openfang:{agent.name}",
        "needs_key": needs_key,
        "set_ups": set_ups(base_url, agent.name, "YOUR_KEY" if needs_key else "dummy"),
    }
    return TemplateResponse(request, "admin/agents/agent/connect.html", context)


def set_ups(base_url: str, name: str, key: str) -> list[SetUp]:
    """Return the set-ups, each with these values in it."""
    model = f"openfang:{name}"
    values = (("Base URL", base_url), ("API key", key), ("Model", model))
    return [
        SetUp("curl", ("In a terminal:",), _curl(base_url, model, key)),
        SetUp("Python", ("pip install openai",), _python(base_url, model, key)),
        SetUp("JavaScript", ("npm install openai",), _javascript(base_url, model, key)),
        SetUp(
            "Cursor",
            (
                "Open Settings, then Models, then API Keys.",
                "Switch on “Override OpenAI Base URL”, and enter this URL and key.",
                "Under Models add this name as a custom model, and choose it in the chat.",
                "Cursor calls from its own servers: they must be able to reach this address.",
            ),
            values=values,
        ),
        SetUp("Continue", ("In ~/.continue/config.yaml:",), _continue(base_url, name, key)),
        SetUp(
            "Open WebUI",
            (
                "Open Settings, then Connections, and add an OpenAI API connection with this URL and key.",
                "Choose the agent in the list of models. In a container, put the host's name for 127.0.0.1.",
            ),
            values=values,
        ),
    ]


def _curl(base_url: str, model: str, key: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
    return f"""curl {base_url}/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{body}'"""


def _python(base_url: str, model: str, key: str) -> str:
    return f"""from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key="{key}")
stream = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello!"}}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)"""


def _javascript(base_url: str, model: str, key: str) -> str:
    return f"""import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base_url}", apiKey: "{key}" }});
const stream = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Hello!" }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}"""


def _continue(base_url: str, name: str, key: str) -> str:
    return f"""name: OpenFang
version: 1.0.0
schema: v1
models:
  - name: OpenFang {name}
    provider: openai
    model: openfang:{name}
    apiBase: {base_url}
    apiKey: {key}
    roles: [chat, edit]"""
