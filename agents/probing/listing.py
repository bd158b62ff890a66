"""A provider's own list of its models, and in plain words why there is none."""

import errno
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from django.conf import settings

from agents.errors import AgentError, ProviderRefused, ProviderTimeout, ProviderUnavailable
from agents.models import Provider
from agents.urls import split_http_url

if TYPE_CHECKING:
    import openai


LONGEST_NAME = 200  # of a model, in its row

logger = logging.getLogger(__name__)


class NoListing(ProviderRefused):
    """The provider answers, but not with a list of models; some have none."""


async def list_models(provider: Provider, key: str | None) -> list[str]:
    """Ask a provider for its models, and return their names. Raises AgentError."""
    import openai  # noqa: PLC0415 -- half a second, for these pages only

    parts = split_http_url(provider.base_url)
    if parts is None:  # a row from before URLs were checked so closely
        raise ProviderRefused(
            f"{provider.base_url!r}, the base URL of {provider}, is not the URL of an API. Enter it anew."
        )
    # As runs call it: the proxy of our own rule, no redirect, the system's certificates.
    proxy, certificates = settings.PROXIES.for_url(provider.base_url), ssl.create_default_context()
    http = openai.DefaultAsyncHttpxClient(trust_env=False, proxy=proxy, follow_redirects=False, verify=certificates)
    async with openai.AsyncOpenAI(
        base_url=provider.base_url, api_key=key or "none", max_retries=0, http_client=http
    ) as client:
        try:
            answer = await client.models.with_raw_response.list(**_options(provider, key))
        except openai.APIStatusError as error:
            raise _refusal(provider, key, error) from None
        except openai.APITimeoutError:
            raise ProviderTimeout(
                f"{provider} takes no connection at {provider.base_url}: is a firewall in between?"
            ) from None
        except openai.APIConnectionError as error:
            why = "the proxy did not let the call through." if proxy else _unreachable(error, parts)
            raise ProviderUnavailable(f"{provider} cannot be reached at {provider.base_url}: {why}") from None
    return _names(provider, answer.content)


def _options(provider: Provider, key: str | None) -> dict[str, Any]:
    import openai  # noqa: PLC0415

    if key and "//api.anthropic.com/" in provider.base_url:
        # Its list is of its own API, whose key is in another header, and whose pages have 20 models.
        return {"extra_headers": {"x-api-key": key, "anthropic-version": "2023-06-01"}, "extra_query": {"limit": 1000}}
    return {} if key else {"extra_headers": {"Authorization": openai.Omit()}}


def _names(provider: Provider, body: bytes) -> list[str]:
    """Return the names in a list of models; a member that has none that can be used is left out."""
    url = f"{provider.base_url.rstrip('/')}/models"
    try:
        listing = json.loads(body)  # takes NaN, too, which msgspec does not
    except (ValueError, RecursionError):
        listing = None
    listed = listing.get("data") if isinstance(listing, dict) else listing  # Together AI's is a bare list
    if not isinstance(listed, list):
        what = "a web page" if body.lstrip()[:1] == b"<" else "something else"
        raise NoListing(f"{url} is {what}, not a list of models: is the base URL right? Most end in /v1.")
    found = [member.get("id") if isinstance(member, dict) else member for member in listed]
    names = [name for name in found if isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME]
    if len(names) < len(found):
        logger.warning(
            "%s: left out %d of %d models, which have no usable id.", url, len(found) - len(names), len(found)
        )
    if found and not names:
        raise NoListing(f"{url} lists {len(found)} models, and none of them has a usable id.")
    return sorted({name.removeprefix("models/") for name in names})  # Gemini puts its kind before the name


def _refusal(provider: Provider, key: str | None, error: "openai.APIStatusError") -> AgentError:
    """Return what an administrator has to do; the provider's own words about a key could quote it."""
    status = error.status_code
    url = f"{provider.base_url.rstrip('/')}/models"
    if status in (404, 405, 501):
        return NoListing(
            f"There is no list of models at {url} (HTTP {status}): is the base URL right? Most end in /v1."
        )
    kind = ProviderUnavailable if status == 429 or status >= 500 else ProviderRefused
    if 300 <= status < 400:
        place = error.response.headers.get("location", "another place")[:200]
        return kind(f"{url} redirects to {place} (HTTP {status}): enter where the API really is.")
    reasons = {
        401: _about_key(provider, key),
        402: "wants this server's account to be paid",
        403: _about_key(provider, key),
        429: "limits this server's requests, or its quota is spent",
    }
    failed = "failed to list its models" if status >= 500 else "refused to list its models"
    return kind(f"{provider} {reasons.get(status, failed)} (HTTP {status}).")


def _about_key(provider: Provider, key: str | None) -> str:
    if key is None:
        return "wants an API key, and none is entered here"
    where = provider.api_key_env if provider.key_from_environment() else "the one that is kept here"
    return f"refused this server's API key, so check {where}"


def _unreachable(error: BaseException, parts: SplitResult) -> str:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for cause in _causes(error):
        match cause:
            case socket.gaierror():
                return f"no address is known for the name {parts.hostname}. Is it spelled right?"
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted ({cause.verify_message.rstrip('.')})."
            case ssl.SSLError():
                return f"port {port} does not speak TLS. Should the URL begin with http://?"
            case ConnectionRefusedError():
                return f"nothing listens on port {port} of {parts.hostname}, as seen from this server. Is it running?"
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                return f"no network leads from this server to {parts.hostname}."
    return "it closed the connection without an answer."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that it came from."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__
