"""Knowing whether a provider has a request: from then on its prompt is paid for, whatever becomes of the answer."""

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

from agents.errors import InvalidRequest, ProviderRateLimited, ProviderRefused
from agents.types import Delivery

# Gateways that lost patience with a model that was at work. Any other HTTP error says that nothing was generated.
GATEWAY_TIMEOUTS = {504, 524}
# Some providers send their status as 200, and what would be a 4xx in the body.
REFUSALS = (InvalidRequest, ProviderRefused, ProviderRateLimited)


class DeliveredBody(BytesPayload):
    """The body of a request, which notes in `delivery` that it is being sent."""

    def __init__(self, body: bytes, delivery: Delivery) -> None:
        super().__init__(body, content_type="application/json")
        self._delivery = delivery

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._delivery.billable = True
        await super().write_with_length(writer, content_length)
