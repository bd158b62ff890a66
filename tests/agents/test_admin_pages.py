from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from agents.models import AdminToken, Agent, AgentFallback, Budget, McpServer, Period
from tests.agents.admin_cast import key, model, request

pytestmark = pytest.mark.django_db
MaxQueries = Callable[[int], AbstractContextManager[Any]]


def add_rows(first: int, count: int) -> None:
    for number in range(first, first + count):
        language_model = model(f"model-{number}", f"provider-{number}")
        agent = Agent.objects.create(name=f"agent-{number}", model=language_model)
        issued = key(f"key-{number}")
        issued.agents.add(agent)
        Budget.objects.create(api_key=issued, limit=10**12).periods.create(start=Period.MONTH.start(timezone.now()))
        agent.mcp_tools.create(server=McpServer.objects.create(name=f"server-{number}", url="http://mcp.test/mcp"))
        user = User.objects.create_superuser(f"user-{number}")
        AdminToken.objects.issue(f"token-{number}", user, ["read"])
        Group.objects.create(name=f"group-{number}")
        request(agent, number, api_key=issued, api_key_name=issued.name)


LISTS = {
    **dict.fromkeys(["agent", "apikey", "admintoken", "budget", "mcpserver"], "agents"),
    **dict.fromkeys(["provider", "languagemodel", "usagerecord"], "agents"),
    **dict.fromkeys(["user", "group"], "auth"),
}


@pytest.mark.parametrize("noun", LISTS)
def test_a_list_asks_the_database_the_same_number_of_questions_however_long_it_is(
    admin_client: Client, noun: str, django_assert_max_num_queries: MaxQueries
) -> None:
    page = f"/admin/{LISTS[noun]}/{noun}/"
    admin_client.get(page)
    others = {"user": 1}.get(noun, 0)
    add_rows(0, 3)
    with django_assert_max_num_queries(20) as few:
        admin_client.get(page)
    add_rows(3, 27)

    with django_assert_max_num_queries(len(few)) as many:
        response = admin_client.get(page)

    assert len(response.context["cl"].result_list) == 30 + others
    assert len(many) == len(few)


def test_every_page_opens(admin_client: Client) -> None:
    add_rows(0, 1)
    AgentFallback.objects.create(agent=Agent.objects.get(), model=model())
    admin_client.get("/admin/")

    for noun, app in LISTS.items():
        response = admin_client.get(f"/admin/{app}/{noun}/")
        assert response.status_code == 200
        row = response.context["cl"].result_list[0]
        assert admin_client.get(f"/admin/{app}/{noun}/{row.pk}/change/").status_code == 200
        assert admin_client.get(f"/admin/{app}/{noun}/add/").status_code == (403 if "usage" in noun else 200)


def test_what_only_the_server_writes_is_not_offered(admin_client: Client) -> None:
    for noun in ("worker", "revision", "usagerollup", "usagestep"):
        assert admin_client.get(f"/admin/agents/{noun}/").status_code == 404


def test_the_sidebar_offers_what_a_user_may_see(client: Client) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)

    page = client.get("/admin/").content.decode()

    assert "/admin/agents/usagerecord/" not in page
    assert "/admin/auth/user/" not in page


def test_pages_load_nothing_from_elsewhere(admin_client: Client) -> None:
    for page in ("/admin/", "/admin/agents/agent/add/", "/admin/agents/apikey/add/", "/admin/login/"):
        html = admin_client.get(page, follow=True).content.decode()
        for attribute in ('src="', '<link href="', "url("):
            for rest in html.split(attribute)[1:]:
                assert rest.lstrip("'\"").startswith(("/", "#", "data:")), rest[:80]


def test_the_stylesheets_load_nothing_from_elsewhere() -> None:
    from django.contrib.staticfiles import finders

    for name in ("unfold/css/styles.css", "unfold/fonts/inter/styles.css", "unfold/fonts/material-symbols/styles.css"):
        path = finders.find(name)
        assert isinstance(path, str)
        with open(path, encoding="utf-8") as file:
            css = file.read()
        assert "url(http" not in css.replace('"', "").replace("'", "")
        assert "@import" not in css


async def fetch(path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    from channels.testing import ApplicationCommunicator

    from openfang_site.asgi import application

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asked = ApplicationCommunicator(application, scope)
    await asked.send_input({"type": "http.request", "body": b""})
    start = await asked.receive_output(30)
    body = await asked.receive_output(30)
    await asked.wait(30)
    return start["status"], dict(start["headers"]), body["body"]


async def test_the_application_serves_the_admins_files_itself() -> None:
    for path, kind in (("/static/openfang/mark.svg", b"image/svg+xml"), ("/static/unfold/js/app.js", b"javascript")):
        status, headers, body = await fetch(path)
        assert status == 200
        assert kind in headers[b"Content-Type"]
        assert body


@pytest.mark.parametrize(
    "path", ["/static/../settings.py", "/static/../../etc/passwd", "/static//etc/passwd", "/static/no"]
)
async def test_other_files_are_not_found(path: str) -> None:
    status, _, body = await fetch(path)

    assert status == 404
    assert b"There is no such page here" in body
