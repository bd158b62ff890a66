"""What each role may open: every URL of the admin is asked for as each of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from agents.models import AdminToken, Agent, ApiKey, Budget, McpServer, Memory, UsageRecord, changes_of
from agents.setup.roles import ADMINISTRATOR, EDITOR, VIEWER, make_roles
from agents.usage.content import Conversation, store
from tests.agents.admin_cast import agent_form, errors, key, model, request, text

pytestmark = pytest.mark.django_db

EVERYBODY = {
    "index",
    "login",
    "logout",
    "password_change",
    "password_change_done",
    "jsi18n",
    "search",
    "app_list",
}
USAGE = {f"agents_usagerecord_{page}" for page in ("changelist", "change", "rows", "export", "history")}
AGENTS = {
    f"agents_agent_{page}"
    for page in (
        "changelist",
        "add",
        "change",
        "delete",
        "history",
        "import",
        "import_agents",
        "playground",
        "playground_token",
        "playground_figures",
        "connect",
        "restore",
        "copy",
        "export_one",
    )
}
MEMORIES = {f"agents_memory_{page}" for page in ("changelist", "change", "delete", "history")}
OPENS = {VIEWER: EVERYBODY | USAGE, EDITOR: EVERYBODY | USAGE | AGENTS | MEMORIES}
# Nobody adds, changes or deletes what the server writes, or deletes keys and tokens.
NEVER = {
    "agents_usagerecord_add",
    "agents_usagerecord_delete",
    "agents_apikey_delete",
    "agents_admintoken_delete",
    "agents_memory_add",
}
ELSEWHERE = {"autocomplete", "view_on_site", None}  # their permissions depend on what they are asked


@pytest.fixture(autouse=True)
def storing(settings: Any) -> None:
    settings.OPENFANG_STORE_CONTENT_DAYS = 7


@pytest.fixture
def rows() -> dict[str, Any]:
    """A row of each table that has pages."""
    make_roles()
    agent = Agent.objects.create(name="coder", model=model())
    issued = key()
    record = request(agent)
    server = McpServer.objects.create(name="remote", url="http://mcp.test/mcp")
    budget = Budget.objects.create(agent=agent, limit=10**12)
    language_model = agent.model
    assert language_model is not None
    token, _ = AdminToken.objects.issue("deployment", User.objects.create_superuser("boss"), ["admin"])
    memory = Memory.objects.create(agent=agent, scope="address:127.0.0.1/", text="Likes tea.")
    found = [agent, memory, issued, token, record, server, budget, language_model, language_model.provider]
    rows: dict[str, Any] = {f"{row._meta.app_label}_{row._meta.model_name}": row.pk for row in found}
    return rows | {
        "auth_user": User.objects.create_user("newcomer").pk,
        "auth_group": Group.objects.get(name=VIEWER).pk,
    }


def person(role: str) -> User:
    user = User.objects.create_user(role.lower().replace(" ", "-"), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        elif isinstance(entry, URLPattern):
            yield route, entry


def pages(rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The name and a URL of every page of the admin, with the ids of rows that there are."""
    version = changes_of(Agent).latest("history_id").history_id
    for route, entry in patterns(get_resolver()):
        if not route.startswith("admin/") or entry.name in ELSEWHERE:
            continue
        table = "_".join(str(entry.name).split("_")[:2])
        own = str(rows.get(table, 1))
        agent, record = str(rows["agents_agent"]), str(rows["agents_usagerecord"])
        values = {"object_id": own, "agent_id": agent, "record_id": record, "version": str(version), "form": "csv"}
        values |= {"app_label": "agents", "id": own}
        yield str(entry.name), "/" + filled_in(route, entry, values)


def filled_in(route: str, entry: URLPattern, values: dict[str, str]) -> str:
    for name in entry.pattern.converters:
        for written in (f"<path:{name}>", f"<uuid:{name}>", f"<int:{name}>", f"<str:{name}>", f"<{name}>"):
            route = route.replace(written, values[name])
    if "(?P<app_label>" in route:
        return "admin/agents/"
    return route.replace("^", "").replace("$", "")


def opened(client: Client, url: str) -> int:
    response = client.get(url)
    status = client.post(url).status_code if response.status_code == 405 else response.status_code
    return status


