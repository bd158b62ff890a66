import hmac
import re
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from agents.models.api_key import key_digest, new_key
from agents.models.credential import Credential

TOKEN = re.compile(r"ofa_[A-Za-z0-9]{40}")
PREFIX_LENGTH = len("ofa_") + 8
REQUESTS_PER_MINUTE = 600


class Scope(models.TextChoices):
    """What a token may be used for. To write includes to read; what its owner may not do, it may not either."""

    AGENTS_READ = "agents:read", "See agents, their history, and profiles"
    AGENTS_WRITE = "agents:write", "Make, change and delete agents"
    PROVIDERS_READ = "providers:read", "See providers and models"
    PROVIDERS_WRITE = "providers:write", "Change providers, their keys and models"
    MCP_READ = "mcp:read", "See MCP servers and their tools"
    MCP_WRITE = "mcp:write", "Make, change and delete MCP servers, and read their tools"
    PROGRAMS_WRITE = "programs:write", "Set up programs of the server's machine: MCP over stdio, agents with the shell"
    KEYS_READ = "keys:read", "See API keys, without their characters"
    KEYS_WRITE = "keys:write", "Issue, change, rotate and revoke API keys"
    BUDGETS_READ = "budgets:read", "See budgets"
    BUDGETS_WRITE = "budgets:write", "Change budgets"
    USAGE_READ = "usage:read", "See requests and what they used"
    ADMIN = "admin", "All of these, and what will be added to them"


def validate_scopes(scopes: Any) -> None:
    if not isinstance(scopes, list) or not scopes:
        raise ValidationError("Name at least one scope.")
    for scope in scopes:
        if scope not in Scope.values:
            raise ValidationError(f"There is no scope {scope!r}. Known: {', '.join(Scope.values)}.")


class AdminTokenQuerySet(models.QuerySet["AdminToken"]):
    def issue(self, name: str, owner: User, scopes: Collection[str], **fields: Any) -> tuple["AdminToken", str]:
        """Make a token and return its row and the token itself, which is nowhere else and cannot be had again."""
        raw = new_key("ofa_")
        prefix, digest = raw[:PREFIX_LENGTH], key_digest(raw)
        token = self.create(name=name, owner=owner, scopes=list(scopes), prefix=prefix, digest=digest, **fields)
        return token, raw

    def authenticate(self, raw: str) -> "AdminToken | None":
        """Return the token that these characters are, if it is valid and its owner may still use the admin."""
        if not TOKEN.fullmatch(raw):
            return None
        token = self.filter(prefix=raw[:PREFIX_LENGTH]).select_related("owner").first()
        if token is None or not hmac.compare_digest(token.digest, key_digest(raw)):
            return None
        return token if token.state == "active" and token.owner.is_active and token.owner.is_staff else None

    def note_use(self, token: "AdminToken", moment: datetime) -> None:
        """Write when a token was last used, to the minute: most requests need not write at all."""
        if token.last_used_at is None or token.last_used_at <= moment - timedelta(minutes=1):
            self.filter(pk=token.pk).update(last_used_at=moment)


class AdminToken(Credential):
    """Lets a program manage this server in the name of its owner, as far as its scopes go."""

    id = models.UUIDField("ID", primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True, help_text="What it is for, such as deployment.")
    owner = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        related_name="admin_tokens",
        help_text="In whose name it acts. It stops when that account does.",
    )
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, validators=[validate_scopes])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    requests_per_minute = models.PositiveIntegerField(default=REQUESTS_PER_MINUTE, help_text="0: no limit.")

    objects = AdminTokenQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def covers(self, scope: str) -> bool:
        noun, _, verb = scope.partition(":")
        enough = {Scope.ADMIN, scope, f"{noun}:write" if verb == "read" else scope}
        return bool(enough & set(self.scopes))
