"""What the history keeps: every change, by whatever way it is made, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from agents.models import Agent, ApiKey, Budget, LanguageModel, McpServer, Provider, changes_of
from agents.models.changes import FIRST_KNOWN, SECRET_CHANGED
from agents.setup.catalog_rows import sync_catalog
from tests.agents.admin_cast import key, model

pytestmark = pytest.mark.django_db


def kept(row: Any) -> list[tuple[str, str, str]]:
    """The kind of each change of a row, the oldest first, with who made it and why."""
    versions = changes_of(type(row)).filter(id=row.pk).order_by("history_id").select_related("history_user")
    return [
        (
            version.history_type,
            version.history_user.username if version.history_user else "",
            version.history_change_reason or "",
        )
        for version in versions
    ]


def test_keys_that_are_revoked_together_each_have_it_in_their_history(admin_client: Client) -> None:
    alice, bob, gone = key("alice"), key("bob"), key("gone")
    gone.revoke()

    form = {"action": "revoke_selected", "_selected_action": [alice.pk, bob.pk, gone.pk]}
    admin_client.post("/admin/agents/apikey/", form)

    for revoked in (alice, bob):
        assert kept(revoked) == [("+", "", ""), ("~", "admin", "")]
    assert kept(gone) == [("+", "", ""), ("~", "", "")]
    assert not ApiKey.objects.filter(revoked_at=None).exists()


def test_agents_that_are_disabled_together_each_have_it_in_their_history(admin_client: Client) -> None:
    agents = [Agent.objects.create(name=name) for name in ("coder", "writer")]

    form = {"action": "disable", "_selected_action": [agent.pk for agent in agents]}
    admin_client.post("/admin/agents/agent/", form)

    assert [kept(agent)[1:] for agent in agents] == [[("~", "admin", "")]] * 2


def test_rows_that_are_deleted_together_each_have_it_in_their_history(admin_client: Client) -> None:
    servers = [McpServer.objects.create(name=name, url="http://mcp.test") for name in ("one", "two")]

    form = {"action": "delete_selected", "_selected_action": [server.pk for server in servers], "post": "yes"}
    admin_client.post("/admin/agents/mcpserver/", form)

    assert not McpServer.objects.exists()
    for server in servers:
        assert [(kind, who) for kind, who, _ in kept(server)] == [("+", ""), ("-", "admin")]


def test_a_command_is_named_in_the_history_of_what_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("key", "create", "alice", "--budget", "5/month")
    call_command("key", "rotate", "alice")
    call_command("key", "revoke", "alice")
    alice, budget = ApiKey.objects.get(), Budget.objects.get()
    call_command("budget", "set", "6", "--key", "alice")
    call_command("budget", "remove", "--key", "alice")
    call_command("spawn", "coder")

    assert kept(alice) == [
        ("+", "", "openfang key create"),
        ("~", "", f"openfang key rotate: {SECRET_CHANGED}"),
        ("~", "", "openfang key revoke"),
    ]
    assert kept(budget) == [
        ("+", "", "openfang key create"),
        ("~", "", "openfang budget set"),
        ("-", "", "openfang budget remove"),
    ]
    assert kept(Agent.objects.get()) == [("+", "", "openfang spawn")]


def test_what_is_done_after_a_command_is_not_said_to_be_its_work() -> None:
    call_command("key", "create", "alice")

    assert kept(key("bob")) == [("+", "", "")]


def test_a_save_that_changes_nothing_leaves_nothing(admin_client: Client) -> None:
    alice = key("alice", owner="Platform")
    budget = Budget.objects.create(api_key=alice, limit=10**12)

    form = {"name": "alice", "owner": "Platform"}
    assert admin_client.post(f"/admin/agents/apikey/{alice.pk}/change/", form).status_code == 302
    budget.save()

    assert (len(kept(alice)), len(kept(budget))) == (1, 1)


def test_the_first_change_of_a_row_from_the_catalog_shows_what_it_was() -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")
    was = groq.base_url
    assert kept(groq) == []

    groq.base_url = "https://groq.test/v1"
    groq.save()

    assert kept(groq) == [("+", "", FIRST_KNOWN), ("~", "", "")]
    versions = changes_of(Provider).filter(id=groq.pk).order_by("history_id")
    assert [version.base_url for version in versions] == [was, "https://groq.test/v1"]


def test_that_a_providers_key_was_changed_is_kept_and_the_key_is_not(admin_client: Client) -> None:
    provider = Provider.objects.create(name="acme", base_url="https://acme.test/v1")

    provider.keep_key("sk-one")
    provider.save(update_fields=["encrypted_api_key"])
    provider.base_url = "https://elsewhere.test/v1"
    provider.keep_key("sk-two")
    provider.save()
    provider.base_url = "https://acme.test/v1"
    provider.save()

    assert kept(provider) == [("+", "", ""), ("~", "", SECRET_CHANGED), ("~", "", SECRET_CHANGED), ("~", "", "")]
    assert "encrypted_api_key" not in [column.name for column in changes_of(Provider).model._meta.fields]


def test_an_update_of_some_columns_is_a_change_of_those_only() -> None:
    alpha = model("alpha")
    LanguageModel.objects.filter(pk=alpha.pk).update(context_window=1000)

    alpha.context_window, alpha.max_output_tokens = 5, 10
    alpha.save(update_fields=["context_window"])

    assert LanguageModel.objects.filter(context_window=5, max_output_tokens=None).exists()
    assert len(kept(alpha)) == 2


def test_keys_that_are_used_have_no_history_of_it() -> None:
    alice = key("alice")

    ApiKey.objects.note_use(alice.pk, alice.created_at + timedelta(minutes=5))

    assert len(kept(alice)) == 1


def test_a_key_and_a_budget_have_a_page_of_their_history(admin_client: Client) -> None:
    alice = key("alice")
    alice.agents.add(Agent.objects.create(name="coder"))
    budget = Budget.objects.create(api_key=alice, limit=10 * 10**12)
    budget.limit = 20 * 10**12
    budget.save()

    of_key = admin_client.get(f"/admin/agents/apikey/{alice.pk}/history/").context["changes"]
    of_budget = admin_client.get(f"/admin/agents/budget/{budget.pk}/history/").context["changes"]

    assert [(d.label, d.before, d.after) for d in of_key[0].differences] == [("Agents", "all", "coder")]
    assert [(d.label, d.before, d.after) for d in of_budget[0].differences] == [("Limit", "$10.00", "$20.00")]
