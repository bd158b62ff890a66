import pytest
from django.test import Client

from agents.models import Agent, AgentFallback, Revision
from tests.agents.admin_cast import agent_form, errors, model, text

pytestmark = pytest.mark.django_db
LIST, ADD = "/admin/agents/agent/", "/admin/agents/agent/add/"


def test_an_agent_is_made_with_its_fallback_models_in_order(admin_client: Client) -> None:
    first, second, third = model("alpha"), model("beta"), model("gamma")
    form = agent_form(model=first.pk, system_prompt="You write code.", fallbacks=[third.pk, second.pk])

    assert admin_client.post(ADD, form).status_code == 302

    agent = Agent.objects.get(name="coder")
    assert (agent.model, agent.system_prompt) == (first, "You write code.")
    assert [fallback.model for fallback in AgentFallback.objects.filter(agent=agent)] == [third, second]


def test_an_agent_has_the_tools_that_are_ticked_and_no_others_exist(admin_client: Client) -> None:
    admin_client.post(ADD, agent_form(tools=["agent_ask"]))
    assert Agent.objects.get().tools == ["agent_ask"]

    refused = admin_client.post(ADD, agent_form(name="other", tools=["no_such_tool"]))
    assert errors(refused) == ["Select a valid choice. no_such_tool is not one of the available choices."]

    page = f"{LIST}{Agent.objects.get().pk}/change/"
    admin_client.post(page, agent_form())
    assert Agent.objects.get().tools == []


def test_a_name_in_capitals_is_taken_in_small_letters(admin_client: Client) -> None:
    admin_client.post(ADD, agent_form(name=" Coder "))

    assert Agent.objects.get().name == "coder"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "taken"}, "There is an agent of this name already: clients choose agents by name."),
        ({"name": "TAKEN"}, "There is an agent of this name already: clients choose agents by name."),
        ({"name": ""}, "An agent needs a name: clients ask for it as the model openfang:NAME."),
        (
            {"name": "my agent"},
            "Use 1 to 64 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit.",
        ),
        (
            {"name": "0b0e1d4c-5a0c-4a52-9d3f-3b7f6f9a0001"},
            "A name must not be a UUID: clients use UUIDs to address agents by id.",
        ),
        ({"temperature": "3"}, "Ensure this value is less than or equal to 2."),
    ],
)
def test_a_bad_field_is_refused_in_words(admin_client: Client, fields: dict[str, str], message: str) -> None:
    Agent.objects.create(name="taken")

    response = admin_client.post(ADD, agent_form(**fields))

    assert errors(response) == [message]
    assert message in text(response).replace("&#x27;", "'")
    assert Agent.objects.count() == 1


def test_more_tokens_than_the_model_writes_are_refused(admin_client: Client) -> None:
    small = model(max_output_tokens=8192)

    response = admin_client.post(ADD, agent_form(model=small.pk, max_tokens=10_000))

    assert errors(response) == ["alpha writes at most 8,192 tokens in one call."]


def test_a_model_does_not_take_over_from_itself(admin_client: Client) -> None:
    alpha, beta = model("alpha"), model("beta")

    own = admin_client.post(ADD, agent_form(model=alpha.pk, fallbacks=[alpha.pk]))
    twice = admin_client.post(ADD, agent_form(model=alpha.pk, fallbacks=[beta.pk, beta.pk]))

    assert errors(own) == ["It is the agent's model already: choose another one to take over from it."]
    assert errors(twice) == ["This model is in the list twice."]
    assert not Agent.objects.exists()


def test_the_list_names_the_model_or_the_default_that_stands_for_it(admin_client: Client, settings: object) -> None:
    settings.OPENFANG_DEFAULT_MODEL = "beta"  # type: ignore[attr-defined]
    Agent.objects.create(name="chooses", model=model("alpha"))
    Agent.objects.create(name="follows")
    model("beta")

    page = text(admin_client.get(LIST))

    assert "acme/alpha" in page
    assert "default (acme/beta)" in page


def test_the_model_picker_groups_by_provider_and_says_what_a_model_costs(admin_client: Client) -> None:
    model("alpha", context_window=128_000, prompt_price="0.25", completion_price="2")
    model("beta", "local", prompt_price=0, completion_price=0)

    page = admin_client.get(ADD).content.decode()

    assert '<optgroup label="acme — ACME_API_KEY is not set">' in page
    assert "acme/alpha · 128k context · $0.25 in, $2 out" in page
    assert "local/beta · free" in page


def test_chosen_agents_are_disabled_and_enabled_and_servers_are_told(admin_client: Client) -> None:
    chosen, other = Agent.objects.create(name="chosen"), Agent.objects.create(name="other")
    before = Revision.current()

    response = admin_client.post(LIST, {"action": "disable", "_selected_action": [str(chosen.pk)]}, follow=True)

    assert "1 agent disabled." in text(response)
    assert set(Agent.objects.filter(enabled=True)) == {other}
    assert Revision.current() > before

    admin_client.post(LIST, {"action": "enable", "_selected_action": [str(chosen.pk)]})
    assert Agent.objects.filter(enabled=True).count() == 2


def test_it_is_found_by_name_and_by_description(admin_client: Client) -> None:
    Agent.objects.create(name="coder", description="Writes programs.")
    Agent.objects.create(name="writer", description="Writes letters.")

    assert [agent.name for agent in admin_client.get(LIST, {"q": "letters"}).context["cl"].result_list] == ["writer"]
    assert [agent.name for agent in admin_client.get(LIST, {"q": "code"}).context["cl"].result_list] == ["coder"]


def test_the_address_of_no_agent_leads_to_the_start_page(admin_client: Client) -> None:
    page = admin_client.get(f"{LIST}nonsense/", follow=True)

    assert page.redirect_chain[-1][0] == "/admin/"
    assert "nonsense" in text(page)
