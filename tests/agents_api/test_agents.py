"""/api/agents: made, listed, found by name or id, changed, cloned, disabled, deleted, brought back."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from agents.models import Agent, AgentFallback, McpServer, Revision, changes_of
from agents.profiles import load_profile
from tests.agents.admin_cast import model
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db


@pytest.fixture
def coder() -> Agent:
    agent = Agent.objects.create(
        name="coder", description="Writes code.", system_prompt="You write code.", model=model(), tools=["calculator"]
    )
    AgentFallback.objects.create(agent=agent, model=model("beta"))
    agent.mcp_tools.create(server=McpServer.objects.create(name="time", url="http://mcp.test/mcp"), tool="now")
    return agent


def shown(agent: Agent, **differently: Any) -> dict[str, Any]:
    written = agent.updated_at.isoformat().replace("+00:00", "Z")
    return {
        "id": str(agent.id),
        "name": "coder",
        "description": "Writes code.",
        "system_prompt": "You write code.",
        "model": "acme/alpha",
        "fallback_models": ["acme/beta"],
        "temperature": None,
        "top_p": None,
        "max_tokens": None,
        "max_llm_calls": 10,
        "max_tool_calls": 50,
        "run_timeout": 600,
        "honour_client_parameters": False,
        "tools": ["calculator"],
        "mcp_tools": [{"server": "time", "tool": "now"}],
        "tool_activity": "automatic",
        "workspace_per_key": False,
        "enabled": True,
        "created_at": agent.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": written,
        **differently,
    }


def test_an_agent_is_found_by_its_name_and_by_its_id(api: Caller, coder: Agent) -> None:
    assert api.get("/api/agents/coder").json() == shown(coder)
    assert api.get(f"/api/agents/{coder.id}").json() == shown(coder)
    assert api.get("/api/agents/CODER").json() == shown(coder)
    assert error(api.get("/api/agents/nobody"), 404) == {
        "message": "There is nothing of this name or id.",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }


def test_each_key_can_be_given_a_workspace(api: Caller, coder: Agent) -> None:
    answer = api.patch("/api/agents/coder", {"workspace_per_key": True})
    coder.refresh_from_db()
    assert answer.json() == shown(coder, workspace_per_key=True)
    assert error(api.patch("/api/agents/coder", {"workspace_per_key": "perhaps"}), 400)["param"] == "workspace_per_key"


def test_agents_are_listed_in_pages_and_searched(api: Caller, coder: Agent) -> None:
    for number in range(5):
        Agent.objects.create(name=f"helper-{number}", description="Helps." if number % 2 else "", enabled=number > 0)

    first = api.get("/api/agents", page_size=4).json()
    assert (first["total"], first["next"]) == (6, "/api/agents?page=2&page_size=4")
    second = api.get(first["next"]).json()
    assert second["next"] is None
    assert [agent["name"] for agent in first["data"] + second["data"]] == ["coder", *(f"helper-{n}" for n in range(5))]
    assert first["data"][0] == shown(coder)

    assert [agent["name"] for agent in api.get("/api/agents", search="HELPS").json()["data"]] == [
        "helper-1",
        "helper-3",
    ]
    assert [agent["name"] for agent in api.get("/api/agents", enabled="false").json()["data"]] == ["helper-0"]
    assert error(api.get("/api/agents", page=9), 400)["param"] == "page"
    assert error(api.get("/api/agents", enabled="perhaps"), 400)["param"] == "enabled"


def test_an_agent_is_made_and_served(api: Caller, coder: Agent) -> None:
    before = Revision.current()

    response = api.post(
        "/api/agents",
        {
            "name": "Writer",
            "model": "alpha",
            "fallback_models": ["acme/beta"],
            "tools": ["calculator"],
            "mcp_tools": [{"server": "time"}],
            "temperature": 0.5,
        },
    )

    assert response.status_code == 201
    made = Agent.objects.get(name="writer")
    assert response.json() == api.get("/api/agents/writer").json()
    assert (made.model, made.temperature, made.tools) == (coder.model, 0.5, ["calculator"])
    assert [str(fallback.model) for fallback in made.fallbacks.all()] == ["acme/beta"]
    assert [(chosen.server.name, chosen.tool) for chosen in made.mcp_tools.all()] == [("time", "")]
    assert Revision.current() > before
    assert changes_of(Agent).get(id=made.id).history_user == User.objects.get(username="boss")


def test_an_agent_is_made_from_a_profile(api: Caller) -> None:
    profile = load_profile("researcher")

    made = api.post("/api/agents", {"name": "r", "profile": "researcher", "description": "Mine."}).json()

    assert (made["description"], made["system_prompt"]) == ("Mine.", profile.system_prompt)
    assert (made["tools"], made["model"]) == (list(profile.tools), None)
    assert "profile" not in made
    assert error(api.patch("/api/agents/r", {"profile": "coder"}), 400)["param"] == "profile"


def test_only_what_is_given_is_changed(api: Caller, coder: Agent) -> None:
    changed = api.patch("/api/agents/coder", {"system_prompt": "You write poems.", "max_llm_calls": 3})

    coder.refresh_from_db()
    assert changed.json() == shown(coder, system_prompt="You write poems.", max_llm_calls=3)
    assert coder.system_prompt == "You write poems."
    version = changes_of(Agent).filter(id=coder.id).latest("history_id")
    assert (version.system_prompt, version.history_user.username) == ("You write poems.", "boss")


def test_parts_are_replaced(api: Caller, coder: Agent) -> None:
    gamma = model("gamma")

    changed = api.patch("/api/agents/coder", {"fallback_models": ["acme/gamma", "acme/beta"], "mcp_tools": []}).json()

    assert (changed["fallback_models"], changed["mcp_tools"]) == (["acme/gamma", "acme/beta"], [])
    assert coder.fallbacks.all()[0].model == gamma
    assert api.patch("/api/agents/coder", {"model": None}).json()["model"] is None
    assert api.patch("/api/agents/coder", {"mcp_tools": [{"server": "time"}]}).json()["mcp_tools"][0]["tool"] == ""
    assert error(api.patch("/api/agents/coder", {"mcp_tools": [{}]}), 400)["param"] == "mcp_tools[0].server"


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"name": "a b"}, "name", "Use 1 to 64 of a-z"),
        ({"name": "e6a5b1f0-5b53-4f5e-8d5d-0d9f0a7f2a11"}, "name", "must not be a UUID"),
        ({"name": "coder"}, "name", "already exists"),
        ({}, "name", "required"),
        ({"name": "x", "temprature": 1}, "temprature", "There is no such field"),
        ({"name": "x", "temperature": 3}, "temperature", "less than or equal to 2"),
        ({"name": "x", "temperature": "warm"}, "temperature", "valid number"),
        ({"name": "x", "max_llm_calls": 0}, "max_llm_calls", "greater than or equal to 1"),
        ({"name": "x", "model": "acme/nothing"}, "model", "There is no model 'acme/nothing'"),
        ({"name": "x", "model": "nowhere/alpha"}, "model", "There is no provider 'nowhere'"),
        ({"name": "x", "model": "small", "max_tokens": 2000}, "max_tokens", "writes at most 1,000 tokens"),
        ({"name": "x", "model": "small", "tools": ["calculator"]}, "tools", "cannot call tools"),
        ({"name": "x", "tools": ["calculator", "teleport"]}, "tools[1]", "not a valid choice"),
        ({"name": "x", "mcp_tools": [{"server": "time"}, {"server": "gone"}]}, "mcp_tools[1].server", "no MCP server"),
        ({"name": "x", "mcp_tools": [{"server": "time"}, {"server": "time"}]}, "mcp_tools[1]", "in the list twice"),
        ({"name": "x", "model": "alpha", "fallback_models": ["alpha"]}, "fallback_models[0]", "agent's model already"),
        ({"name": "x", "fallback_models": ["beta", "beta"]}, "fallback_models[1]", "in the list twice"),
        ({"name": "x", "profile": "wizard"}, "profile", "not a valid choice"),
        ([1], None, "Expected a dictionary"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    api: Caller, coder: Agent, body: Any, param: str | None, said: str
) -> None:
    model("small", max_output_tokens=1000, tools=False)

    found = error(api.post("/api/agents", body), 400)

    assert (found["param"], found["type"]) == (param, "invalid_request_error")
    assert said in found["message"]
    assert Agent.objects.get() == coder


def test_a_clone_differs_in_its_name_only(api: Caller, coder: Agent) -> None:
    clone = api.post("/api/agents/coder/clone", {"name": "coder-2"})

    assert clone.status_code == 201
    made = Agent.objects.get(name="coder-2")
    assert clone.json() == shown(made, name="coder-2")
    assert api.post("/api/agents/coder/clone").json()["name"] == "coder-copy"
    assert error(api.post("/api/agents/coder/clone", {"name": "coder-2"}), 400)["param"] == "name"


def test_an_agent_is_disabled_and_enabled(api: Caller, coder: Agent) -> None:
    assert api.post("/api/agents/coder/disable").json()["enabled"] is False
    coder.refresh_from_db()
    assert not coder.enabled
    versions = changes_of(Agent).filter(id=coder.id).count()

    assert api.post("/api/agents/coder/disable").json()["enabled"] is False
    assert changes_of(Agent).filter(id=coder.id).count() == versions
    assert api.post("/api/agents/coder/enable").json()["enabled"] is True


def test_an_agent_is_deleted(api: Caller, coder: Agent) -> None:
    response = api.delete("/api/agents/coder")

    assert (response.status_code, response.content) == (204, b"")
    assert not Agent.objects.exists()
    assert changes_of(Agent).filter(id=coder.id).latest("history_id").history_user.username == "boss"


def test_the_history_tells_who_changed_what(api: Caller, coder: Agent) -> None:
    api.patch("/api/agents/coder", {"system_prompt": "You write poems.", "model": "acme/beta", "fallback_models": []})

    history = api.get("/api/agents/coder/history").json()

    assert (history["total"], history["next"]) == (2, None)
    changed, created = history["data"]
    assert (changed["action"], changed["user"], changed["reason"]) == ("changed", "boss", "")
    assert changed["changes"] == [
        {"field": "model", "before": "acme/alpha", "after": "acme/beta"},
        {"field": "system_prompt", "before": "You write code.", "after": "You write poems."},
    ]
    assert (created["action"], created["user"], created["changes"]) == ("created", None, [])
    first = api.get("/api/agents/coder/history", page_size=1).json()
    assert first["data"] == [changed]
    assert first["next"] == "/api/agents/coder/history?page=2&page_size=1"


def test_an_earlier_version_is_brought_back(api: Caller, coder: Agent) -> None:
    api.patch("/api/agents/coder", {"system_prompt": "You write poems.", "max_llm_calls": 3})
    first = api.get("/api/agents/coder/history").json()["data"][-1]["version"]

    prompt = api.post(f"/api/agents/coder/history/{first}/restore", {"prompt_only": True}).json()
    assert (prompt["system_prompt"], prompt["max_llm_calls"]) == ("You write code.", 3)
    whole = api.post(f"/api/agents/coder/history/{first}/restore").json()
    assert (whole["system_prompt"], whole["max_llm_calls"]) == ("You write code.", 10)
    newest = api.get("/api/agents/coder/history").json()["data"][0]
    assert newest["user"] == "boss"
    assert newest["reason"].startswith("The version of ")
    assert error(api.post(f"/api/agents/coder/history/{first + 1000}/restore"), 404)["code"] == "not_found"


def test_a_version_whose_model_is_gone_is_not_brought_back(api: Caller, coder: Agent) -> None:
    api.patch("/api/agents/coder", {"model": None})
    first = api.get("/api/agents/coder/history").json()["data"][-1]["version"]
    model("alpha2")
    coder.fallbacks.all().delete()
    changes_of(Agent).filter(history_id=first).update(model_id=999_999)

    assert error(api.post(f"/api/agents/coder/history/{first}/restore"), 400)["param"] == "model"


def test_a_list_takes_the_same_number_of_queries_however_long_it_is(
    api: Caller, coder: Agent, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(15) as asked:
        api.get("/api/agents")
        few = len(asked)
    for number in range(10):
        api.post(
            "/api/agents", {"name": f"a{number}", "fallback_models": ["acme/beta"], "mcp_tools": [{"server": "time"}]}
        )
        api.patch("/api/agents/coder", {"max_llm_calls": number + 20})

    with django_assert_max_num_queries(few):
        assert len(api.get("/api/agents").json()["data"]) == 11
    with django_assert_max_num_queries(15):
        assert len(api.get("/api/agents/coder/history").json()["data"]) == 11


def test_profiles_are_listed(api: Caller) -> None:
    found = api.get("/api/profiles").json()["data"]

    assert {"name", "description", "system_prompt", "temperature", "tools"} == set(found[0])
    assert "researcher" in [profile["name"] for profile in found]
