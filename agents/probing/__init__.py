"""Asking a provider outside of any run: whether it answers, and which models it offers."""

from agents.probing.calls import offered_models, test
from agents.probing.listing import NoListing

__all__ = ["NoListing", "offered_models", "test"]
