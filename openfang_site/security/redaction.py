"""Keeping secrets out of logs and error reports."""

import logging
import os
import re
from collections.abc import Mapping

from django.views.debug import SafeExceptionReporterFilter

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|WEBHOOK", re.I)
SHORTEST_SECRET = 8  # a shorter value would blacken words that only look like it
SHAPES = [
    (re.compile(r"\bof_[A-Za-z0-9]{8,}"), f"of_{REDACTED}"),
    (re.compile(r"\b(sk|pk|rk|gsk|xai|hf|nvapi|csk|key)[-_][A-Za-z0-9_-]{16,}"), REDACTED),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{30,}"), REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s'\",;]+", re.I), rf"\1 {REDACTED}"),
    (
        re.compile(r"\b(sessionid|csrftoken|csrfmiddlewaretoken)(['\"]?\s*[=:]\s*)['\"]?[^\s'\",;&]+"),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(?<![a-z])((?:set-)?cookie['\"]?\)?\s*[:=,]\s*b?['\"]?)[^\r\n'\"]+", re.I), rf"\1{REDACTED}"),
    (re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
]


class Redaction:
    """Takes out of a text what looks like a secret, and the values of this process's own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = [value for name, value in environment.items() if SECRET_NAME.search(name)]
        secrets = {part.strip() for value in values for part in (value, *value.split(","))}
        secrets = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        longest_first = sorted(secrets, key=len, reverse=True)
        self._own = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def __call__(self, text: str) -> str:
        text = self._own.sub(REDACTED, text)
        for shape, replacement in SHAPES:
            text = shape.sub(replacement, text)
        return text


class RedactingFormatter(logging.Formatter):
    """Redacts whole lines, with their tracebacks: a filter would see the message alone."""

    def __init__(self, *args: str, **options: str) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._redact = Redaction(os.environ)

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


class ReporterFilter(SafeExceptionReporterFilter):
    """Hides more of the settings in Django's error reports: URLs that carry passwords, too."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URL|LOCATION|WEBHOOK", re.I)
