"""Making agents from profiles."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.catalog import load_catalog
from agents.models import Agent, LanguageModel, Provider
from agents.profiles import Profile
from agents.setup.errors import SetupError
from agents.tools import BUILT_IN


@transaction.atomic
def spawn(
    name: str,
    profile: Profile | None = None,
    *,
    model: LanguageModel | None = None,
    system_prompt: str | None = None,
    temperature: float | None = None,
    description: str | None = None,
    more_tools: Iterable[str] = (),
    workspace_per_key: bool = False,
) -> Agent:
    """Make an agent; what is given beside the profile is taken instead of the profile's, tools in addition to them.

    Without a model it follows the server's default; a model from `find_model` that has no row yet gets one.
    Raises SetupError.
    """
    if Agent.objects.filter(name=name.strip().lower()).exists():
        raise SetupError(f"There is an agent named {name!r} already.")
    if model is not None and model.pk is None:
        model.save()
    for tool in more_tools:
        if tool not in BUILT_IN:
            raise SetupError(f"There is no tool {tool!r}. Known: {', '.join(BUILT_IN)}.")
    defaults = profile or Profile(name=name, description="", system_prompt="")
    agent = Agent(
        name=name,
        description=defaults.description if description is None else description,
        system_prompt=defaults.system_prompt if system_prompt is None else system_prompt,
        temperature=defaults.temperature if temperature is None else temperature,
        model=model,
        tools=list(dict.fromkeys([*defaults.tools, *more_tools])),
        workspace_per_key=workspace_per_key,
    )
    try:
        agent.full_clean()
    except ValidationError as error:
        raise SetupError.from_validation(error) from None
    agent.save()
    return agent


def find_model(provider_name: str = "", model_name: str = "") -> LanguageModel | None:
    """Return the model that is meant: by its name, by its provider (whose default it is then) or by both.

    Neither means none. A model that the provider is not known to have is made, but not saved. Raises SetupError.
    """
    if provider_name:
        provider = Provider.objects.filter(name=provider_name).first()
        if provider is None:
            raise SetupError(f"There is no provider {provider_name!r}. Known: {_listed(Provider.objects.all())}.")
        model_name = model_name or _default_of(provider_name)
        known = LanguageModel.objects.filter(provider=provider, name=model_name).first()
        return known or _unlisted(provider, model_name)
    if not model_name:
        return None
    models = list(LanguageModel.objects.filter(name=model_name).select_related("provider"))
    if not models:
        raise SetupError(
            f"No provider lists the model {model_name!r}. Name its provider too: {_listed(Provider.objects.all())}."
        )
    if len(models) > 1:
        choices = _listed(model.provider for model in models)
        raise SetupError(f"Several providers have the model {model_name!r}. Name one of them too: {choices}.")
    return models[0]


def _default_of(provider_name: str) -> str:
    for entry in load_catalog().providers:
        if entry.name == provider_name and entry.default_model:
            return entry.default_model
    raise SetupError(f"The provider {provider_name!r} has no default model. Name a model too.")


def _unlisted(provider: Provider, name: str) -> LanguageModel:
    model = LanguageModel(provider=provider, name=name)
    try:
        model.full_clean()
    except ValidationError as error:
        raise SetupError.from_validation(error) from None
    return model


def _listed(providers: Iterable[Provider]) -> str:
    return ", ".join(provider.name for provider in providers)
