"""The embedded model of a service, which several servers share: `openfang serve-model` runs it."""

import aiohttp

from agents.providers.embedded import Embedded, EmbeddedModelUnavailable, Endpoint

CHECK_SECONDS = 5


class EmbeddedService(Embedded):
    """The embedded model where it is said to be; whether it is there shows when it is asked."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def endpoint(self) -> Endpoint:
        return self._endpoint

    async def aclose(self) -> None:
        """Leave the model running: other servers use it."""

    async def check(self) -> None:
        """Raises EmbeddedModelUnavailable if the service is not there, or does not know this server's key."""
        url = self._endpoint.base_url
        headers = {"Authorization": f"Bearer {self._endpoint.api_key}"}
        timeout = aiohttp.ClientTimeout(total=CHECK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.get(f"{url}/models", allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = type(error).__name__
            raise EmbeddedModelUnavailable(f"The embedded model cannot be reached at {url} ({reason}).") from error
        if status == 401:
            raise EmbeddedModelUnavailable(
                f"The embedded model at {url} refuses this server's key: both need the same OPENFANG_SECRET_KEY.",
                retryable=False,
            )
        if status != 200:
            raise EmbeddedModelUnavailable(f"There is no embedded model at {url}, or it is starting (HTTP {status}).")
