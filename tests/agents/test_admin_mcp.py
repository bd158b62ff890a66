"""MCP servers in the admin: reading their tools, and who may set up programs."""

import json
import sys
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from agents.models import McpServer
from tests.agents.admin_cast import errors, text
from tests.agents.mcp_parts import PLAIN

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/agents/mcpserver/"


def form(**fields: Any) -> dict[str, Any]:
    blank = {"headers": "{}", "args": "[]", "environment": "[]", "timeout": 60, "enabled": "on"}
    return {"name": "plain", "transport": "stdio", **blank, **fields}


@pytest.fixture
def editor(client: Client) -> Client:
    """Somebody who may change MCP servers, but not run programs."""
    user = User.objects.create_user("editor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__model="mcpserver"))
    client.force_login(user)
    return client


def test_the_tools_are_read_as_soon_as_the_server_is_made(admin_client: Client) -> None:
    posted = form(command=sys.executable, args=json.dumps([PLAIN]))

    page = text(admin_client.post(f"{LIST}add/", posted, follow=True))

    server = McpServer.objects.get()
    assert server.tool_names()
    assert server.tools_read_at
    assert f"plain has {len(server.tools)} tool" in page


def test_a_server_that_does_not_answer_is_kept_and_the_reason_is_shown(admin_client: Client) -> None:
    page = text(admin_client.post(f"{LIST}add/", form(command="/no/such/program"), follow=True))

    assert "The tools could not be read: The program of the MCP server &#x27;plain&#x27; ended" in page
    assert "/no/such/program cannot be started" in page
    assert McpServer.objects.get().tools_read_at is None


def test_the_button_reads_the_tools_again(admin_client: Client) -> None:
    server = McpServer.objects.create(
        name="plain", transport="stdio", command=sys.executable, args=[PLAIN], tools_stale=True
    )

    response = admin_client.post(f"{LIST}{server.pk}/read-tools/", {"_form_submitted": "1"})

    server.refresh_from_db()
    assert response["HX-Redirect"] == f"{LIST}{server.pk}/change/"
    assert server.tool_names()
    assert not server.tools_stale


def test_only_an_administrator_sets_up_programs(editor: Client) -> None:
    response = editor.post(f"{LIST}add/", form(command="uvx"))

    assert errors(response) == ["Only an administrator may set up programs: they run on the server's machine."]
    assert not McpServer.objects.exists()


def test_only_an_administrator_changes_deletes_or_starts_a_program(editor: Client) -> None:
    server = McpServer.objects.create(name="plain", transport="stdio", command="uvx")

    page = editor.get(f"{LIST}{server.pk}/change/")
    assert page.status_code == 200
    assert "_save" not in page.content.decode()
    assert editor.post(f"{LIST}{server.pk}/change/", form(command="rm")).status_code == 403
    assert editor.post(f"{LIST}{server.pk}/delete/", {"post": "yes"}).status_code == 403
    assert editor.post(f"{LIST}{server.pk}/read-tools/", {"_form_submitted": "1"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [str(server.pk)], "post": "yes"}
    editor.post(LIST, action)
    assert McpServer.objects.get().command == "uvx"


def test_a_web_server_does_not_become_a_program(editor: Client) -> None:
    server = McpServer.objects.create(name="plain", url="http://mcp/mcp")

    response = editor.post(f"{LIST}{server.pk}/change/", form(command="uvx"))

    assert errors(response) == ["Only an administrator may set up programs: they run on the server's machine."]


def test_what_is_no_json_is_refused_with_an_example(admin_client: Client) -> None:
    response = admin_client.post(f"{LIST}add/", form(command="uvx", args="mcp-server-time"))

    assert errors(response) == ['Not JSON. Write ["one", "two"].']


def test_the_list_tells_what_is_known_of_each_server(admin_client: Client) -> None:
    McpServer.objects.create(name="time", url="http://mcp/mcp", tools=[{"name": "now"}])

    assert "time http://mcp/mcp Streamable HTTP not read 1 never 0" in text(admin_client.get(LIST))
