"""The playground's way to an agent: its page, its pass through the API, and what it learns of a request."""

import time
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.test import Client

from agents import playground, transcripts
from agents.admin.playground import VERSIONS
from agents.history import PastTurn
from agents.models import Agent, Status, UsageStep, changes_of
from agents.transcripts import Origin, PastRun
from agents.types import FunctionCall, Message, ToolCall
from tests.agents.admin_cast import model, request, text
from tests.live import Live
from tests.live.asking import ask, content_of, row_of
from tests.upstream import Upstream


def page_of(agent: Agent, rest: str = "") -> str:
    return f"/admin/agents/agent/{agent.pk}/playground/{rest}"


@pytest.fixture
def agent(db: None) -> Agent:
    return Agent.objects.create(name="coder", system_prompt="You write code.")


@pytest.fixture
def boss(admin_client: Client) -> User:
    return User.objects.get(username="admin")


def used(agent: Agent, user: User, **fields: Any) -> Any:
    return request(agent, api_key_id=playground.key_id(user.pk), **fields)


def with_result(agent: Agent, record: Any, user: User) -> None:
    """Keep the result of a tool call, as the run does."""
    call = ToolCall("call_1", FunctionCall("calculator", "{}"))
    turn = PastTurn(Message("assistant", None, tool_calls=[call]), ["call_1"], {"call_1": "42"})
    origin = Origin(record.pk, agent.pk, f"key:{playground.key_id(user.pk)}", "", "")
    transcripts.save(origin, PastRun([turn]))
    UsageStep.objects.create(record=record, position=1, kind="tool", name="calculator", duration_ms=3)


def test_the_page_offers_earlier_versions_and_other_agents_to_compare_with(admin_client: Client, agent: Agent) -> None:
    Agent.objects.create(name="writer")
    Agent.objects.create(name="resting", enabled=False)
    agent.system_prompt = "You write poems."
    agent.save()

    response = admin_client.get(page_of(agent))

    targets = response.context["targets"]
    assert [target.label for target in targets["agents"]] == ["writer"]
    first = changes_of(Agent).filter(id=agent.pk).order_by("history_id")[0]
    assert [target.token for target in targets["versions"]] == [page_of(agent, f"token/?version={first.history_id}")]
    assert (targets["chosen"], targets["refused"]) == ("", False)


def test_what_an_agent_is_compared_with_is_in_the_url(admin_client: Client, agent: Agent) -> None:
    writer = Agent.objects.create(name="writer")
    agent.system_prompt = "You write poems."
    agent.save()
    first = changes_of(Agent).filter(id=agent.pk).order_by("history_id")[0]

    for code in (f"version-{first.history_id}", f"agent-{writer.pk}"):
        page = admin_client.get(page_of(agent), {"compare": code}).content.decode()
        [chosen] = [option for option in page.split("<option ") if "selected>" in option]
        assert f'value="{code}"' in chosen


def test_a_version_that_is_no_longer_offered_can_still_be_compared_by_its_link(
    admin_client: Client, agent: Agent
) -> None:
    for number in range(VERSIONS + 5):
        agent.max_llm_calls = number + 20
        agent.save()
    first = changes_of(Agent).filter(id=agent.pk).order_by("history_id")[0]
    code = f"version-{first.history_id}"

    offered = admin_client.get(page_of(agent)).context["targets"]["versions"]
    asked = admin_client.get(page_of(agent), {"compare": code}).context["targets"]

    assert code not in [target.code for target in offered]
    assert asked["versions"][-1].code == code
    assert not asked["refused"]


@pytest.mark.parametrize(
    "code", ["agent-1", "agent-00000000-0000-0000-0000-000000000000", "version-999999999", f"version-{'9' * 30}", "dog"]
)
def test_a_link_to_compare_with_what_is_gone_says_so(admin_client: Client, agent: Agent, code: str) -> None:
    page = admin_client.get(page_of(agent), {"compare": code})

    assert "What coder was to be compared with is gone or disabled." in text(page)
    assert "selected>" not in page.content.decode().partition('id="compare"')[2].partition("</select>")[0]


def test_the_page_asks_the_same_number_of_questions_however_much_there_is_to_compare(
    admin_client: Client, agent: Agent, django_assert_max_num_queries: Any
) -> None:
    agent.max_llm_calls = 20
    agent.save()
    Agent.objects.create(name="writer")
    with django_assert_max_num_queries(15) as few:
        admin_client.get(page_of(agent))
    for number in range(20):
        Agent.objects.create(name=f"other-{number}")
        agent.max_llm_calls = number + 30
        agent.save()

    with django_assert_max_num_queries(len(few)):
        targets = admin_client.get(page_of(agent)).context["targets"]

    assert (len(targets["versions"]), len(targets["agents"])) == (21, 21)


def test_the_page_of_a_disabled_agent_says_why_it_does_not_answer(admin_client: Client) -> None:
    resting = Agent.objects.create(name="resting", enabled=False, model=model(vision=False))

    page = text(admin_client.get(page_of(resting)))

    assert "This agent is disabled, so it does not answer." in page
    assert "Its model sees no images." in page


def test_a_pass_opens_one_agent_for_one_user_and_is_not_cached(admin_client: Client, agent: Agent, boss: User) -> None:
    response = admin_client.post(page_of(agent, "token/"))

    opened = playground.read(response.json()["token"])
    assert opened is not None
    assert (opened.name, opened.agent_ids, opened.version) == ("playground:admin", frozenset([agent.pk]), None)
    assert opened.id == playground.key_id(boss.pk)
    assert response.json()["model"] == "openfang:coder"
    assert "no-store" in response["Cache-Control"]


