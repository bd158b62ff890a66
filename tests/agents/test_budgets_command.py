"""`openfang budget`, and a budget that is given with its key."""

import pytest

from agents.models import ApiKey, Budget, BudgetPeriod, Period, Unit
from agents.models.money import PICO
from tests.agents.command_line import command, refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.OPENFANG_DATA_DIR = tmp_path


def test_budgets_are_of_a_key_an_agent_or_the_server():
    command("spawn", "coder")
    command("key", "create", "alice")
    command("budget", "set", "20.5", "--key", "alice")
    command("budget", "set", "1", "--agent", "coder", "--per", "day", "--warn", "50")
    command("budget", "set", "1000", "--tokens")
    of_key, of_agent, of_server = Budget.objects.order_by("id")
    assert (of_key.whose, of_key.limit, of_key.period) == ("the key 'alice'", 20.5 * 10**12, Period.MONTH)
    assert (of_agent.whose, of_agent.period, of_agent.warn_percent) == ("the agent 'coder'", Period.DAY, 50)
    assert (of_server.whose, of_server.limit, of_server.unit) == ("this server", 1000, Unit.TOKENS)


def test_setting_a_budget_again_changes_it():
    assert command("budget", "set", "5").out == "Set the budget of this server.\n"
    assert command("budget", "set", "6").out == "Changed the budget of this server.\n"
    assert Budget.objects.get().limit == 6 * PICO


def test_the_list_says_what_is_spent_of_each():
    command("budget", "set", "8")
    budget = Budget.objects.get()
    [line] = command("budget", "list").out.splitlines()[1:]
    assert line.startswith("this server  $8.00 a month  $0.00 (0 %)")
    start = Period.MONTH.start(ApiKey.objects.issue("clock")[0].created_at)
    BudgetPeriod.objects.create(budget=budget, start=start, spent=int(2 * PICO))
    [line] = command("budget", "list").out.splitlines()[1:]
    assert line.startswith("this server  $8.00 a month  $2.00 (25 %)")


def test_a_removed_budget_is_gone():
    command("budget", "set", "5")
    assert "There is no such budget" in refused("budget", "remove", "--tokens")
    assert command("budget", "remove").out == "Removed the budget.\n"
    assert not Budget.objects.exists()


@pytest.mark.parametrize("amount", ["x", "-1", "nan", "Infinity", "1e30", "9000001"])
def test_an_amount_that_cannot_be_kept_is_refused(amount: str):
    said = refused("budget", "set", "--", amount)
    assert said == f"{amount!r} is not an amount of US dollars, from 0 to 9000000"


def test_unknown_owners_are_refused():
    assert "There is no key named 'bob'" in refused("budget", "set", "5", "--key", "bob")
    assert "There is no agent 'bob'" in refused("budget", "set", "5", "--agent", "bob")


@pytest.mark.parametrize(
    ("text", "limit", "period"),
    [("20", 20, Period.MONTH), ("20/month", 20, Period.MONTH), ("1.50/day", 1.5, Period.DAY)],
)
def test_a_key_is_made_with_its_budget_and_limits(text: str, limit: float, period: Period):
    limits = ["--rpm", "60", "--tpm", "9000", "--parallel", "2", "--network", "10.0.0.0/8", "--owner", "Alice"]
    command("key", "create", "alice", "--budget", text, *limits)
    key = ApiKey.objects.get()
    assert (key.requests_per_minute, key.tokens_per_minute, key.max_parallel_requests) == (60, 9000, 2)
    assert (key.networks, key.owner) == ("10.0.0.0/8", "Alice")
    budget = key.budgets.get()
    assert (budget.limit, budget.period, budget.unit) == (limit * 10**12, period, Unit.USD)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--budget", "20/week"), ("--rpm", "-1"), ("--tpm", "x"), ("--parallel", "1001"), ("--network", "10.0.0.1/8")],
)
def test_a_limit_that_cannot_be_read_makes_no_key(option: str, value: str):
    assert value.split("/", maxsplit=1)[0] in refused("key", "create", "alice", f"{option}={value}")
    assert not ApiKey.objects.exists()
