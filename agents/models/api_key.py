import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.signals import m2m_changed
from django.dispatch import receiver
from django.utils import timezone

from agents.models.agent import Agent
from agents.models.credential import Credential
from agents.models.served import Revision, Served, ServedQuerySet
from agents.networks import read_networks

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
PREFIX_LENGTH = len("of_") + 8
MOST_PARALLEL = 1000


def key_digest(raw: str) -> str:
    """Return what is stored of a key. Its 40 random characters need no slow hash."""
    return hashlib.sha256(raw.encode()).hexdigest()


def new_key(begins: str = "of_") -> str:
    return begins + "".join(secrets.choice(ALPHABET) for _ in range(40))


def validate_networks(text: str) -> None:
    try:
        read_networks(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def validate_to_come(moment: datetime) -> None:
    if moment <= timezone.now():
        raise ValidationError("This moment has passed already (it is read as UTC).")


class ApiKeyQuerySet(ServedQuerySet["ApiKey"]):
    def needed(self) -> bool:
        """Tell whether requests need a key: without any the server is open."""
        return bool(settings.OPENFANG_API_KEY) or self.exists()

    def issue(self, name: str, **fields: Any) -> tuple["ApiKey", str]:
        """Make a key and return its row and the key itself, which is nowhere else and cannot be had again."""
        raw = new_key()
        key = self.create(name=name, prefix=raw[:PREFIX_LENGTH], digest=key_digest(raw), **fields)
        return key, raw

    def note_use(self, key_id: uuid.UUID, moment: datetime) -> None:
        """Write when a key was last used. Running servers need not read their keys again for that."""
        stale = self.filter(pk=key_id).exclude(last_used_at__gt=moment - timedelta(minutes=1))
        models.QuerySet.update(stale, last_used_at=moment)


class ApiKey(Credential, Served):
    """Lets its bearer talk to the agents it is for: those chosen, or all when none is chosen."""

    id = models.UUIDField("ID", primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True, help_text="Whose key it is, or what for.")
    owner = models.CharField(max_length=100, blank=True, help_text="Who answers for it: a person, a team, an address.")
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    previous_prefix = models.CharField(max_length=PREFIX_LENGTH, blank=True, editable=False)
    previous_digest = models.CharField(max_length=64, blank=True, editable=False)
    previous_until = models.DateTimeField(null=True, blank=True, editable=False)
    agents = models.ManyToManyField(Agent, blank=True, related_name="api_keys", help_text="None chosen: all agents.")
    limited = models.BooleanField(
        default=False, editable=False, help_text="Agents were chosen, so that deleting the last of them opens nothing."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    requests_per_minute = models.PositiveIntegerField(default=0, help_text="0: no limit.")
    tokens_per_minute = models.PositiveIntegerField(
        default=0, help_text="Prompt and completion tokens together. 0: no limit."
    )
    max_parallel_requests = models.PositiveIntegerField(
        "parallel requests",
        default=0,
        validators=[MaxValueValidator(MOST_PARALLEL)],
        help_text="Runs that may be under way at once. 0: no limit.",
    )
    networks = models.TextField(
        blank=True,
        validators=[validate_networks],
        help_text="Where it may be used from, such as 10.0.0.0/8, 192.0.2.7. Empty: anywhere.",
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def rotate(self, overlap: timedelta) -> str:
        """Give the key new characters and return them; the old ones are good for as long as the overlap lasts.

        Characters from a rotation before this one end now.
        """
        raw = new_key()
        self.previous_prefix, self.previous_digest = self.prefix, self.digest
        self.previous_until = timezone.now() + overlap
        self.prefix, self.digest = raw[:PREFIX_LENGTH], key_digest(raw)
        self.save(update_fields=["prefix", "digest", "previous_prefix", "previous_digest", "previous_until"])
        return raw


@receiver(m2m_changed, sender=ApiKey.agents.through)
def agents_of_a_key_changed(
    instance: ApiKey | Agent, action: str, pk_set: set[uuid.UUID] | None = None, **_: Any
) -> None:
    if action not in {"post_add", "post_remove", "post_clear"}:
        return
    if isinstance(instance, ApiKey):
        ApiKey.objects.filter(pk=instance.pk).update(limited=instance.agents.exists())
    elif action == "post_add":
        ApiKey.objects.filter(pk__in=pk_set or ()).update(limited=True)
    Revision.bump()
