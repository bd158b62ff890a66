"""Calling language models: the OpenAI-compatible APIs, and the embedded model, which is one more of them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from agents.providers.embedded import Embedded, EmbeddedModel
from agents.providers.openai_compatible import OpenAICompatible
from agents.types import Delta, ModelRequest, ModelSpec

__all__ = ["Providers"]


class Providers:
    """Every provider that this process can call; made and closed on the event loop that uses it."""

    def __init__(self, *, idle_seconds: float, embedded: Embedded | None = None) -> None:
        self._api = OpenAICompatible(idle_seconds=idle_seconds)
        self.embedded = embedded or EmbeddedModel()

    async def aclose(self) -> None:
        await self._api.aclose()
        await self.embedded.aclose()

    def stream(self, model: ModelSpec, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        return (
            self._stream_embedded(model, request)
            if model.provider.kind == "embedded"
            else self._api.stream(model, request)
        )

    async def _stream_embedded(self, model: ModelSpec, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        endpoint = await self.embedded.endpoint()
        provider = replace(model.provider, base_url=endpoint.base_url, api_key=endpoint.api_key)
        async with aclosing(self._api.stream(replace(model, provider=provider), request)) as deltas:
            async for delta in deltas:
                yield delta
