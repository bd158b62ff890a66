"""Daphne as the project's HTTP server: limits that hold, answers that wait for their reader, and a stop that waits."""

from openfang_site.server import reactor as _reactor  # noqa: F401

# isort: split  (the reactor must be chosen before the rest imports Daphne)
from openfang_site.server.daemon import serve
from openfang_site.server.limits import Limits
from openfang_site.server.refusals import Headers, Refusal

__all__ = ["Headers", "Limits", "Refusal", "serve"]
