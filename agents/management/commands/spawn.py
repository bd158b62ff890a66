import json
import math
from argparse import ArgumentTypeError
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand
from agents.management.server_state import base_url, is_running
from agents.models import Agent, ApiKey, LanguageModel
from agents.profiles import Profile, UnknownProfile, load_profile, profile_names
from agents.setup import find_model, prepare, spawn
from agents.snapshot import default_model, read_models
from agents.types import ModelSpec


class Command(OpenFangCommand):
    help = f"Make an agent from a profile. Profiles: {', '.join(profile_names())}."
    examples = ("spawn coder", "spawn --name reviewer --profile coder --provider groq")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "word", nargs="?", metavar="PROFILE", help="the profile, and the agent's name without --name"
        )
        parser.add_argument("--name", help="the agent's name; clients call it openfang:NAME")
        parser.add_argument("--profile", help="the profile; PROFILE is then the name")
        parser.add_argument("--provider", default="", help="whose model it uses; see: openfang provider list")
        parser.add_argument("--model", default="", help="the language model (default: the server's)")
        parser.add_argument("--system-prompt", metavar="TEXT", help="instead of the profile's")
        parser.add_argument("--temperature", type=finite, metavar="T", help="from 0 to 2, instead of the profile's")
        parser.add_argument("--description", metavar="TEXT", help="instead of the profile's")
        parser.add_argument(
            "--tool", action="append", default=[], metavar="NAME", help="a tool beside the profile's; may be repeated"
        )
        parser.add_argument("--workspace-per-key", action="store_true", help="give each API key a separate workspace")

    def handle(
        self,
        *,
        word: str | None,
        name: str | None,
        profile: str | None,
        provider: str,
        model: str,
        system_prompt: str | None,
        **options: Any,
    ) -> None:
        agent_name, start = self.choose(word, name, profile, has_prompt=system_prompt is not None)
        prepare()
        language_model = find_model(provider, model)
        if language_model is not None:
            self.warn_of(language_model)
        agent = spawn(
            agent_name,
            start,
            model=language_model,
            system_prompt=system_prompt,
            temperature=options["temperature"],
            description=options["description"],
            more_tools=options["tool"],
            workspace_per_key=options["workspace_per_key"],
        )
        self.stdout.write(made(agent))

    def warn_of(self, model: LanguageModel) -> None:
        if model.pk is None:
            self.explain(
                f"openfang: The catalog does not list {model}: its prices and limits are unknown, "
                "and so is what it costs. The web admin can set them."
            )
        self.warn_of_missing_key(model.provider)

    def choose(
        self, word: str | None, name: str | None, profile: str | None, *, has_prompt: bool
    ) -> tuple[str, Profile | None]:
        """Return the name and the profile that are meant; a known profile is not needed where there is a prompt."""
        if word and name and profile:
            raise CommandError(f"Two names were given: {word!r} and {name!r}.")
        profile_name = profile or word or name
        agent_name = name or word or profile
        if profile_name is None or agent_name is None:
            raise CommandError(f"Which agent? Name a profile: {', '.join(profile_names())}.")
        try:
            return agent_name, load_profile(profile_name)
        except UnknownProfile as error:
            if has_prompt and agent_name == profile_name and not profile:
                return agent_name, None
            raise CommandError(f"{error} For an agent without one, give its --name and --system-prompt.") from None


def finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ArgumentTypeError(f"{text!r} is not a number")
    return number


def made(agent: Agent) -> str:
    """Tell what was made and how to call it."""
    body = json.dumps({"model": f"openfang:{agent.name}", "messages": [{"role": "user", "content": "Hello!"}]})
    key = "    -H 'Authorization: Bearer YOUR_KEY' \\\n" if ApiKey.objects.needed() else ""
    model = agent.model or default_model(list(read_models().values()))
    no_use = ", which this model cannot call" if agent.tools and model and model.tools is False else ""
    serving = "It is served now" if is_running() else "The next openfang start serves it"
    return (
        f"Made the agent {agent.name}, which answers with {in_words(model, is_default=agent.model is None)}.\n"
        f"Its tools: {', '.join(agent.tools) or 'none'}{no_use}.\n"
        f"{serving} as openfang:{agent.name}. To call it:\n\n"
        f"  curl {base_url()}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        f"{key}    -d '{body}'\n"
    )


def in_words(model: LanguageModel | ModelSpec | None, *, is_default: bool) -> str:
    if model is None:
        return "the server's default model, of which there is none yet"
    return f"{model.provider.name}/{model.name}" + (" (the server's default)" if is_default else "")
