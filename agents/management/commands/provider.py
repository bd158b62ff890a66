from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db.models import Count, ProtectedError

from agents.errors import AgentError
from agents.management.base import OpenFangCommand, add_json, program, table
from agents.management.lookup import find_provider
from agents.models import Provider
from agents.models.provider import KeySource, endpoint_cut
from agents.setup import SetupError, prepare


class Command(OpenFangCommand):
    help = "Add, list, test and remove the LLM APIs that agents use. Their keys stay in environment variables."
    examples: Sequence[str] = (
        "provider add lab --base-url http://lab/v1 --api-key-env LAB_KEY",
        "provider test groq",
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

        test = actions.add_parser("test", help="call one as agents would, and say what is wrong")
        remove = actions.add_parser("remove", help="remove one with its models; none of them may be in use")
        for one in (test, remove):
            one.add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "add":
            self.add(options["name"], options["base_url"], options["api_key_env"], options["label"])
        elif action == "test":
            self.test(find_provider(options["name"]))
        elif action == "remove":
            self.remove(find_provider(options["name"]))
        else:
            self.list(as_json=options["json"])

    def add(self, name: str, base_url: str, api_key_env: str, label: str) -> None:
        if Provider.objects.filter(name=name).exists():
            raise CommandError(f"There is a provider named {name!r} already; the web admin can change it.")
        given = base_url.strip().rstrip("/")
        provider = Provider(name=name, base_url=given, api_key_env=api_key_env, label=label)
        try:
            provider.full_clean()
        except ValidationError as error:
            raise SetupError.from_validation(error) from None
        provider.save()
        if provider.base_url != given:
            self.explain(f"openfang: {endpoint_cut(provider)}")
        self.stdout.write(
            f"Added the provider {name}. To use it: {program()} spawn coder --provider {name} --model MODEL"
        )
        self.warn_of_missing_key(provider)

    def test(self, provider: Provider) -> None:
        from agents.probing import test  # 0.5 s, for this action only

        try:
            self.stdout.write(test(provider, serving=False))
        except AgentError as error:
            raise CommandError(str(error)) from None

    def remove(self, provider: Provider) -> None:
        if provider.from_catalog:
            raise CommandError(
                f"{provider.name} comes with OpenFang and would come back; without a key nothing uses it."
            )
        try:
            provider.delete()
        except ProtectedError as error:
            agents = {getattr(row, "agent", row) for row in error.protected_objects}
            names = ", ".join(sorted(str(agent) for agent in agents))
            raise CommandError(
                f"{provider.name} has models that agents use: {names}. Give them others first."
            ) from None
        self.stdout.write(f"Removed the provider {provider.name} and its models.")

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
    source = provider.key_source
    return {
        "name": provider.name,
        "label": str(provider),
        "kind": provider.kind,
        "base_url": provider.base_url,
        "api_key_env": provider.api_key_env,
        "key": None if source in (KeySource.MISSING, KeySource.NOT_NEEDED) else source.value,
        "why_withheld": provider.why_withheld or None,
        "usable": source not in (KeySource.MISSING, KeySource.UNREADABLE, KeySource.WITHHELD),
        "models": models,
    }


def key_of(provider: Provider) -> str:
    match provider.key_source:
        case KeySource.ENVIRONMENT:
            return f"{provider.api_key_env} is set"
        case KeySource.KEPT:
            return "kept in the database"
        case KeySource.UNREADABLE:
            return "kept, but under another secret key"
        case KeySource.WITHHELD:
            return f"{provider.api_key_env} is withheld"
        case KeySource.MISSING:
            return f"{provider.api_key_env} is not set"
    return "not needed"
