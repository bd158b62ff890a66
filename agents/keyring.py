"""API keys as requests meet them, and what proves that somebody has one."""

import hmac
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from msgspec import Struct

from agents.models import ApiKey
from agents.models.api_key import PREFIX_LENGTH, key_digest
from agents.networks import Network, lies_in, read_networks
from agents.types import AgentSpec

ENVIRONMENT_KEY_ID = UUID("00000000-0000-4000-8000-000000000001")  # in usage rows, which outlive every key


class KeySpec(Struct, frozen=True):
    """An API key as requests meet it; `agent_ids` of None opens every agent."""

    id: UUID
    name: str
    agent_ids: frozenset[UUID] | None
    expires_at: datetime | None = None
    revoked: bool = False
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_parallel_requests: int = 0
    networks: tuple[Network, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.revoked and (self.expires_at is None or timezone.now() < self.expires_at)

    def opens(self, agent: AgentSpec) -> bool:
        return self.agent_ids is None or agent.id in self.agent_ids


class Secret(Struct, frozen=True):
    """What proves a key: the digest of its characters, which after a rotation are good for a while only."""

    key: KeySpec
    digest: str
    until: datetime | None = None

    def matches(self, raw: str) -> bool:
        in_time = self.until is None or timezone.now() < self.until
        return hmac.compare_digest(self.digest, key_digest(raw)) and in_time and self.key.valid


class Keyring:
    """The keys in the database, by how their characters begin, and the one that the environment may set."""

    def __init__(self, secrets: dict[str, Secret]) -> None:
        self._secrets = secrets
        self._environment = environment_secret()

    def __bool__(self) -> bool:
        return bool(self._secrets) or self._environment is not None

    def authenticate(self, raw: str, address: str = "") -> KeySpec | None:
        """Return the key that these characters are, if it is valid and may be used from this address."""
        for secret in (self._secrets.get(raw[:PREFIX_LENGTH]), self._environment):
            if secret is not None and secret.matches(raw):
                key = secret.key
                return key if not key.networks or lies_in(address, key.networks) else None
        return None


def environment_secret() -> Secret | None:
    """Return the key that the environment sets; it opens everything and is in no table."""
    if not settings.OPENFANG_API_KEY:
        return None
    return Secret(KeySpec(ENVIRONMENT_KEY_ID, "environment", None), key_digest(settings.OPENFANG_API_KEY))


def read_keys() -> Keyring:
    """Read every key from the database; revoked and expired ones, too, for their existence closes the server."""
    secrets = {}
    for row in ApiKey.objects.prefetch_related("agents"):
        key = _key_spec(row)
        if row.previous_prefix:
            secrets[row.previous_prefix] = Secret(key, row.previous_digest, row.previous_until)
        secrets[row.prefix] = Secret(key, row.digest)
    return Keyring(secrets)


def _key_spec(row: ApiKey) -> KeySpec:
    return KeySpec(
        id=row.id,
        name=row.name,
        agent_ids=frozenset(agent.id for agent in row.agents.all()) if row.limited else None,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        max_parallel_requests=row.max_parallel_requests,
        networks=read_networks(row.networks),
    )
