"""The audit log: who changed what, of everything that administrators change."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from agents.admin.audit_query import KINDS, PER_PAGE, SOURCES
from agents.models import (
    Agent,
    AgentFallback,
    AgentMcpTool,
    ApiKey,
    Budget,
    McpServer,
    ModelPrice,
    Period,
    Provider,
    Unit,
    changes_of,
)
from agents.models.changes import FIRST_KNOWN, SECRET_CHANGED, WATCHED
from agents.setup.catalog_rows import sync_catalog
from agents.setup.roles import ADMINISTRATOR, EDITOR, VIEWER, make_roles
from tests.agents.admin_cast import agent_form, key, model, text
from tests.agents.test_admin_roles import person

pytestmark = pytest.mark.django_db
MaxQueries = Callable[[int], AbstractContextManager[Any]]
LOG = "/admin/audit/"
NOBODY = "unknown"
DAY = datetime(2026, 11, 20, tzinfo=UTC)


def entries(response: Any) -> list[str]:
    """Each entry in one line: who did what to which thing, and what is different now."""
    return [line(entry) for entry in response.context["entries"]]


def line(entry: Any) -> str:
    thing = f"{entry.kind} {entry.name}" + (f": {entry.part}" if entry.part else "")
    changed = [
        f"{found.label}: {found.counted or ' -> '.join(filter(None, [found.before, found.after]))}"
        for found in entry.differences
    ]
    return "; ".join([f"{entry.who} {entry.verb} {thing}", *changed])


def dated(table: type[Any], moment: datetime) -> None:
    changes_of(table).update(history_date=moment)


@pytest.fixture
def coder() -> Agent:
    return Agent.objects.create(name="coder", system_prompt="Be short.\nBe good.")


def test_changes_of_every_kind_are_told_newest_first(admin_client: Client, coder: Agent) -> None:
    alpha, server = model("alpha"), McpServer.objects.create(name="time", url="http://mcp.test/mcp")
    AgentFallback.objects.create(agent=coder, model=alpha)
    AgentMcpTool.objects.create(agent=coder, server=server, tool="now")
    issued = key("alice", owner="Platform")
    issued.agents.add(coder)
    budget = Budget.objects.create(api_key=issued, limit=10 * 10**12)
    budget.limit = 20 * 10**12
    budget.save()
    Budget.objects.create(limit=50_000, unit=Unit.TOKENS, period=Period.DAY)
    alpha.prompt_price = Decimal("0.25")
    alpha.save()
    ModelPrice.objects.create(model=alpha, prompt_price=Decimal("0.5"), holds_from=DAY)

    found = entries(admin_client.get(LOG))

    assert [entry.removeprefix(f"{NOBODY} ") for entry in found] == [
        "created Language model acme/alpha: price; Holds from: 20\xa0Nov\xa02026, 00:00\xa0UTC; Prompt: $0.50",
        "changed Language model acme/alpha; Prompt price: — -> $0.25",
        "created Budget this server, Day, Tokens; Limit: 50,000 tokens",
        "changed Budget alice, Month, US dollars; Limit: $10.00 -> $20.00",
        "created Budget alice, Month, US dollars; Limit: $10.00",
        "changed API key alice; Agents: all -> coder",
        f"created API key alice; Owner: Platform; Prefix: {issued.prefix}",
        "created Agent coder: MCP tool time, now",
        "created Agent coder: fallback model acme/alpha",
        "created MCP server time; URL: http://mcp.test/mcp",
        "created Language model acme/alpha",
        "created Provider acme; Base URL: https://acme.test/v1; Key variable: ACME_API_KEY",
        "created Agent coder; System prompt: 2 lines added",
    ]


def test_everything_whose_changes_are_kept_is_in_the_log() -> None:
    assert {source.table for source in SOURCES} == set(WATCHED)
    assert {source.kind for source in SOURCES} == set(KINDS)


def test_somebody_in_the_admin_is_named_and_so_is_a_command(admin_client: Client, coder: Agent) -> None:
    admin_client.post(f"/admin/agents/agent/{coder.pk}/change/", agent_form(description="Writes code."))
    call_command("budget", "set", "5", "--agent", "coder")

    command, boss, _ = admin_client.get(LOG).context["entries"]
    call_command("key", "create", "alice")
    call_command("key", "rotate", "alice")
    rotated = admin_client.get(LOG).context["entries"][0]

    assert (command.who, command.verb, command.name) == ("openfang budget set", "created", "coder, Month, US dollars")
    assert (rotated.who, rotated.why, rotated.name) == ("openfang key rotate", SECRET_CHANGED, "alice")
    assert (boss.who, boss.verb, boss.name) == ("admin", "changed", "coder")
    assert ("Description", "—", "Writes code.") in [(d.label, d.before, d.after) for d in boss.differences]


def test_the_lines_of_a_prompt_that_changed_are_shown_and_are_text(admin_client: Client, coder: Agent) -> None:
    coder.system_prompt = "Be short.\n<script>alert(1)</script>"
    coder.save()

    response = admin_client.get(LOG)

    assert entries(response)[0].endswith("changed Agent coder; System prompt: 1 line added, 1 line removed")
    page = response.content.decode()
    assert "<del>Be good.</del><ins>&lt;script&gt;alert(1)&lt;/script&gt;</ins>" in page


def test_the_first_change_of_a_row_from_the_catalog_is_told_with_what_was_before(admin_client: Client) -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")
    was, groq.label = groq.label, "Fast"
    groq.save()

    assert entries(admin_client.get(LOG)) == [f"{NOBODY} changed Provider groq; Label: {was} -> Fast"]
    newest, first = admin_client.get(f"/admin/agents/provider/{groq.pk}/history/").context["changes"]
    assert (newest.verb, newest.who) == ("changed", NOBODY)
    assert (first.verb, first.who, first.why) == ("known", "", FIRST_KNOWN)


def test_each_entry_leads_to_the_thing_and_to_all_its_changes(admin_client: Client, coder: Agent) -> None:
    AgentFallback.objects.create(agent=coder, model=model())
    Agent.objects.create(name="writer")

    entry = admin_client.get(LOG, {"kind": "agent"}).context["entries"][-1]
    only = admin_client.get(entry.history_url)

    assert admin_client.get(entry.url).status_code == 200
    assert [found.name for found in only.context["entries"]] == ["coder", "coder"]


def test_what_is_deleted_is_seen_and_its_changes_stay(admin_client: Client, coder: Agent) -> None:
    own_budget = Budget.objects.create(agent=coder, limit=10**12)
    admin_client.post(f"/admin/agents/agent/{coder.pk}/delete/", {"post": "yes"})

    response = admin_client.get(LOG, {"kind": "agent"})
    deleted, created = response.context["entries"]
    assert (deleted.who, deleted.verb, deleted.name, deleted.url) == ("admin", "deleted", "coder", "")
    assert len(admin_client.get(created.history_url).context["entries"]) == 2
    lost = admin_client.get(LOG, {"kind": "budget", "object": str(own_budget.pk)}).context["entries"][0]
    assert (lost.verb, lost.name) == ("deleted", "coder (deleted), Month, US dollars")


class TestFilters:
    """All of them in the URL."""

    @pytest.fixture(autouse=True)
    def two_days(self, admin_client: Client, coder: Agent) -> None:
        """An agent of the 20th, and a key that somebody made in the admin on the 21st."""
        dated(Agent, DAY)
        admin_client.post("/admin/agents/apikey/add/", {"name": "alice"})
        dated(ApiKey, DAY + timedelta(days=1, hours=23, minutes=59, seconds=59))

    def test_by_kind(self, admin_client: Client) -> None:
        assert [entry.name for entry in admin_client.get(LOG, {"kind": "key"}).context["entries"]] == ["alice"]

    def test_by_person(self, admin_client: Client) -> None:
        boss = User.objects.get(username="admin")

        assert [entry.name for entry in admin_client.get(LOG, {"person": boss.pk}).context["entries"]] == ["alice"]
        assert [entry.name for entry in admin_client.get(LOG, {"person": "none"}).context["entries"]] == ["coder"]

    @pytest.mark.parametrize(
        ("days", "found"),
        [
            ({"from": "2026-11-21"}, ["alice"]),
            ({"to": "2026-11-20"}, ["coder"]),
            ({"to": "2026-11-21"}, ["alice", "coder"]),
            ({"from": "2026-11-20", "to": "9999-12-31"}, ["alice", "coder"]),
            ({"from": "2026-11-22"}, []),
        ],
    )
    def test_by_days(self, admin_client: Client, days: dict[str, str], found: list[str]) -> None:
        assert [entry.name for entry in admin_client.get(LOG, days).context["entries"]] == found

    def test_what_was_asked_for_is_in_the_form_again(self, admin_client: Client) -> None:
        page = admin_client.get(LOG, {"kind": "key", "person": "none", "from": "2026-11-01"}).content.decode()

        assert '<option value="key" selected>' in page
        assert '<option value="none" selected>' in page
        assert 'value="2026-11-01"' in page

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"kind": "dog"}, "There is no kind 'dog'."),
            ({"person": "x"}, "There is no person 'x'."),
            ({"person": "9" * 30}, "There is no person"),
            ({"from": "yesterday"}, "A day is written as 2026-11-22, not as 'yesterday'."),
            ({"kind": "agent", "object": "1"}, "There is no object '1'."),
            ({"object": "1"}, "There is no object '1'."),
            ({"before": "now"}, "There is no place 'now' in the log."),
        ],
    )
    def test_what_cannot_be_read_is_said(self, admin_client: Client, asked: dict[str, str], said: str) -> None:
        response = admin_client.get(LOG, asked)

        assert said in response.context["query"].refused[0]
        assert len(response.context["entries"]) in (1, 2)

    def test_numbers_that_no_row_has_find_nothing(self, admin_client: Client) -> None:
        assert admin_client.get(LOG, {"kind": "budget", "object": "9" * 30}).context["entries"] == []


class TestLength:
    def long_log(self) -> None:
        """Changes of three tables, many of them of one moment."""
        for number in range(PER_PAGE):
            agent = Agent.objects.create(name=f"agent-{number}")
            issued = key(f"key-{number}")
            issued.agents.add(agent)
            Budget.objects.create(api_key=issued, limit=number)
        for table in (Agent, ApiKey, Budget):
            dated(table, DAY)

    def test_pages_have_every_change_once(self, admin_client: Client) -> None:
        self.long_log()
        seen, url = [], LOG
        while url:
            response = admin_client.get(url)
            found = response.context["entries"]
            assert 0 < len(found) <= PER_PAGE
            seen += [(entry.kind, entry.name, entry.verb) for entry in found]
            url = response.context["older_url"]

        assert len(seen) == len(set(seen)) == 4 * PER_PAGE
        assert "Newest" in text(response)

    def test_a_page_asks_the_same_number_of_questions_however_long_the_log_is(
        self, admin_client: Client, django_assert_max_num_queries: MaxQueries
    ) -> None:
        agent = Agent.objects.create(name="coder", model=model())
        key().agents.add(agent)
        Budget.objects.create(agent=agent, limit=1).save()
        agent.name = "writer"
        agent.save()
        with django_assert_max_num_queries(40) as few:
            admin_client.get(LOG)
        self.long_log()

        with django_assert_max_num_queries(len(few)):
            response = admin_client.get(LOG)

        assert len(response.context["entries"]) == PER_PAGE


def test_no_secret_is_shown(admin_client: Client) -> None:
    issued, raw = ApiKey.objects.issue("alice")
    issued.refresh_from_db()
    digest = issued.digest
    rotated = issued.rotate(timedelta(hours=1))
    provider = Provider.objects.create(name="acme", base_url="https://acme.test/v1")
    provider.keep_key("sk-very-secret")
    provider.save()

    response = admin_client.get(LOG)

    page = response.content.decode()
    for secret in (raw, rotated, digest, issued.digest, "sk-very-secret"):
        assert secret not in page
    assert response.context["entries"][0].why == SECRET_CHANGED
    assert f"{NOBODY} changed API key alice; Prefix: {raw[:11]} -> {rotated[:11]}" in entries(response)


class TestWhoMaySeeIt:
    @pytest.mark.parametrize("role", [EDITOR, VIEWER])
    def test_nobody_else_and_it_is_not_offered(self, client: Client, role: str) -> None:
        make_roles()
        client.force_login(person(role))

        assert client.get(LOG).status_code == 403
        assert LOG not in client.get("/admin/").content.decode()

    def test_an_administrator_does(self, client: Client, coder: Agent) -> None:
        make_roles()
        client.force_login(person(ADMINISTRATOR))

        assert "coder" in text(client.get(LOG))
        assert f'href="{LOG}"' in client.get("/admin/").content.decode()

    def test_a_stranger_is_asked_to_log_in(self, client: Client) -> None:
        assert client.get(LOG)["Location"] == f"/admin/login/?next={LOG}"


def test_an_empty_log_says_what_will_be_in_it(admin_client: Client) -> None:
    assert "Nothing has been changed yet." in text(admin_client.get(LOG))
    assert "Nothing was changed that fits." in text(admin_client.get(LOG, {"kind": "agent"}))