@pytest.mark.parametrize("role", [VIEWER, EDITOR])
def test_a_role_opens_its_pages_and_no_others(client: Client, rows: dict[str, Any], role: str) -> None:
    user = person(role)
    asked = list(pages(rows))
    assert len(asked) > 60
    wrong = []
    for name, url in asked:
        client.force_login(user)  # one of the pages logs out
        status = opened(client, url)
        opens = name in OPENS[role]
        if opens == (status in (403, 404)) or status >= 500:
            wrong.append(f"{name} {url}: {status}")
    assert wrong == []


def test_an_administrator_opens_every_page(client: Client, rows: dict[str, Any]) -> None:
    user = person(ADMINISTRATOR)
    wrong = []
    for name, url in pages(rows):
        client.force_login(user)
        status = opened(client, url)
        if (name in NEVER) != (status == 403) or status >= 404:
            wrong.append(f"{name} {url}: {status}")
    assert wrong == []


def test_every_page_asks_who_it_is(client: Client, rows: dict[str, Any]) -> None:
    open_to_all = {"login", "logout", "jsi18n"}
    for name, url in pages(rows):
        if name not in open_to_all:
            response = client.get(url)
            assert response.status_code == 302, url
            assert response["Location"].startswith("/admin/login/"), url


class TestViewer:
    @pytest.fixture
    def viewer(self, client: Client, rows: dict[str, Any]) -> Client:
        client.force_login(person(VIEWER))
        return client

    def test_sees_usage_and_nothing_of_what_was_said(self, viewer: Client) -> None:
        record = UsageRecord.objects.get()
        store({record.pk: Conversation([], "It is a secret.")})

        page = viewer.get(f"/admin/agents/usagerecord/{record.pk}/change/")

        assert "Timeline" in text(page)
        assert "It is a secret." not in page.content.decode()
        sidebar = viewer.get("/admin/").content.decode()
        assert "/admin/agents/usagerecord/" in sidebar
        for other in ("agents/agent/", "agents/apikey/", "agents/provider/", "agents/budget/", "auth/user/"):
            assert f'href="/admin/{other}"' not in sidebar


