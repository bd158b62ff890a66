"""What budgets hold, count and give back, run by run, without a server around them."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from agents.errors import BudgetExceeded
from agents.limits.budgets import Amounts, BudgetSpec, Hold, enter, extend
from agents.limits.periods import settle_lost
from agents.limits.turns import own_turn
from agents.models import Budget, BudgetPeriod, Period, Reservation, StepKind, Unit, UsageStep
from agents.models.money import PICO
from agents.types import ModelSpec, Prices, PromptEstimate, ProviderSpec
from agents.usage.spending import Spending, output_cap

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
SCRIPTED = ProviderSpec("scripted", "Scripted", "openai", "http://127.0.0.1:9/v1")
PRICED = ModelSpec("priced", SCRIPTED, prices=Prices(Decimal(2), None, Decimal(8)))
UNPRICED = ModelSpec("unpriced", SCRIPTED)


def budget(limit: int = 1000, unit: Unit = Unit.TOKENS, period: Period = Period.DAY) -> BudgetSpec:
    row = Budget.objects.create(limit=limit, unit=unit, period=period)
    return BudgetSpec(row.pk, row.whose, period, unit)


def hold(*budgets: BudgetSpec, tokens: int = 0, usd: int = 0, began: datetime = NOON) -> Hold:
    return Hold(uuid.uuid4(), began, budgets, Amounts(tokens, usd))


def reserved(*holds: Hold) -> list[bool]:
    with own_turn() as cursor:
        enter(cursor, begun=holds)
    return [hold.refusal is None for hold in holds]


def used(held: Hold, amounts: Amounts) -> None:
    held.used = amounts
    with own_turn() as cursor:
        enter(cursor, ended=[held])


def standing(spec: BudgetSpec) -> tuple[int, int]:
    row = BudgetPeriod.objects.get(budget=spec.id)
    return row.spent, row.reserved


@pytest.mark.parametrize(
    ("period", "moment", "start", "end"),
    [
        (Period.DAY, "2026-12-31T23:59:59", "2026-12-31", "2027-01-01"),
        (Period.DAY, "2028-02-28T00:00:00", "2028-02-28", "2028-02-29"),
        (Period.MONTH, "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        (Period.MONTH, "2027-01-31T00:00:00", "2027-01-01", "2027-02-01"),
        (Period.MONTH, "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_are_days_and_months_of_utc(period: Period, moment: str, start: str, end: str):
    begun = period.start(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert f"{begun:%Y-%m-%d %H:%M}" == f"{start} 00:00"
    assert f"{period.end(begun):%Y-%m-%d %H:%M}" == f"{end} 00:00"


def test_the_last_that_fits_is_admitted_and_the_next_is_not():
    spec = budget(1000)
    assert reserved(hold(spec, tokens=600), hold(spec, tokens=400), hold(spec, tokens=1)) == [True, True, False]
    assert standing(spec) == (0, 1000)


def test_what_does_not_fit_leaves_nothing_behind_in_any_budget():
    wide, narrow = budget(10_000), budget(100, unit=Unit.USD)
    assert reserved(hold(wide, narrow, tokens=500, usd=101)) == [False]
    assert standing(wide) == (0, 0)
    assert not Reservation.objects.exists()


def test_what_was_not_used_can_be_used_by_others():
    spec = budget(1000)
    first = hold(spec, tokens=1000)
    reserved(first)
    used(first, Amounts(tokens=300))
    assert standing(spec) == (300, 0)
    assert reserved(hold(spec, tokens=701), hold(spec, tokens=700)) == [False, True]


def test_the_refusal_says_whose_budget_it_is_and_when_it_resets():
    late = hold(budget(10, period=Period.MONTH), tokens=11)
    reserved(late)
    assert str(late.refusal) == (
        "The monthly budget of this server is used up: what is left does not cover this request. "
        "It resets at 2027-01-01 00:00 UTC."
    )


def test_a_new_period_begins_with_nothing_spent():
    spec = budget(1000)
    yesterday = hold(spec, tokens=1000)
    reserved(yesterday)
    used(yesterday, Amounts(tokens=1000))
    tomorrow = NOON.replace(year=2027, month=1, day=1)
    assert reserved(hold(spec, tokens=1), hold(spec, tokens=1000, began=tomorrow)) == [False, True]


def test_a_run_over_midnight_counts_for_the_day_it_began_in():
    spec = budget(1000)
    long = hold(spec, tokens=100)
    reserved(long, hold(spec, tokens=50, began=NOON.replace(year=2027, month=1, day=1)))
    used(long, Amounts(tokens=70))
    days = BudgetPeriod.objects.order_by("start").values_list("spent", "reserved")
    assert list(days) == [(70, 0), (0, 50)]


def test_a_run_may_go_on_as_long_as_the_budget_covers_it():
    spec = budget(1000)
    run = hold(spec, tokens=400)
    reserved(run, hold(spec, tokens=300))
    assert extend(run, Amounts(tokens=700)) is None
    assert standing(spec) == (0, 1000)
    assert isinstance(extend(run, Amounts(tokens=701)), BudgetExceeded)
    assert standing(spec) == (0, 1000)
    used(run, Amounts(tokens=650))
    assert standing(spec) == (650, 300)


def test_lost_runs_give_back_what_they_held_but_for_the_prompt():
    spec = budget(1000)
    lost, living = hold(spec, tokens=600), hold(spec, tokens=400)
    lost.least = Amounts(tokens=250)
    reserved(lost, living)
    with own_turn() as cursor:
        settle_lost(cursor, {lost.record_id: False, uuid.uuid4(): False})
    assert standing(spec) == (250, 400)
    # It was taken for lost and was not: what it has used counts in place of what was assumed.
    lost.charged = lost.least
    used(lost, Amounts(tokens=260))
    assert standing(spec) == (260, 400)


def test_what_a_lost_run_cost_at_an_assumed_price_is_counted_as_assumed():
    dollars, tokens = budget(1000, unit=Unit.USD), budget(1000)
    lost = hold(dollars, tokens, tokens=60, usd=600)
    lost.least = Amounts(20, 200, 200)
    reserved(lost)
    with own_turn() as cursor:
        settle_lost(cursor, {lost.record_id: True})
    rows = BudgetPeriod.objects.order_by("budget_id").values_list("spent", "reserved", "assumed")
    assert list(rows) == [(200, 0, 200), (20, 0, 0)]


def test_what_costs_nothing_is_not_refused():
    spec = budget(100, unit=Unit.USD)
    run = hold(spec, usd=100)
    reserved(run)
    used(run, Amounts(usd=150))
    assert reserved(hold(spec, tokens=5000, usd=0), hold(spec, usd=1)) == [True, False]


def test_a_budget_that_is_gone_refuses_nothing():
    spec = budget(1)
    run = hold(spec, tokens=1)
    reserved(run)
    Budget.objects.all().delete()
    used(run, Amounts(tokens=1))
    assert reserved(hold(spec, tokens=1000)) == [True]


def spending(*models: ModelSpec, unit: Unit = Unit.USD, cap: int = 100) -> Spending:
    spec = BudgetSpec(1, "this server", Period.DAY, unit)
    return Spending((spec,), models, cap, Prices(Decimal(3), None, Decimal(9)))


QUESTION = PromptEstimate(6)


def test_a_run_reserves_the_prompt_and_the_cap_at_the_dearest_price():
    cheap = ModelSpec("cheap", SCRIPTED, prices=Prices(Decimal(1), None, Decimal(1)))
    run = spending(cheap, PRICED).hold(uuid.uuid4(), NOON, QUESTION)
    assert (run.reserved.tokens, run.reserved.usd) == (106, 6 * 2_000_000 + 100 * 8_000_000)
    assert run.least == Amounts(6, 6 * 1_000_000)


def test_a_later_call_reserves_at_the_price_of_its_model():
    cheap = ModelSpec("cheap", SCRIPTED, prices=Prices(Decimal(1), None, Decimal(1)))
    amounts = spending(cheap, PRICED).next_call(QUESTION, cheap)
    assert (amounts.tokens, amounts.usd) == (106, 106 * 1_000_000)


def test_a_model_that_counts_more_reserves_more():
    eager = structs.replace(PRICED, token_correction=2.5)
    run = spending(PRICED, eager).hold(uuid.uuid4(), NOON, QUESTION)
    assert (run.reserved.tokens, run.reserved.usd) == (115, 15 * 2_000_000 + 100 * 8_000_000)
    assert spending(eager).hold(uuid.uuid4(), NOON, QUESTION).least == Amounts(15, 15 * 2_000_000)


@pytest.mark.parametrize(("known", "cap"), [(16_000, 16_000), (None, 4096)])
def test_without_a_cap_of_the_agent_the_models_counts(known: int | None, cap: int):
    model = ModelSpec("model", SCRIPTED, max_output_tokens=known, prices=PRICED.prices)
    assert output_cap([model], None) == cap
    assert output_cap([model], 500) == 500


@pytest.mark.parametrize(("policy", "usd"), [("highest", 6 * 3_000_000 + 100 * 9_000_000), ("free", 0)])
def test_an_unknown_price_is_counted_as_set(settings, policy: str, usd: int):
    settings.OPENFANG_UNKNOWN_PRICE = policy
    run = spending(UNPRICED).hold(uuid.uuid4(), NOON, QUESTION)
    assert (run.reserved.tokens, run.reserved.usd) == (106, usd)
    step = UsageStep(kind=StepKind.LLM, prompt_tokens=6, completion_tokens=100, cost=None)
    assert spending(UNPRICED).used([step]) == Amounts(106, usd, usd)


def test_an_unknown_price_can_be_refused_but_not_for_a_budget_of_tokens(settings):
    settings.OPENFANG_UNKNOWN_PRICE = "refuse"
    with pytest.raises(BudgetExceeded, match="The price of the model 'unpriced' is unknown"):
        spending(PRICED, UNPRICED).hold(uuid.uuid4(), NOON, QUESTION)
    assert spending(UNPRICED, unit=Unit.TOKENS).hold(uuid.uuid4(), NOON, QUESTION).reserved.tokens == 106


def test_a_known_price_is_counted_to_the_picodollar():
    step = UsageStep(kind=StepKind.LLM, prompt_tokens=1, completion_tokens=1, cost=Decimal("0.00001"))
    tool = UsageStep(kind=StepKind.TOOL, cost=Decimal(0))
    assert spending(PRICED).used([step, tool, step]) == Amounts(4, int(Decimal("0.00002") * PICO))
