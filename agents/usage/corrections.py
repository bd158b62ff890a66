"""Learning by how much a model's own count of a prompt exceeds our estimate.

Each worker follows the calls that it makes. What it has learned goes into the model's row, and from there to every
worker with the snapshot, so estimates are corrected after a restart, too.
"""

import math
import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from agents.models import LanguageModel
from agents.types import ModelSpec, PromptEstimate

HIGHEST = 4.0  # no token is shorter than a byte, and an estimate counts a quarter of a token for each byte at least
TEMPLATE_TOKENS = 1000  # what a provider's own words around a prompt with tools may come to
RISE, FALL = 1 / 8, 1 / 64  # how far one call moves the correction towards its ratio
LEAST_TOKENS, FULL_WEIGHT_TOKENS = 64, 500  # in shorter prompts the provider's own words weigh too much
STEPS, SLACK = 20, 0.01  # written in steps of 0.05, rounded up, so that rows are written rarely
TOO_HIGH = 0.1  # a correction that is higher by less is left as it is
PAUSE_SECONDS = 10.0


class _Followed(Struct):
    """One model's correction: as all workers know it, and as this one would have it."""

    revision: int
    shared: float
    learned: float
    written_at: float | None = None


class Corrections:
    """What this worker has learned of models. `write` takes what is to be done in the usage writer's thread."""

    def __init__(self) -> None:
        self._followed: dict[tuple[str, str], _Followed] = {}

    def learn(
        self,
        model: ModelSpec,
        revision: int,
        estimate: PromptEstimate,
        counted: int,
        write: Callable[[Callable[[], None]], None],
    ) -> None:
        """Learn from a prompt that the provider has counted; `revision` is that of the snapshot the model is from."""
        ratio = _ratio(model, estimate, counted)
        if ratio is None:
            return
        name = (model.provider.name, model.name)
        known = self._followed.get(name)
        if known is None:
            known = self._followed[name] = _Followed(revision, model.token_correction, model.token_correction)
        elif revision > known.revision:
            if model.token_correction != known.shared:  # another worker's, who may have seen more
                known.shared = known.learned = model.token_correction
            known.revision = revision
        weight = min(1.0, estimate.tokens / FULL_WEIGHT_TOKENS)
        known.learned += (RISE if ratio > known.learned else FALL) * weight * (ratio - known.learned)
        stepped = max(1.0, math.ceil((known.learned - SLACK) * STEPS) / STEPS)
        if known.shared - TOO_HIGH <= stepped <= known.shared:
            return
        now = time.monotonic()
        if known.written_at is None or now - known.written_at >= PAUSE_SECONDS:
            known.shared, known.written_at = stepped, now
            write(partial(keep, *name, stepped))


def _ratio(model: ModelSpec, estimate: PromptEstimate, counted: int) -> float | None:
    """Return by how much a count exceeds an estimate, from 1 to HIGHEST, or None if nothing can be learned from it.

    An image's tokens say nothing of text, and a count beyond what the prompt's bytes can hold is not believed.
    """
    if (
        estimate.images
        or estimate.tokens < LEAST_TOKENS
        or not 0 < counted <= HIGHEST * estimate.tokens + TEMPLATE_TOKENS
    ):
        return None
    if model.context_window is not None and counted > model.context_window:
        return None
    return min(HIGHEST, max(1.0, counted / estimate.tokens))


def keep(provider: str, model: str, correction: float) -> None:
    """Write a model's correction for all workers."""
    LanguageModel.objects.filter(provider__name=provider, name=model).update(token_correction=correction)


corrections = Corrections()
