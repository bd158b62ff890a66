from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db.models import Count

from agents.management.base import OpenFangCommand, add_json, program, table
from agents.models import Provider, ProviderKind
from agents.setup import SetupError, prepare


class Command(OpenFangCommand):
    help = "Add and list the LLM APIs that agents use. Their keys stay in environment variables."
    examples: Sequence[str] = (
        "provider add lab --base-url http://127.0.0.1:8000/v1 --api-key-env LAB_KEY",
        "provider list --json",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        add = actions.add_parser("add", help="add any OpenAI-compatible API")
        add.add_argument("name")
        add.add_argument("--base-url", required=True, metavar="URL", help="such as http://127.0.0.1:8000/v1")
        add.add_argument(
            "--api-key-env", default="", metavar="VAR", help="the variable that holds its key (default: none)"
        )
        add.add_argument("--label", default="", help="what people see (default: the name)")
        add_json(actions.add_parser("list", help="list the providers, and which of them have a key here"))

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "add":
            self.add(options["name"], options["base_url"], options["api_key_env"], options["label"])
        else:
            self.list(as_json=options["json"])

    def add(self, name: str, base_url: str, api_key_env: str, label: str) -> None:
        if Provider.objects.filter(name=name).exists():
            raise CommandError(f"There is a provider named {name!r} already; the web admin can change it.")
        provider = Provider(name=name, base_url=base_url.rstrip("/"), api_key_env=api_key_env, label=label)
        try:
            provider.full_clean()
        except ValidationError as error:
            raise SetupError.from_validation(error) from None
        provider.save()
        self.stdout.write(
            f"Added the provider {name}. To use it: {program()} spawn coder --provider {name} --model MODEL"
        )
        self.warn_of_missing_key(provider)

    def list(self, *, as_json: bool) -> None:
        counts = dict(Provider.objects.annotate(models=Count("language_models")).values_list("name", "models"))
        if as_json:
            self.write_json([facts_of(row, counts[row.name]) for row in Provider.objects.all()])
            return
        rows = [
            [row.name, row.base_url or "in this server", key_of(row), str(counts[row.name])]
            for row in Provider.objects.all()
        ]
        self.stdout.write(table(["NAME", "URL", "KEY", "MODELS"], rows))


def facts_of(provider: Provider, models: int) -> dict[str, Any]:
    needs_key = provider.kind != ProviderKind.EMBEDDED and bool(provider.api_key_env)
    return {
        "name": provider.name,
        "label": str(provider),
        "kind": provider.kind,
        "base_url": provider.base_url,
        "api_key_env": provider.api_key_env,
        "key": "environment" if provider.key_from_environment() else "kept" if provider.encrypted_api_key else None,
        "usable": not needs_key or bool(provider.api_key()),
        "models": models,
    }


def key_of(provider: Provider) -> str:
    if provider.kind == ProviderKind.EMBEDDED or not (provider.api_key_env or provider.encrypted_api_key):
        return "not needed"
    if provider.key_from_environment() is None and provider.encrypted_api_key:
        return "kept in the database"
    return f"{provider.api_key_env} is {'set' if provider.key_from_environment() else 'not set'}"
