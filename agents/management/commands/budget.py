from argparse import ArgumentTypeError
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.arguments import amount
from agents.management.base import OpenFangCommand, add_json, program, table
from agents.management.lookup import find_agent, find_key
from agents.models import Budget, Period, Unit
from agents.setup import prepare


class Command(OpenFangCommand):
    help = "Set, list and remove budgets of keys, of agents and of the whole server."
    examples = (
        "budget set 20 --key alice --per month",
        "budget set 100000 --tokens --agent coder --per day",
        "budget list --json",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        setting = actions.add_parser("set", help="set what may be used up in a day or a month (UTC)")
        setting.add_argument("amount", help="US dollars or, with --tokens, tokens")
        setting.add_argument("--warn", type=percent, default=80, metavar="PERCENT", help="when to warn (default: 80)")
        removal = actions.add_parser("remove", help="remove a budget; from then on nothing is refused for it")
        for action in (setting, removal):
            whose = action.add_mutually_exclusive_group()
            whose.add_argument("--key", metavar="NAME", help="of a key (default: of the whole server)")
            whose.add_argument("--agent", metavar="NAME", help="of an agent")
            action.add_argument("--per", choices=Period.values, default=Period.MONTH, help="(default: month)")
            action.add_argument("--tokens", action="store_true", help="in tokens instead of dollars")
        add_json(actions.add_parser("list", help="list the budgets and what is spent of them"))

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "list":
            self.list(as_json=options["json"])
            return
        unit = Unit.TOKENS if options["tokens"] else Unit.USD
        key, agent = options["key"], options["agent"]
        of = {
            "api_key": find_key(key) if key is not None else None,
            "agent": find_agent(agent) if agent is not None else None,
            "period": options["per"],
            "unit": unit,
        }
        if action == "remove":
            if not Budget.objects.filter(**of).delete()[0]:
                raise CommandError(f"There is no such budget; {program()} budget list shows them.")
            self.stdout.write("Removed the budget.")
            return
        try:
            limit = amount(options["amount"], unit)
        except ArgumentTypeError as error:
            raise CommandError(str(error)) from None
        budget, made = Budget.objects.update_or_create(**of, defaults={"limit": limit, "warn_percent": options["warn"]})
        self.stdout.write(f"{'Set' if made else 'Changed'} the budget of {budget.whose}.")

    def list(self, *, as_json: bool) -> None:
        budgets = Budget.objects.select_related("api_key", "agent").with_current_period()
        if as_json:
            self.write_json([facts_of(budget) for budget in budgets])
            return
        if not budgets:
            self.stdout.write(f"There are no budgets. To set one: {program()} budget set 20 --key NAME")
            return
        self.stdout.write(table(["OF", "LIMIT", "SPENT", "RESETS"], [row(budget) for budget in budgets]))


def facts_of(budget: Budget) -> dict[str, Any]:
    unit, now = Unit(budget.unit), budget.now
    amounts = {"limit": budget.limit, "spent": now.spent, "reserved": now.reserved}
    return {
        "key": budget.api_key.name if budget.api_key else None,
        "agent": budget.agent.name if budget.agent else None,
        "period": budget.period,
        "unit": budget.unit,
        **{name: unit.shown(stored) if unit is Unit.USD else stored for name, stored in amounts.items()},
        "warn_percent": budget.warn_percent,
        "resets_at": Period(budget.period).end(now.start).isoformat(),
    }


def row(budget: Budget) -> list[str]:
    unit, now = Unit(budget.unit), budget.now
    share = now.spent * 100 // budget.limit if budget.limit else 100
    return [
        budget.whose,
        f"{written(unit, budget.limit)} a {budget.period}",
        f"{written(unit, now.spent)} ({share} %)",
        f"{Period(budget.period).end(now.start):%Y-%m-%d %H:%M} UTC",
    ]


def written(unit: Unit, stored: int) -> str:
    return f"${unit.shown(stored):,.2f}" if unit is Unit.USD else f"{stored:,} tokens"


def percent(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)
