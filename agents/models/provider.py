import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from agents.exposed_variables import exposed_value, why_withheld
from agents.models.encryption import InvalidToken, decrypt, encrypt
from agents.models.served import Served, ServedQuerySet
from agents.urls import fits_a_header, split_http_url, without_endpoint

logger = logging.getLogger(__name__)

validate_slug_name = RegexValidator(
    r"^[a-z0-9][a-z0-9._-]{0,63}$",
    "Use 1 to 64 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit.",
)


def validate_base_url(url: str) -> None:
    """Refuse what cannot be called; unlike Django's URL field, take hosts without a dot, as in http://ollama:11434/v1."""
    parts = split_http_url(url)
    if parts is None or parts.query or parts.fragment:
        raise ValidationError("Give a URL such as https://api.example.com/v1 or http://localhost:11434/v1.")
    if parts.username or parts.password:
        raise ValidationError("Put no password into the URL; keys belong into an environment variable.")


def validate_key(key: str) -> None:
    """Refuse a key that no header can carry: with a line break every request would fail."""
    if " " in key or not fits_a_header(key):
        raise ValidationError("The key has a blank, a line break or a character that is not ASCII. Copy it again.")


class ProviderKind(models.TextChoices):
    OPENAI = "openai", "OpenAI-compatible"
    EMBEDDED = "embedded", "Embedded"


class KeySource(models.TextChoices):
    """Where the key comes from with which a provider is called."""

    ENVIRONMENT = "environment", "the environment of the server"
    KEPT = "kept", "kept in the database, encrypted"
    UNREADABLE = "unreadable", "none: the kept one can no longer be decrypted"
    WITHHELD = "withheld", "none: its variable may not be sent to this address"
    MISSING = "missing", "none: its variable is not set"
    NOT_NEEDED = "not_needed", "none is sent"


class ProviderQuerySet(ServedQuerySet["Provider"]):
    pass


class Provider(Served):
    """An LLM API that this server may call.

    Its key stays in the environment, under the variable named here; or it is kept in this row, encrypted.
    """

    name = models.CharField(max_length=64, unique=True, validators=[validate_slug_name])
    label = models.CharField(max_length=100, blank=True, help_text="What people see. Empty: the name.")
    kind = models.CharField(max_length=16, choices=ProviderKind.choices, default=ProviderKind.OPENAI)
    base_url = models.CharField(
        "base URL",
        max_length=300,
        blank=True,
        validators=[validate_base_url],
        help_text="Where its OpenAI-compatible API begins, such as https://api.groq.com/openai/v1.",
    )
    api_key_env = models.CharField(
        "key variable",
        max_length=100,
        blank=True,
        validators=[RegexValidator(r"^[A-Za-z_][A-Za-z0-9_]*$", "Not the name of an environment variable.")],
        help_text="The environment variable that holds the key. Leave empty to send no key.",
    )
    encrypted_api_key = models.BinaryField("encrypted API key", default=b"", editable=False)
    from_catalog = models.BooleanField(
        default=False, editable=False, help_text="Follows the catalog that comes with the server until it is edited."
    )

    objects = ProviderQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.label or self.name

    def clean_fields(self, exclude: Any = None) -> None:
        self.base_url = without_endpoint(self.base_url)
        super().clean_fields(exclude=exclude)

    def clean(self) -> None:
        if self.why_withheld:
            raise ValidationError({"api_key_env": self.why_withheld})

    @property
    def why_withheld(self) -> str:
        """Return why the value of the key's variable is not sent to this provider; empty if it may be."""
        return why_withheld(self.api_key_env, self.base_url) if self.api_key_env else ""

    def key_from_environment(self) -> str | None:
        """Return the key if its variable is set and may be sent to this provider."""
        return exposed_value(self.api_key_env, self.base_url) if self.api_key_env else None

    def keep_key(self, key: str) -> None:
        """Keep the key in this row, encrypted; an empty one forgets it. Saves nothing."""
        self.encrypted_api_key = encrypt(key.encode()) if key else b""

    def kept_key(self) -> str | None:
        """Return the key that is kept in this row, if there is one and the secret key still opens it."""
        if not self.encrypted_api_key:
            return None
        try:
            return decrypt(bytes(self.encrypted_api_key)).decode()
        except InvalidToken:
            logger.warning("The key of %s was kept under another secret key: enter it again.", self.name)
            return None

    @property
    def key_source(self) -> KeySource:
        if self.key_from_environment():
            return KeySource.ENVIRONMENT
        if self.encrypted_api_key:
            return KeySource.KEPT if self.kept_key() else KeySource.UNREADABLE
        if self.why_withheld:
            return KeySource.WITHHELD
        return KeySource.MISSING if self.api_key_env else KeySource.NOT_NEEDED

    def api_key(self) -> str | None:
        """Return the key to call with: what the environment says goes before what was entered."""
        return self.key_from_environment() or self.kept_key()


def endpoint_cut(provider: Provider) -> str:
    """Return the notice for a base URL that was given as the URL of the chat completions."""
    return f"The base URL is {provider.base_url}: OpenFang adds /chat/completions itself."


def beyond_address(
    stored: Provider | None, *, kind: str, base_url: str | None, key_decided: bool
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a provider's address, as it is to be; with None for a base URL that nobody gives."""
    if kind == ProviderKind.OPENAI and base_url == "":
        yield "base_url", "Where is it? An OpenAI-compatible provider needs its base URL."
    moves = stored is not None and base_url is not None and base_url != stored.base_url
    if stored is not None and moves and stored.encrypted_api_key and not key_decided:
        yield "key", "The kept key would go to another address: enter it again, or have it forgotten."


class LanguageModelQuerySet(ServedQuerySet["LanguageModel"]):
    pass


class LanguageModel(Served):
    """A model of a provider, with what is known of it. Empty is unknown; a price of 0 is free."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="language_models")
    name = models.CharField(max_length=200, help_text="As the provider's API calls it.")
    context_window = models.PositiveIntegerField(
        null=True, blank=True, help_text="Tokens it can read and write in one call."
    )
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens it can write in one call.")
    prompt_price = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, help_text="US dollars per million prompt tokens."
    )
    cached_price = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="US dollars per million prompt tokens read from its cache.",
    )
    completion_price = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, help_text="US dollars per million completion tokens."
    )
    tools = models.BooleanField(null=True, blank=True, help_text="Can call tools.")
    vision = models.BooleanField(null=True, blank=True, help_text="Can see images.")
    reasoning = models.BooleanField(null=True, blank=True, help_text="Thinks before it answers.")
    token_correction = models.FloatField(
        default=1.0,
        db_default=1.0,
        editable=False,
        help_text="How many times our estimate of a prompt the model's own count comes to, as servers have learned.",
    )
    from_catalog = models.BooleanField(default=False, editable=False)

    objects = LanguageModelQuerySet.as_manager()

    class Meta:
        ordering = ["provider__name", "name"]
        constraints = [models.UniqueConstraint(fields=["provider", "name"], name="one_model_of_a_name_per_provider")]

    def __str__(self) -> str:
        return f"{self.provider.name}/{self.name}"
