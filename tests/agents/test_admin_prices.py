"""Prices of models: from when they hold, what they were before, and who changed them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import Agent, LanguageModel, ModelPrice, Provider, UsageRecord, changes_of
from agents.snapshot import read_models
from tests.agents.admin_cast import errors, request, text

pytestmark = pytest.mark.django_db
MaxQueries = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture
def model() -> LanguageModel:
    provider = Provider.objects.create(name="acme", base_url="https://acme.test/v1")
    return LanguageModel.objects.create(provider=provider, name="alpha", prompt_price=1, completion_price=2)


def page_of(model: LanguageModel) -> str:
    return f"/admin/agents/languagemodel/{model.pk}/change/"


def save(client: Client, model: LanguageModel, **fields: Any) -> Any:
    """Save the model's form as nobody has touched it, but for `fields`."""
    unknown = {"tools": "unknown", "vision": "unknown", "reasoning": "unknown"}
    form = {"provider": model.provider_id, "name": model.name, "prompt_price": "1", "completion_price": "2"}
    prices = list(ModelPrice.objects.filter(model=model))
    inline: dict[str, Any] = {"prices-TOTAL_FORMS": len(prices), "prices-INITIAL_FORMS": len(prices)}
    for number, price in enumerate(prices):
        inline |= {f"prices-{number}-id": price.pk, f"prices-{number}-model": model.pk}
    response = client.post(page_of(model), {**unknown, **form, **inline, **fields})
    model.refresh_from_db()
    return response


def on(moment: Any) -> dict[str, str]:
    return {"prices_hold_from_0": f"{moment:%Y-%m-%d}", "prices_hold_from_1": f"{moment:%H:%M:%S}"}


def tomorrow() -> dict[str, str]:
    return on(timezone.now() + timedelta(days=1))


def let_it_be_time() -> None:
    ModelPrice.objects.filter(applied=False).update(holds_from=timezone.now())
    ModelPrice.objects.apply_due()


def shown(client: Client, model: LanguageModel) -> str:
    return text(client.get(page_of(model)))


def test_a_new_price_holds_at_once_and_the_old_one_is_remembered(admin_client: Client, model: LanguageModel) -> None:
    assert save(admin_client, model, prompt_price="1.5").status_code == 302

    assert (model.prompt_price, model.completion_price) == (Decimal("1.5"), Decimal(2))
    prices = ModelPrice.objects.filter(model=model)
    assert [(price.prompt_price, price.holds_from is None) for price in prices] == [(Decimal("1.5"), False), (1, True)]
    page = shown(admin_client, model)
    assert "(now) $1.50 — $2" in page
    assert "the first $1 — $2" in page


def test_a_price_to_come_holds_when_its_time_has_come(admin_client: Client, model: LanguageModel) -> None:
    save(admin_client, model, prompt_price="3", context_window="1000", **tomorrow())

    assert (model.prompt_price, model.context_window) == (Decimal(1), 1000)
    page = shown(admin_client, model)
    assert "(to come) $3 — $2" in page
    assert "the first (now) $1 — $2" in page
    ModelPrice.objects.apply_due()
    model.refresh_from_db()
    assert model.prompt_price == 1
    let_it_be_time()
    model.refresh_from_db()
    assert (model.prompt_price, model.completion_price) == (Decimal(3), Decimal(2))
    assert read_models()[model.pk].prices.prompt == 3
    assert "(now) $3 — $2" in shown(admin_client, model)


def test_many_prices_cost_no_more_questions_to_the_database(
    admin_client: Client, model: LanguageModel, django_assert_max_num_queries: MaxQueries
) -> None:
    def enter(count: int) -> None:
        for number in range(count):
            model.prompt_price = Decimal(number)
            ModelPrice.objects.save_model(model)

    enter(2)
    admin_client.get(page_of(model))
    with django_assert_max_num_queries(25) as few:
        admin_client.get(page_of(model))
    enter(30)
    with django_assert_max_num_queries(len(few) + 2):  # the pages of the list are counted, too
        admin_client.get(page_of(model))


def test_of_two_prices_that_are_due_the_later_one_holds(admin_client: Client, model: LanguageModel) -> None:
    save(admin_client, model, prompt_price="3", **tomorrow())
    save(admin_client, model, prompt_price="4", **on(timezone.now() + timedelta(days=2)))
    ModelPrice.objects.filter(prompt_price=3).update(holds_from=timezone.now() - timedelta(hours=2))
    ModelPrice.objects.filter(prompt_price=4).update(holds_from=timezone.now() - timedelta(hours=1))

    ModelPrice.objects.apply_due()

    model.refresh_from_db()
    assert model.prompt_price == 4
    assert not ModelPrice.objects.filter(applied=False).exists()


def test_the_prices_of_today_may_be_those_that_hold_again_later(admin_client: Client, model: LanguageModel) -> None:
    save(admin_client, model, prompt_price="1", **tomorrow())
    [to_come] = ModelPrice.objects.filter(applied=False)
    assert to_come.prompt_price == 1


