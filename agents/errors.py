"""What a run can fail with.

AgentError
├── RequestConflict(code)             an Idempotency-Key or an earlier run of the request is in the way
├── PassEnded                         the maker of a playground's pass has signed out
├── AgentNotFound                     the caller named an agent that is not there or not theirs
├── InvalidRequest(param, code)       the caller asked for something that cannot be run
│   └── ContextLengthExceeded         the conversation is longer than the model can read
├── RunTimeout                        the run reached its agent's time limit
├── AskLimitReached                   the agents asked for one request have made all the calls they may
├── ToolLoop                          the model kept making the same tool call
├── RunFailed                         the server failed in an unforeseen way
├── RunAbandoned                      the caller left before the answer was complete
├── ServerStopped                     this server was told to stop and could not wait for the answer
├── RateLimitExceeded(retry_after)    the caller asks more, or more often, than its key may
├── BudgetExceeded                    what is left of a budget does not cover the request
├── LimitsUnavailable                 the limits cannot be counted, and the server is set to refuse then
├── UsageNotRecorded                  the usage row could not be written, so the run is not admitted or not confirmed
├── ToolFailed                        a tool could not do what it was asked; an answer to the model, not to the caller
└── ProviderError(retryable, retry_after)   the LLM API refused or broke
    ├── ProviderUnavailable           it could not be reached, or answered 5xx
    ├── ProviderTimeout               it did not answer, or fell silent, for too long
    ├── ProviderRateLimited           it asks for patience
    ├── ProviderRefused               it refused this server's key, model or account: an administrator must act
    └── BadModelAnswer                it answered something that is no answer
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Self

NAME = re.compile(r"[\w.:/\[\]-]{1,64}")


class Reported(NamedTuple):
    """What a provider's error names besides its words: the HTTP status, and its code, type and parameter."""

    status: int | None
    names: tuple[str, ...]

    @classmethod
    def of(cls, status: int | None, code: str = "", parameters: Iterable[str] = ()) -> Self:
        """Keep what are names, of at most 64 characters: anything longer may be a sentence that quotes the prompt."""
        names = [name for name in dict.fromkeys(code.split()) if NAME.fullmatch(name)]
        return cls(status, (*names, *(f"parameter {name}" for name in parameters if NAME.fullmatch(name))))


class AgentError(Exception):
    """Anything a run can fail with; `str(error)` is fit for the caller's eyes.

    `reported` is set where the message may have a provider's words in it, which may quote the prompt.
    """

    code = "agent_error"
    reported: Reported | None = None


class PassEnded(AgentError):
    """The session that a playground's pass was made in has ended."""

    code = "invalid_api_key"


class AgentNotFound(AgentError):
    code = "model_not_found"


class RequestConflict(AgentError):
    """A request that cannot begin because of an earlier one with its Idempotency-Key or its body; `code` says why."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidRequest(AgentError):
    """The caller's fault; `param` names the place in the request body, as in `messages[0].role`."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        if code is not None:
            self.code = code


class ContextLengthExceeded(InvalidRequest):
    def __init__(self, message: str) -> None:
        super().__init__(message, param="messages", code="context_length_exceeded")


class RunTimeout(AgentError):
    code = "run_timeout"


class AskLimitReached(AgentError):
    code = "ask_limit_reached"


class ToolLoop(AgentError):
    code = "tool_loop"


class RunFailed(AgentError):
    code = "internal_error"


class RunAbandoned(AgentError):
    code = "client_disconnected"


class ServerStopped(AgentError):
    code = "server_stopped"


class RateLimitExceeded(AgentError):
    """A limit is reached; `exceeded` names it unless it is that of requests, `retry_after` is in whole seconds."""

    code = "rate_limit_exceeded"

    def __init__(self, *, retry_after: int, exceeded: str = "") -> None:
        super().__init__(f"Rate limit exceeded: {exceeded}" if exceeded else "Rate limit exceeded")
        self.retry_after = retry_after


class BudgetExceeded(AgentError):
    code = "insufficient_quota"


class LimitsUnavailable(AgentError):
    code = "limits_unavailable"


class UsageNotRecorded(AgentError):
    code = "usage_not_recorded"


class ToolFailed(AgentError):
    """A tool could not do what it was asked; `str(error)` is written for the model, which may try again."""

    code = "tool_failed"


class ProviderError(AgentError):
    """The LLM API refused or broke; `retryable`: asking again may help, in `retry_after` seconds if it said so."""

    code = "provider_error"
    retryable = False
    retry_after: float | None = None


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"
    retryable = True


class ProviderTimeout(ProviderError):
    code = "provider_timeout"
    retryable = True


class ProviderRateLimited(ProviderError):
    code = "provider_rate_limited"
    retryable = True


class ProviderRefused(ProviderError):
    code = "provider_refused"


class BadModelAnswer(ProviderError):
    code = "bad_model_answer"
    retryable = True
