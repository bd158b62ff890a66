"""What a line of the log looks like: one for people, one for programs; both name the request and tell no secret."""

import logging
from datetime import UTC, datetime

import msgspec

from openai_compat.request_ids import request_id
from openfang_site.security.redaction import RedactingFormatter

Value = str | int | float | bool | None


class StrangersMistakes(logging.Filter):
    """Has what anybody may cause as often as they like told in a line, as no error of the server."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class TextLines(RedactingFormatter):
    """2026-11-22 12:00:00,000 WARNING agents.execution: What happened. [req_...]"""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        current = request_id.get()
        return f"{line} [{current}]" if current else line


class JSONLines(RedactingFormatter):
    """An object a line. What a record is formatted with, if it has names, is there under these names, too.

    Redacted before it is encoded: a secret with a quotation mark in it is another text in JSON.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Value] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self.redact(record.getMessage()),
        }
        if current := request_id.get():
            line["request_id"] = current
        if isinstance(record.args, dict):
            line |= {name: self._redacted(value) for name, value in record.args.items() if name not in line}
        if record.exc_info:
            line["exception"] = self.redact(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()

    def _redacted(self, value: object) -> Value:
        return value if value is None or isinstance(value, int | float) else self.redact(str(value))
