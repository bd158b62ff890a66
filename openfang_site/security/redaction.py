"""Keeping secrets out of logs and error reports."""

import logging
import os
import re

from django.views.debug import SafeExceptionReporterFilter

from agents.redaction import Redaction


class RedactingFormatter(logging.Formatter):
    """Redacts whole lines, with their tracebacks: a filter would see the message alone."""

    def __init__(self, *args: str, **options: str) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.redact = Redaction(os.environ)

    def format(self, record: logging.LogRecord) -> str:
        return self.redact(super().format(record))


class ReporterFilter(SafeExceptionReporterFilter):
    """Hides more of the settings in Django's error reports: URLs that carry passwords, too."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URL|LOCATION|WEBHOOK", re.I)
