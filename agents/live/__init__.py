"""The pages of the web admin that change while they are looked at, over WebSockets."""

from agents.live.requests import RequestsConsumer

__all__ = ["RequestsConsumer"]
