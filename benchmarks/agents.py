"""The agents of a measured server: `python -m benchmarks.agents UPSTREAM [--key]` makes one for each model name.

With --key the server gets a key with every limit and a budget, all too large to be reached, and the key is printed.
"""

import argparse
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402 -- after django.setup()

from agents.models import Agent, ApiKey, Budget, LanguageModel, Provider  # noqa: E402
from benchmarks.liars import LIES  # noqa: E402
from benchmarks.loads import MODELS  # noqa: E402

ENOUGH = 10**9


def make_agents(base_url: str) -> None:
    provider = Provider.objects.create(name="upstream", label="Upstream", base_url=base_url)
    for name in (*MODELS, *LIES):
        model = LanguageModel.objects.create(provider=provider, name=name, prompt_price="1", completion_price="2")
        tools = ["calculator"] if name == "tool" or name in LIES else []
        Agent.objects.create(name=name, system_prompt="You answer.", model=model, tools=tools)


def make_key() -> str:
    key, raw = ApiKey.objects.issue("bench")
    ApiKey.objects.filter(pk=key.pk).update(
        requests_per_minute=ENOUGH, tokens_per_minute=ENOUGH, max_parallel_requests=100
    )
    Budget.objects.create(api_key=key, period="day", unit="tokens", limit=10**15)
    return raw


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("--key", action="store_true")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    make_agents(options.base_url)
    if options.key:
        print(make_key())