def test_a_pass_for_a_version_is_for_one_that_exists(admin_client: Client, agent: Agent) -> None:
    version = changes_of(Agent).get(id=agent.pk).history_id
    other = Agent.objects.create(name="other")

    minted = admin_client.post(page_of(agent, f"token/?version={version}")).json()["token"]

    opened = playground.read(minted)
    assert opened is not None
    assert opened.version == version
    for wrong in (page_of(agent, "token/?version=x"), page_of(other, f"token/?version={version}")):
        assert admin_client.post(wrong).status_code == 404


@pytest.mark.parametrize("superuser", [True, False])
def test_an_agent_that_is_tried_asks_others_only_for_somebody_who_may_run_programs(
    client: Client, agent: Agent, superuser: bool
) -> None:
    user = User.objects.create_user("tries", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_agent", "change_agent"]))
    client.force_login(user)

    opened = playground.read(client.post(page_of(agent, "token/")).json()["token"])

    running = playground.while_running(opened)
    assert opened is not None
    assert running is not None
    assert opened.agent_ids == frozenset([agent.pk])
    assert running.agent_ids == (None if superuser else frozenset([agent.pk]))


def test_a_pass_ends_after_ten_minutes_and_cannot_be_made_up(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    token = playground.mint(1, "boss", agent.pk, session_key="k")
    assert playground.read(token)

    assert playground.read(token[:-2] + "xx") is None
    assert (
        playground.read(playground.PREFIX + signing.dumps([1, "boss", agent.pk.hex, "k", None, True], salt="another"))
        is None
    )
    later = time.time() + playground.SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert playground.read(token) is None


def test_the_page_learns_what_a_request_has_used_and_what_its_tools_brought(
    admin_client: Client, agent: Agent, boss: User
) -> None:
    record = used(agent, boss)
    with_result(agent, record, boss)

    figures = admin_client.get(page_of(agent, f"requests/{record.pk}/")).json()

    assert figures["running"] is False
    assert figures["tokens"] == {"prompt": 1234, "completion": 56}
    assert figures["cost"] == "$0.00123"
    assert figures["tools"] == [{"name": "calculator", "duration": "3\N{NO-BREAK SPACE}ms", "error": ""}]
    assert figures["results"] == {"call_1": "42"}
    assert figures["url"] == f"/admin/agents/usagerecord/{record.pk}/change/"


def test_the_results_of_somebody_elses_request_are_not_shown(admin_client: Client, agent: Agent) -> None:
    other = User.objects.create_superuser("other")
    record = used(agent, other, status=Status.RUNNING)
    with_result(agent, record, other)

    figures = admin_client.get(page_of(agent, f"requests/{record.pk}/")).json()

    assert (figures["running"], figures["results"], figures["cost"]) == (True, {}, "")
    assert admin_client.get(page_of(agent, f"requests/{uuid4()}/")).status_code == 404


SIGNED_IN = "from agents.sessions import SessionStore; s = SessionStore(); s['_auth_user_id'] = '7'; s.save(); "


def minted(live: Live, name: str, version: str = "None", *, session: str = f"{SIGNED_IN}key = s.session_key") -> str:
    code = (
        f"{session}\nfrom agents import playground\nfrom agents.models import Agent, changes_of\n"
        f"agent = Agent.objects.get(name={name!r})\n"
        f"print(playground.mint(7, 'boss', agent.pk, {version}, session_key=key))"
    )
    return live.manage("shell", "--no-imports", "-c", code).stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "session", ["key = 'made-up'", "key = ''", f"{SIGNED_IN}key = s.session_key; s.flush()"], ids=str
)
def test_the_secret_key_alone_makes_no_pass_and_signing_out_ends_one(live: Live, session: str) -> None:
    response = ask(live, "openfang:coder", key=minted(live, "coder", session=session))

    assert response.status_code == 401
    assert response.json()["error"] == {
        "message": "You have signed out of the admin. Sign in and reload the page.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


def test_the_api_answers_a_pass_on_a_server_with_keys_and_notes_who_asked(guarded: Live, upstream: Upstream) -> None:
    upstream.says("Hello")

    response = ask(guarded, "openfang:coder", key=minted(guarded, "coder"))

    assert content_of(response) == "Hello"
    assert row_of(guarded, response)["api_key_name"] == "playground:boss"


def test_a_pass_opens_no_other_agent(guarded: Live) -> None:
    response = ask(guarded, "openfang:listener", key=minted(guarded, "coder"))

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_a_pass_that_is_too_old_is_refused_even_where_no_key_is_needed(live: Live) -> None:
    response = ask(live, "openfang:coder", key="playground.too-old")

    assert response.status_code == 401
    assert response.json()["error"]["message"] == (
        "The playground's token has expired. Reload the page to get another one."
    )


def test_an_earlier_version_answers_in_the_place_of_its_agent(server: Live, upstream: Upstream) -> None:
    upstream.says("As before")
    change = "from agents.models import Agent; a = Agent.objects.get(name='coder'); a.system_prompt = 'New.'; a.save()"
    server.manage("shell", "--no-imports", "-c", change)
    first = "changes_of(Agent).filter(id=agent.pk).order_by('history_id')[0].history_id"

    response = ask(server, "openfang:coder", key=minted(server, "coder", first))

    assert content_of(response) == "As before"
    assert upstream.asked[-1]["messages"][0] == {"role": "system", "content": "You write code."}
