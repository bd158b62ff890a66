"""Who changed what: the history of agents and of all else that administrators change, and bringing a version back."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agents.admin.differences import line_differences
from agents.models import Agent, ApiKey, McpServer, Provider, Revision, changes_of
from agents.models.changes import WATCHED
from tests.agents.admin_cast import agent_form, model, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Agent:
    """Its prompt was changed twice, and its limits once."""
    agent = Agent.objects.create(name="coder", system_prompt="You write code.\nBe short.", max_llm_calls=5)
    agent.system_prompt = "You write code.\nBe polite."
    agent.save()
    agent.system_prompt, agent.max_llm_calls = "You write poems.", 9
    agent.save()
    return agent


def page_of(agent: Agent) -> str:
    return f"/admin/agents/agent/{agent.pk}/history/"


def version(agent: Agent, number: int) -> int:
    """The id of a version, counted from the first."""
    return int(changes_of(Agent).filter(id=agent.pk).order_by("history_id")[number].history_id)


def test_the_history_shows_what_was_changed_and_by_whom(admin_client: Client, agent: Agent) -> None:
    admin_client.post(f"/admin/agents/agent/{agent.pk}/change/", agent_form(description="Writes.", max_llm_calls=9))

    response = admin_client.get(page_of(agent))

    newest, third, second, first = response.context["changes"]
    assert (newest.who, third.who) == ("admin", "unknown")
    shown = {(found.label, found.before, found.after) for found in newest.differences}
    assert ("Description", "—", "Writes.") in shown
    assert [(found.label, found.before, found.after) for found in third.differences if not found.lines] == [
        ("LLM calls", "5", "9")
    ]
    assert second.differences[0].lines == [
        ("same", "You write code."),
        ("removed", "Be short."),
        ("added", "Be polite."),
    ]
    assert (first.verb, first.differences) == ("created", [])
    assert "<del>Be short.</del><ins>Be polite.</ins>" in response.content.decode()


def test_a_model_is_shown_by_its_name(admin_client: Client, agent: Agent) -> None:
    agent.model = model("alpha")
    agent.save()

    difference = admin_client.get(page_of(agent)).context["changes"][0].differences[0]

    assert (difference.label, difference.before, difference.after) == ("Model", "—", "acme/alpha")


def test_a_long_text_is_shown_around_its_changes_only() -> None:
    lines = [f"line {number}" for number in range(20)]

    found = list(line_differences("\n".join(lines), "\n".join([*lines[:10], "new", *lines[10:]])))

    assert found == [
        ("gap", "…"),
        ("same", "line 8"),
        ("same", "line 9"),
        ("added", "new"),
        ("same", "line 10"),
        ("same", "line 11"),
    ]


def test_a_prompt_is_restored_with_one_click_and_servers_are_told(admin_client: Client, agent: Agent) -> None:
    before = Revision.current()

    page = text(admin_client.post(f"{page_of(agent)}{version(agent, 0)}/restore/", {"prompt": "1"}, follow=True))

    agent.refresh_from_db()
    assert (agent.system_prompt, agent.max_llm_calls) == ("You write code.\nBe short.", 9)
    assert Revision.current() > before
    assert "The prompt of" in page
    newest = changes_of(Agent).filter(id=agent.pk).order_by("-history_id")[0]
    assert newest.history_user.username == "admin"
    assert newest.history_change_reason.startswith("The prompt of")


def test_a_version_is_restored_whole_but_for_whether_it_is_enabled(admin_client: Client, agent: Agent) -> None:
    Agent.objects.filter(pk=agent.pk).update(enabled=False)

    admin_client.post(f"{page_of(agent)}{version(agent, 0)}/restore/")

    agent.refresh_from_db()
    assert (agent.system_prompt, agent.max_llm_calls, agent.enabled) == ("You write code.\nBe short.", 5, False)


def test_a_version_whose_model_is_gone_is_not_restored(admin_client: Client, agent: Agent) -> None:
    gone = model("gone")
    agent.model = gone
    agent.save()
    agent.model = None
    agent.save()
    number = version(agent, 3)
    gone.delete()

    page = text(admin_client.post(f"{page_of(agent)}{number}/restore/", follow=True))

    assert "This version cannot be restored. model:" in page
    assert Agent.objects.get().model is None


def test_a_version_of_another_agent_is_not_restored(admin_client: Client, agent: Agent) -> None:
    other = Agent.objects.create(name="other")

    assert admin_client.post(f"{page_of(other)}{version(agent, 0)}/restore/").status_code == 404
    assert admin_client.get(f"{page_of(agent)}{version(agent, 0)}/restore/").status_code == 405


def test_a_page_of_the_history_asks_the_same_number_of_questions_however_long_it_is(
    admin_client: Client, agent: Agent, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(15) as few:  # type: ignore[operator]
        admin_client.get(page_of(agent))
    for number in range(30):
        agent.max_llm_calls = number + 10
        agent.save()

    with django_assert_max_num_queries(len(few)):  # type: ignore[operator]
        response = admin_client.get(page_of(agent))

    assert len(response.context["changes"]) == 20


def test_no_secret_is_kept_in_a_history() -> None:
    secret = ("digest", "secret", "encrypted", "token", "password")
    for table in WATCHED:
        columns = [field.name for field in changes_of(table).model._meta.concrete_fields]
        told = [name for name in columns if any(word in name for word in secret) and "tokens" not in name]
        assert told == [], table


def test_keys_and_providers_have_a_history_with_their_names(admin_client: Client) -> None:
    boss = User.objects.get(username="admin")
    provider = Provider.objects.create(name="acme", base_url="https://acme.test/v1")
    key, _ = ApiKey.objects.issue("alice")
    key.revoke()
    provider.delete()

    assert [row.history_type for row in changes_of(Provider).filter(name="acme")] == ["-", "+"]
    assert [row.revoked_at is None for row in changes_of(ApiKey).filter(name="alice")] == [False, True]
    assert boss.is_superuser


def test_what_a_server_notes_about_itself_is_no_change() -> None:
    server = McpServer.objects.create(name="time", url="http://mcp/mcp")

    server.tools = [{"name": "now"}]
    server.save(update_fields=["tools", "tools_stale"])

    assert changes_of(McpServer).count() == 1
