from collections.abc import Callable, Iterable
from dataclasses import dataclass

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that the server has refused by itself, with what it had read of it until then.

    Method and path are empty where they could not be read; `headers` are those of an ASGI scope. A client whose
    header is overdue gets no answer: its refusal has the status 408, but no request id.
    """

    method: str
    path: str
    headers: Headers
    status: int
    code: str
    seconds: float
    request_id: str = ""


# Told of each refusal; returns headers that the answer to it gets besides its own.
OnRefusal = Callable[[Refusal], Iterable[tuple[bytes, bytes]]]
