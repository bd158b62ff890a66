"""A server of ours as users run it: `manage.py start` in a process of its own, with its own data directory."""

from tests.live.server import Live

__all__ = ["Live"]
