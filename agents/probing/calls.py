"""Real calls to a provider: whether it answers, and which models it offers."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.db import connection
from django.db.models import F

from agents.embedded_model import embedded_model
from agents.errors import AgentError, ProviderRefused, ProviderTimeout, ProviderUnavailable
from agents.models import Provider, ProviderKind
from agents.models.provider import KeySource
from agents.probing.listing import NoListing, list_models
from agents.providers import Providers
from agents.providers.openai_compatible import OpenAICompatible
from agents.runs import engine
from agents.snapshot import read_models
from agents.types import Message, ModelRequest, ModelSpec, Parameters
from agents.types import Provider as Asked
from agents.urls import fits_a_header

SECONDS = 20.0
EMBEDDED_SECONDS = 60.0  # its process may have to start, or to serve others first
QUESTION = "Answer with the single word OK."
MAX_TOKENS = 200  # reasoning models think before they say OK

T = TypeVar("T")


def test(provider: Provider, *, serving: bool = True) -> str:
    """Call a provider as its agents would, and return what came of it and after how long. Raises AgentError.

    A process that is not `serving` starts an embedded model of its own, and ends it.
    """
    import openai  # noqa: F401, PLC0415 -- before the clock starts: the time is the provider's

    by_price = provider.language_models.order_by(F("completion_price").asc(nulls_last=True), "name")
    cheapest = by_price.first()
    model = read_models()[cheapest.pk] if cheapest else None
    _give_connection_back()
    began = time.monotonic()
    if provider.kind == ProviderKind.EMBEDDED:
        # On the event loop that serves: there the model's process is kept.
        said = async_to_sync(_in_time)(provider, _test_embedded(model, serving), EMBEDDED_SECONDS)
    else:
        said = asyncio.run(_in_time(provider, _test(provider, model), SECONDS))
    took = time.monotonic() - began
    return f"{provider} answered after {f'{took:.1f} s' if took >= 1 else f'{took * 1000:.0f} ms'}. {said}"


def offered_models(provider: Provider) -> list[str]:
    """Return the names of the models that a provider offers. Raises AgentError."""
    _give_connection_back()
    return asyncio.run(_in_time(provider, list_models(provider, _key(provider)), SECONDS))


def _give_connection_back() -> None:
    """Hold no connection while a provider takes its time: the pool has three for the whole process."""
    if not connection.in_atomic_block:
        connection.close()


def _key(provider: Provider) -> str | None:
    source = provider.key_source
    if source is KeySource.UNREADABLE:
        raise ProviderRefused(f"The key that is kept for {provider} can no longer be decrypted: enter it again.")
    if source is KeySource.WITHHELD:
        raise ProviderRefused(f"{provider} has no API key. {provider.why_withheld}")
    if source is KeySource.MISSING:
        unset = f"{provider.api_key_env} is not set in the environment of the server"
        raise ProviderRefused(f"{provider} has no API key: {unset}, and none is kept here.")
    key = provider.api_key()
    if key and not fits_a_header(key):
        where = provider.api_key_env if source is KeySource.ENVIRONMENT else "the key that is kept here"
        raise ProviderRefused(f"{provider}'s API key has a character that no header can carry. Correct {where}.")
    return key


async def _in_time(provider: Provider, call: Coroutine[Any, Any, T], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        where = f" at {provider.base_url}" if provider.base_url else ""
        raise ProviderTimeout(
            f"{provider} did not answer within {seconds:g} s{where}: it is busy, or out of reach."
        ) from None


async def _test(provider: Provider, model: ModelSpec | None) -> str:
    """Ask for the list of models; where that says nothing of the key, or there is none, ask a model."""
    key = _key(provider)
    try:
        offered = await list_models(provider, key)
    except NoListing as error:
        if model is None:
            raise
        try:
            return f"{await _ask(model)} It has no list of models."
        except AgentError as refused:
            raise ProviderUnavailable(f"{error} Asking {model.name} failed, too: {refused}") from refused
    found = f"It offers {len(offered)} model{'' if len(offered) == 1 else 's'}."
    if key is None or not await _lists_for_anybody(provider):
        return found
    if model is None:
        return f"{found} It tells that to anybody: whether the key is right will show once it has a model here."
    return f"{found} {await _ask(model)}"


async def _lists_for_anybody(provider: Provider) -> bool:
    try:
        await list_models(provider, None)
    except AgentError:
        return False
    return True


async def _ask(model: ModelSpec) -> str:
    provider = OpenAICompatible(idle_seconds=2 * SECONDS)
    try:
        return await _answer(provider, model)
    finally:
        await provider.aclose()


async def _answer(provider: Asked, model: ModelSpec) -> str:
    deadline = asyncio.get_running_loop().time() + 2 * EMBEDDED_SECONDS
    request = ModelRequest([Message("user", QUESTION)], deadline, parameters=Parameters(max_tokens=MAX_TOKENS))
    async with aclosing(provider.stream(model, request)) as deltas:
        answer = "".join([delta.text async for delta in deltas]).strip()
    return f"{model.name} said “{answer[:60]}”." if answer else f"{model.name} answered without words."


async def _test_embedded(model: ModelSpec | None, serving: bool) -> str:
    embedded = embedded_model()
    await embedded.check()
    if model is None:
        return "It is there; no model of it is entered here."
    if serving:
        return await _answer(engine.providers, model)
    providers = Providers(idle_seconds=EMBEDDED_SECONDS, embedded=embedded)
    try:
        return await _answer(providers, model)
    finally:
        await providers.aclose()