def test_a_new_model_may_have_no_price_until_then(admin_client: Client, model: LanguageModel) -> None:
    unknown = {"tools": "unknown", "vision": "unknown", "reasoning": "unknown"}
    inline = {"prices-TOTAL_FORMS": 0, "prices-INITIAL_FORMS": 0}
    form = {"provider": model.provider_id, "name": "beta", "prompt_price": "5", **tomorrow(), **unknown, **inline}

    assert admin_client.post("/admin/agents/languagemodel/add/", form).status_code == 302

    beta = LanguageModel.objects.get(name="beta")
    assert beta.prompt_price is None
    let_it_be_time()
    beta.refresh_from_db()
    assert beta.prompt_price == 5


def test_a_price_to_come_can_be_taken_back_and_one_that_holds_cannot(
    admin_client: Client, model: LanguageModel
) -> None:
    save(admin_client, model, prompt_price="3", **tomorrow())
    both = {"prices-0-DELETE": "on", "prices-1-DELETE": "on"}

    assert save(admin_client, model, **both).status_code == 302

    [left] = ModelPrice.objects.filter(model=model)
    assert left.applied
    assert changes_of(ModelPrice).filter(history_type="-").get().history_user == User.objects.get(username="admin")
    let_it_be_time()
    model.refresh_from_db()
    assert model.prompt_price == 1


def test_no_price_holds_from_the_past(admin_client: Client, model: LanguageModel) -> None:
    response = save(admin_client, model, prompt_price="3", **on(timezone.now() - timedelta(days=1)))

    assert errors(response) == ["This moment has passed. Leave it empty for prices that hold from now on."]
    assert model.prompt_price == 1
    assert not ModelPrice.objects.exists()


def test_saving_without_a_new_price_notes_none(admin_client: Client, model: LanguageModel) -> None:
    save(admin_client, model, context_window="1000")
    assert model.context_window == 1000
    assert not ModelPrice.objects.exists()


def test_what_is_charged_stays_as_it_was_charged(admin_client: Client, model: LanguageModel) -> None:
    record = request(Agent.objects.create(name="coder", model=model), cost=Decimal("0.00123"))
    save(admin_client, model, prompt_price="100", completion_price="100")
    save(admin_client, model, prompt_price="200", completion_price="200", **tomorrow())
    let_it_be_time()

    assert UsageRecord.objects.get(pk=record.pk).cost == Decimal("0.00123")


def test_the_history_of_a_model_says_who_changed_its_price_and_when_it_changed_by_itself(
    admin_client: Client, model: LanguageModel
) -> None:
    save(admin_client, model, prompt_price="3")
    save(admin_client, model, prompt_price="3", completion_price="4", **tomorrow())
    let_it_be_time()

    changes = admin_client.get(f"/admin/agents/languagemodel/{model.pk}/history/").context["changes"]

    by_itself, by_admin, _ = changes
    assert by_admin.who == "admin"
    assert [found.label for found in by_admin.differences] == ["Prompt price"]
    assert [found.label for found in by_itself.differences] == ["Completion price"]
    assert by_itself.who.startswith("openfang start, with prices that hold from ")
    entered = changes_of(ModelPrice).filter(completion_price=4).latest()
    assert entered.history_user == User.objects.get(username="admin")


def test_prices_entered_on_the_providers_page_are_noted_too(admin_client: Client, model: LanguageModel) -> None:
    prefix = "language_models-0"
    row = {f"{prefix}-id": model.pk, f"{prefix}-provider": model.provider_id, f"{prefix}-name": "alpha"}
    added = {"language_models-1-name": "beta", "language_models-1-prompt_price": "4"}
    form = {
        **{"kind": "openai", "base_url": "https://acme.test/v1"},
        **{"language_models-TOTAL_FORMS": 2, "language_models-INITIAL_FORMS": 1},
        **{**row, f"{prefix}-prompt_price": "7", f"{prefix}-completion_price": "2", **added},
    }

    assert admin_client.post(f"/admin/agents/provider/{model.provider_id}/change/", form).status_code == 302

    model.refresh_from_db()
    assert model.prompt_price == 7
    assert [price.prompt_price for price in ModelPrice.objects.filter(model=model)] == [7, 1]
    assert LanguageModel.objects.get(name="beta").prompt_price == 4


def test_a_model_can_be_removed_on_the_providers_page(admin_client: Client, model: LanguageModel) -> None:
    row = {"language_models-0-id": model.pk, "language_models-0-provider": model.provider_id}
    form = {
        **{"kind": "openai", "base_url": "https://acme.test/v1", "language_models-0-name": "alpha"},
        **{"language_models-TOTAL_FORMS": 1, "language_models-INITIAL_FORMS": 1, **row},
        "language_models-0-DELETE": "on",
    }
    assert admin_client.post(f"/admin/agents/provider/{model.provider_id}/change/", form).status_code == 302
    assert not LanguageModel.objects.exists()
    [gone] = changes_of(LanguageModel).filter(history_type="-")
    assert gone.history_user == User.objects.get(username="admin")
