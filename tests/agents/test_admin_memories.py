"""What agents remember, as people see it: read and deleted, never written."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agents import playground
from agents.models import Agent, Memory
from agents.setup.roles import EDITOR, VIEWER, make_roles
from agents.tools.memory import stored_scope
from tests.agents.admin_cast import key, text
from tests.agents.test_admin_roles import person

pytestmark = pytest.mark.django_db
MaxQueries = Callable[[int], AbstractContextManager[Any]]
LIST = "/admin/agents/memory/"


def remembered(text: str, caller: str, agent: Agent | None = None, **fields: Any) -> Memory:
    agent = agent or Agent.objects.get_or_create(name="coder")[0]
    return Memory.objects.create(agent=agent, scope=stored_scope(caller), text=text, **fields)


def test_a_memory_is_shown_with_whose_it_is(admin_client: Client) -> None:
    boss = User.objects.get(username="admin")
    alice = key("alice")
    remembered("Likes tea.", f"key:{alice.pk}/u-17", key="drink")
    remembered("Tries things.", f"key:{playground.key_id(boss.pk)}/")
    remembered("Was here.", f"key:{uuid4()}/")
    remembered("Is local.", "address:127.0.0.1/")
    remembered("Is long.", f"address:127.0.0.1/{'x' * 300}")

    page = text(admin_client.get(LIST))

    for line in (
        "drink coder alice u-17",
        "Tries things. coder admin, in the playground —",
        "Was here. coder a key that is gone —",
        "Is local. coder the address 127.0.0.1 —",
        "Is long. coder a caller with a long name",
    ):
        assert line in page


def test_a_memory_is_read_and_deleted_and_not_written(admin_client: Client) -> None:
    memory = remembered("Likes tea.", "address:127.0.0.1/")
    own = f"{LIST}{memory.pk}"

    page = admin_client.get(f"{own}/change/")
    assert "Likes tea." in text(page)
    assert "_save" not in page.content.decode()
    assert f"{own}/history/" not in page.content.decode()
    assert admin_client.post(f"{own}/change/", {"text": "Likes coffee."}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403
    admin_client.post(f"{own}/delete/", {"post": "yes"})

    assert not Memory.objects.exists()


def test_memories_are_found_by_agent_and_by_text(admin_client: Client) -> None:
    writer = Agent.objects.create(name="writer")
    remembered("Likes tea.", "address:127.0.0.1/")
    remembered("Likes milk.", "address:127.0.0.1/", writer)

    by_agent = admin_client.get(LIST, {"agent__id__exact": str(writer.pk)})
    by_text = admin_client.get(LIST, {"q": "tea"})

    assert [memory.text for memory in by_agent.context["cl"].result_list] == ["Likes milk."]
    assert [memory.text for memory in by_text.context["cl"].result_list] == ["Likes tea."]


def test_the_list_asks_the_same_number_of_questions_however_long_it_is(
    admin_client: Client, django_assert_max_num_queries: MaxQueries
) -> None:
    remembered("first", f"key:{key('first').pk}/")
    with django_assert_max_num_queries(15) as few:
        admin_client.get(LIST)
    for number in range(30):
        agent = Agent.objects.create(name=f"agent-{number}")
        remembered("more", f"key:{key(f'key-{number}').pk}/", agent)

    with django_assert_max_num_queries(len(few)):
        response = admin_client.get(LIST)

    assert len(response.context["cl"].result_list) == 31


def test_editors_of_agents_read_and_delete_them_and_viewers_do_not(client: Client) -> None:
    make_roles()
    memory = remembered("Likes tea.", "address:127.0.0.1/")

    client.force_login(person(VIEWER))
    assert client.get(LIST).status_code == 403
    client.force_login(person(EDITOR))
    assert "Likes tea." in text(client.get(LIST))
    client.post(LIST, {"action": "delete_selected", "_selected_action": [memory.pk], "post": "yes"})

    assert not Memory.objects.exists()