class TestEditor:
    """Makes agents and tries them, but gives them no program of the server's machine."""

    @pytest.fixture
    def editor(self, client: Client, rows: dict[str, Any]) -> Client:
        client.force_login(person(EDITOR))
        return client

    def mcp(self, server: McpServer, tool: str = "") -> dict[str, Any]:
        totals = {"mcp_tools-TOTAL_FORMS": 1, "mcp_tools-INITIAL_FORMS": 0}
        return {**totals, "mcp_tools-0-choice": f"{server.pk}:{tool}"}

    def form(self, **fields: Any) -> dict[str, Any]:
        return {"mcp_tools-TOTAL_FORMS": 0, "mcp_tools-INITIAL_FORMS": 0, **agent_form(**{"name": "made", **fields})}

    def test_makes_an_agent(self, editor: Client) -> None:
        response = editor.post("/admin/agents/agent/add/", self.form(tools=["calculator"]))

        assert response.status_code == 302
        assert Agent.objects.get(name="made").tools == ["calculator"]

    def test_is_not_offered_the_shell_and_cannot_give_it(self, editor: Client) -> None:
        assert 'value="shell"' not in editor.get("/admin/agents/agent/add/").content.decode()

        response = editor.post("/admin/agents/agent/add/", self.form(tools=["calculator", "shell"]))

        assert "shell is not one of the available choices" in " ".join(errors(response))
        assert not Agent.objects.filter(name="made").exists()

    def test_gets_no_shell_from_a_profile(self, editor: Client) -> None:
        editor.post("/admin/agents/agent/add/", self.form(profile="ops"))

        assert "shell" not in Agent.objects.get(name="made").tools

    def test_chooses_tools_of_servers_elsewhere_only(self, editor: Client, rows: dict[str, Any]) -> None:
        program = McpServer.objects.create(name="program", transport="stdio", command="uvx")
        remote = McpServer.objects.get(pk=rows["agents_mcpserver"])

        refused = editor.post("/admin/agents/agent/add/", self.form() | self.mcp(program))
        assert any("not one of the available choices" in error for error in errors(refused))
        assert editor.post("/admin/agents/agent/add/", self.form() | self.mcp(remote)).status_code == 302
        assert [tool.server for tool in Agent.objects.get(name="made").mcp_tools.all()] == [remote]

    @pytest.mark.parametrize("program", ["shell", "stdio"])
    def test_neither_changes_nor_tries_an_agent_that_has_a_program(
        self, editor: Client, rows: dict[str, Any], program: str
    ) -> None:
        agent = Agent.objects.get(pk=rows["agents_agent"])
        version = changes_of(Agent).latest("history_id").history_id
        if program == "shell":
            agent.tools = ["shell"]
            agent.save()
        else:
            server = McpServer.objects.create(name="program", transport="stdio", command="uvx")
            agent.mcp_tools.create(server=server)
        page = f"/admin/agents/agent/{agent.pk}"

        assert "_save" not in editor.get(f"{page}/change/").content.decode()
        assert editor.post(f"{page}/change/", self.form(system_prompt="rm -rf /")).status_code == 403
        assert editor.get(f"{page}/playground/").status_code == 403
        assert editor.post(f"{page}/playground/token/").status_code == 403
        assert editor.post(f"{page}/clone/", {"name": "clone", "_form_submitted": "1"}).status_code == 403
        assert editor.post(f"{page}/history/{version}/restore/", {"prompt": "1"}).status_code == 403

    def test_brings_no_program_back_from_the_history(self, editor: Client, rows: dict[str, Any]) -> None:
        agent = Agent.objects.get(pk=rows["agents_agent"])
        agent.tools = ["shell"]
        agent.save()
        version = changes_of(Agent).latest("history_id").history_id
        agent.tools = []
        agent.save()
        page = f"/admin/agents/agent/{agent.pk}"

        assert editor.post(f"{page}/history/{version}/restore/").status_code == 403
        assert editor.post(f"{page}/playground/token/?version={version}").status_code == 403
        agent.refresh_from_db()
        assert agent.tools == []

    def test_imports_no_program(self, admin_client: Client, editor: Client, rows: dict[str, Any]) -> None:
        agent = Agent.objects.get(pk=rows["agents_agent"])
        agent.tools = ["shell"]
        agent.save()
        editor.force_login(User.objects.get(username="admin"))
        file = json.loads(editor.get(f"/admin/agents/agent/{agent.pk}/export/").content)
        agent.delete()
        editor.force_login(User.objects.get(username="agent-editor"))

        page = editor.post("/admin/agents/agent/import/", {"text": json.dumps(file), "confirmed": "1"})

        assert "Only an administrator may import agents that run programs: coder." in text(page)
        assert not Agent.objects.exists()


class TestAdministrator:
    def test_gives_an_agent_the_shell_and_sets_up_programs(self, client: Client, rows: dict[str, Any]) -> None:
        client.force_login(person(ADMINISTRATOR))
        none = {"mcp_tools-TOTAL_FORMS": 0, "mcp_tools-INITIAL_FORMS": 0}
        form = {**agent_form(name="made", tools=["shell"]), **none}
        assert client.post("/admin/agents/agent/add/", form).status_code == 302
        assert Agent.objects.get(name="made").tools == ["shell"]

    def test_reads_what_was_said_where_it_is_stored(self, client: Client, rows: dict[str, Any]) -> None:
        record = UsageRecord.objects.get()
        store({record.pk: Conversation([], "It is a secret.")})
        client.force_login(person(ADMINISTRATOR))

        assert "It is a secret." in text(client.get(f"/admin/agents/usagerecord/{record.pk}/change/"))


def test_roles_are_made_once_and_stay_as_they_are_changed() -> None:
    make_roles()
    viewers = Group.objects.get(name=VIEWER)
    viewers.permissions.clear()

    make_roles()

    assert Group.objects.count() == 3
    assert not viewers.permissions.exists()


def test_nobody_without_a_role_sees_anything(client: Client, rows: dict[str, Any]) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))

    assert client.get("/admin/agents/usagerecord/").status_code == 403
    assert ApiKey.objects.get().name not in client.get("/admin/").content.decode()
