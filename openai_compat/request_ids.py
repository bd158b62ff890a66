"""Which request is being answered, for whoever writes about it from inside: its log lines."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
