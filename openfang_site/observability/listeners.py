"""Who learns what the ledger has written."""

import logging

from django.conf import settings

from agents.usage.confirming import requests_changed
from openfang_site.observability import metrics

logger = logging.getLogger(__name__)

MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but no traces are written: install what they need with "
    "pip install -r requirements-otel.lock"
)


def listen() -> None:
    """Count what the ledger closes from now on, and trace it if an endpoint for traces is set."""
    requests_changed.connect(metrics.count)
    if not settings.OPENFANG_TRACES:
        return
    try:
        from openfang_site.observability import traces  # noqa: PLC0415 -- its packages are optional, and take 0.3 s
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("opentelemetry", "google", "requests")):
            raise
        logger.warning(MISSING)
        return
    requests_changed.connect(traces.start(), weak=False)
