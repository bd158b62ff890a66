"""The form of an agent: what helps in filling it in, what it refuses, and what it remarks on."""

import pytest
from django.test import Client

from agents.models import Agent, AgentMcpTool, McpServer
from agents.profiles import load_profile
from agents.tools import BUILT_IN, sandbox
from tests.agents.admin_cast import agent_form, errors, model, text

pytestmark = pytest.mark.django_db
ADD = "/admin/agents/agent/add/"


def mcp_server(*tools: str) -> McpServer:
    listed = [{"name": name, "description": "", "parameters": {}} for name in tools]
    return McpServer.objects.create(name="time", url="http://mcp:8000/mcp", tools=listed)


def test_a_new_agent_leads_to_its_playground(admin_client: Client) -> None:
    response = admin_client.post(ADD, agent_form())

    assert response["Location"] == f"/admin/agents/agent/{Agent.objects.get().pk}/playground/"


def test_a_profile_fills_in_what_is_empty_where_there_is_no_script(admin_client: Client) -> None:
    coder = load_profile("coder")

    admin_client.post(ADD, agent_form(profile="coder", description="Mine."))

    agent = Agent.objects.get()
    assert (agent.description, agent.system_prompt) == ("Mine.", coder.system_prompt)
    assert agent.tools == list(coder.tools)


def test_what_a_script_has_filled_in_and_somebody_emptied_stays_empty(admin_client: Client) -> None:
    admin_client.post(ADD, agent_form(profile="coder", filled_in="1", system_prompt=""))

    assert (Agent.objects.get().system_prompt, Agent.objects.get().tools) == ("", [])


def test_every_profile_is_offered_with_what_it_is_for(admin_client: Client) -> None:
    page = text(admin_client.get(ADD))

    for name in ("assistant", "coder", "translator"):
        assert load_profile(name).description in page.replace("&#x27;", "'")


def test_every_built_in_tool_is_explained_and_the_shell_says_what_keeps_it_in(admin_client: Client) -> None:
    page = text(admin_client.get(ADD)).replace("&#x27;", "'")

    assert all(name in page for name in BUILT_IN)
    assert "agent_ask Ask another agent of this server a question and return its answer." in page
    assert sandbox.describe() in page


def test_a_tool_that_this_server_does_not_have_is_shown_and_kept_until_it_is_unticked(admin_client: Client) -> None:
    agent = Agent.objects.create(name="coder", tools=["calculator", "browse_web"])
    page = f"/admin/agents/agent/{agent.pk}/change/"

    shown = admin_client.get(page)
    assert "browse_web This server has no tool of that name" in text(shown)
    [box] = [tag for tag in shown.content.decode().split("<input") if 'value="browse_web"' in tag]
    assert "checked" in box.partition(">")[0]

    admin_client.post(page, agent_form(description="Codes.", tools=["calculator", "browse_web"]))
    agent.refresh_from_db()
    assert (agent.description, agent.tools) == ("Codes.", ["calculator", "browse_web"])

    admin_client.post(page, agent_form(description="Codes.", tools=["calculator"]))
    agent.refresh_from_db()
    assert agent.tools == ["calculator"]
    assert "browse_web" not in text(admin_client.get(page))


def test_a_tool_that_this_server_does_not_have_cannot_be_added(admin_client: Client) -> None:
    response = admin_client.post(ADD, agent_form(tools=["browse_web"]))

    assert "browse_web is not one of the available choices" in " ".join(errors(response))
    assert not Agent.objects.exists()


def test_tools_are_refused_for_a_model_that_is_known_to_call_none(admin_client: Client) -> None:
    small = model("small", tools=False)

    response = admin_client.post(ADD, agent_form(model=small.pk, tools=["calculator"]))

    assert errors(response) == ["small cannot call tools: choose another model, or give it no tools."]
    assert not Agent.objects.exists()


@pytest.mark.parametrize(("name", "part"), [("my-gpt", "gpt"), ("claude-helper", "claude"), ("gemini2", "gemini")])
def test_a_name_that_cursor_takes_for_another_providers_is_remarked_on(
    admin_client: Client, name: str, part: str
) -> None:
    page = text(admin_client.post(ADD, agent_form(name=name), follow=True))

    assert f"The name has “{part}” in it. Cursor takes such a name for a model of that provider" in page
    assert Agent.objects.filter(name=name).exists()


def test_what_the_models_of_an_agent_cannot_do_is_remarked_on(admin_client: Client) -> None:
    seeing, blind = model("seeing", vision=True, tools=True), model("blind", vision=False, tools=False)

    page = text(
        admin_client.post(ADD, agent_form(model=seeing.pk, tools=["calculator"], fallbacks=[blind.pk]), follow=True)
    )

    assert "blind sees no images and is left out of requests that have some." in page
    assert "blind cannot call tools and is left out when it would have to." in page


def test_tools_of_mcp_servers_are_chosen_one_by_one_or_all(admin_client: Client) -> None:
    server = mcp_server("get_time", "convert_time")

    admin_client.post(ADD, agent_form(name="one", mcp_tools=[f"{server.pk}:get_time"]))
    admin_client.post(ADD, agent_form(name="all", mcp_tools=[f"{server.pk}:"]))

    chosen = AgentMcpTool.objects.values_list("agent__name", "server__name", "tool")
    assert set(chosen) == {("one", "time", "get_time"), ("all", "time", "")}


def test_an_mcp_tool_is_chosen_once(admin_client: Client) -> None:
    server = mcp_server("get_time")
    one, everything = f"{server.pk}:get_time", f"{server.pk}:"

    twice = admin_client.post(ADD, agent_form(mcp_tools=[one, one]))
    both = admin_client.post(ADD, agent_form(mcp_tools=[everything, one]))

    assert errors(twice) == ["This tool is in the list twice."]
    assert errors(both) == ["All the tools of this server are chosen already."]


def test_an_mcp_tool_that_the_server_no_longer_has_is_shown_as_gone(admin_client: Client) -> None:
    agent = Agent.objects.create(name="coder")
    AgentMcpTool.objects.create(agent=agent, server=mcp_server("get_time"), tool="old_tool")

    page = text(admin_client.get(f"/admin/agents/agent/{agent.pk}/change/"))

    assert "time: old_tool — gone: the server no longer lists it" in page
