import hashlib
import secrets
import uuid
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models.signals import m2m_changed
from django.dispatch import receiver
from django.utils import timezone

from agents.models.agent import Agent
from agents.models.served import Revision, Served, ServedQuerySet

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
PREFIX_LENGTH = len("of_") + 8


def key_digest(raw: str) -> str:
    """Return what is stored of a key. Its 40 random characters need no slow hash."""
    return hashlib.sha256(raw.encode()).hexdigest()


class ApiKeyQuerySet(ServedQuerySet["ApiKey"]):
    def issue(self, name: str, *, expires_at: datetime | None = None) -> tuple["ApiKey", str]:
        """Make a key and return its row and the key itself, which is nowhere else and cannot be had again."""
        raw = "of_" + "".join(secrets.choice(ALPHABET) for _ in range(40))
        key = self.create(name=name, prefix=raw[:PREFIX_LENGTH], digest=key_digest(raw), expires_at=expires_at)
        return key, raw


class ApiKey(Served):
    """Lets its bearer talk to the agents it is for: those chosen, or all when none is chosen."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True, help_text="Whose key it is, or what for.")
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    agents = models.ManyToManyField(Agent, blank=True, related_name="api_keys", help_text="None chosen: all agents.")
    limited = models.BooleanField(
        default=False, editable=False, help_text="Agents were chosen, so that deleting the last of them opens nothing."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def revoke(self) -> None:
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])


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
