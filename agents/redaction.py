"""Keeping secrets out of what is written down: logs, error reports, rows."""

import os
import re
from collections.abc import Mapping
from functools import cache

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|WEBHOOK", re.I)
SHORTEST_SECRET = 8  # a shorter value would blacken words that only look like it
# What looks like a secret, after words of which a text with such a secret has one, in lower case: looking for the words
# first takes a line of the log from 34 to 4 us.
SHAPES = [
    (("of_", "ofa_"), re.compile(r"\b(ofa?_)[A-Za-z0-9]{8,}"), rf"\1{REDACTED}"),
    (
        ("k-", "k_", "xai-", "xai_", "hf-", "hf_", "nvapi-", "nvapi_", "key-", "key_"),
        re.compile(r"\b(sk|pk|rk|gsk|xai|hf|nvapi|csk|key)[-_][A-Za-z0-9_-]{16,}"),
        REDACTED,
    ),
    (("aiza",), re.compile(r"\bAIza[A-Za-z0-9_-]{30,}"), REDACTED),
    (("bearer", "basic"), re.compile(r"\b(Bearer|Basic)\s+[^\s'\",;]+", re.I), rf"\1 {REDACTED}"),
    (
        ("sessionid", "csrf"),
        re.compile(r"\b(sessionid|csrftoken|csrfmiddlewaretoken)(['\"]?\s*[=:]\s*)['\"]?[^\s'\",;&]+"),
        rf"\1\2{REDACTED}",
    ),
    (
        ("cookie",),
        re.compile(r"(?<![a-z])((?:set-)?cookie['\"]?\)?\s*[:=,]\s*b?['\"]?)[^\r\n'\"]+", re.I),
        rf"\1{REDACTED}",
    ),
    (("://",), re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
]


class Redaction:
    """Takes out of a text what looks like a secret, and the values of this process's own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = [value for name, value in environment.items() if SECRET_NAME.search(name)]
        secrets = {part.strip() for value in values for part in (value, *value.split(","))}
        secrets = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        self._own = sorted(secrets, key=len, reverse=True)  # one may be a part of another

    def __call__(self, text: str) -> str:
        for secret in self._own:
            text = text.replace(secret, REDACTED)
        lower = text.lower()
        for words, shape, replacement in SHAPES:
            if any(word in lower for word in words):
                text = shape.sub(replacement, text)
        return text


@cache
def _of_this_process() -> Redaction:
    return Redaction(os.environ)


def redact(text: str) -> str:
    """Take secrets out of a text, those of this process's environment among them."""
    return _of_this_process()(text)
