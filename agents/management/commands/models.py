from argparse import ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.utils import timezone

from agents.management.base import OpenFangCommand, add_json, program, table
from agents.management.lookup import find_provider
from agents.models import LanguageModel, ModelPrice
from agents.models.price import PRICES
from agents.setup import SetupError, prepare

ABILITIES = ("tools", "vision", "reasoning")


class Command(OpenFangCommand):
    help = "List the language models that agents can use, with their prices; add one, or set its prices."
    examples = (
        "models --provider groq",
        "models add ollama/qwen3:8b --prompt 0 --completion 0",
        "models price openai/gpt-5.4-mini --prompt 0.25 --completion 2",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", default="", metavar="NAME", help="only of this one")
        add_json(parser)
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        add = actions.add_parser("add", help="add a model of a provider")
        price = actions.add_parser("price", help="set what a model costs from now on; what is charged stays")
        for action in (add, price):
            action.add_argument("model", metavar="PROVIDER/MODEL", help="as in the list")
            for name in PRICES:
                what = name.removesuffix("_price")
                words = {"cached": "prompt tokens read from its cache"}.get(what, f"{what} tokens")
                action.add_argument(f"--{what}", type=usd, metavar="USD", help=f"of a million {words}")
        add.add_argument("--context", type=int, metavar="TOKENS", help="what it can read and write in one call")

    def handle(self, *, action: str | None, **options: Any) -> None:
        prepare()
        if action == "add":
            self.add(options["model"], options["context"], prices_in(options))
        elif action == "price":
            self.price(options["model"], prices_in(options))
        else:
            self.list(options["provider"], as_json=options["json"])

    def add(self, name: str, context: int | None, prices: dict[str, Decimal]) -> None:
        if find(name) is not None:
            raise CommandError(f"There is a model {name} already; its prices: {program()} models price {name}")
        provider, _, called = name.partition("/")
        model = LanguageModel(provider=find_provider(provider), name=called, context_window=context, **prices)
        try:
            model.full_clean()
        except ValidationError as error:
            raise SetupError.from_validation(error) from None
        model.save()
        self.stdout.write(f"Added the model {model}. To use it: {program()} agent set NAME model={model}")
        if not {"prompt_price", "completion_price"} <= prices.keys():
            self.explain("Its price is unknown, and so is what it costs.")

    def price(self, name: str, prices: dict[str, Decimal]) -> None:
        model = find(name)
        if model is None:
            raise CommandError(f"There is no model {name!r}; {program()} models lists them.")
        if not prices:
            raise CommandError("Which price? Name --prompt, --cached or --completion.")
        before = {price: getattr(model, price) for price in PRICES}
        if model.from_catalog:
            model.from_catalog = False  # else the next start would set the catalog's price again
            model.save(update_fields=["from_catalog"])
        ModelPrice.objects.enter(model, before, before | prices, timezone.now())
        self.stdout.write(f"{model} costs {told(facts_of(model) | prices)} from now on.")

    def list(self, provider: str, *, as_json: bool) -> None:
        models = LanguageModel.objects.select_related("provider")
        if provider:
            models = models.filter(provider=find_provider(provider))
        facts = [facts_of(model) for model in models]
        if as_json:
            self.write_json(facts)
            return
        headings = ["MODEL", "CONTEXT", "PROMPT", "CACHED", "COMPLETION", "CAN"]
        rows = [
            [
                f"{model['provider']}/{model['name']}",
                f"{model['context_window']:,}" if model["context_window"] else "?",
                *(shown(model[price]) for price in PRICES),
                " ".join(ability for ability in ABILITIES if model[ability]) or "-",
            ]
            for model in facts
        ]
        self.stdout.write(table(headings, rows))
        self.explain("Prices are US dollars a million tokens; ? is unknown.")


def find(name: str) -> LanguageModel | None:
    provider, _, called = name.partition("/")
    return LanguageModel.objects.filter(provider__name=provider, name=called).select_related("provider").first()


def facts_of(model: LanguageModel) -> dict[str, Any]:
    return {
        "provider": model.provider.name,
        "name": model.name,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        **{name: getattr(model, name) for name in (*PRICES, *ABILITIES)},
    }


def prices_in(options: dict[str, Any]) -> dict[str, Decimal]:
    found = {name: options[name.removesuffix("_price")] for name in PRICES}
    return {name: price for name, price in found.items() if price is not None}


def told(prices: dict[str, Any]) -> str:
    return ", ".join(f"{shown(prices[name])} {name.removesuffix('_price')}" for name in PRICES)


def shown(price: Decimal | None) -> str:
    return "?" if price is None else f"${price.normalize():f}"


def usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount < 10**6 or amount != round(amount, 6):
        raise ArgumentTypeError(f"{text!r} is not an amount of US dollars, such as 0.25")
    return amount
