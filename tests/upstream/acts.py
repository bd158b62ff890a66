"""What the upstream can do while it answers: write bytes, pause, wait for the test, or drop the connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Mark(Enum):
    """A turning point inside an answer."""

    HOLD = "wait until the test releases the request or the client goes away"
    CUT = "close the connection although the answer is not finished"
    RESET = "reset the connection (TCP RST), as a crashed process or a firewall does"


@dataclass(frozen=True)
class Pause:
    """Silence of some seconds."""

    seconds: float


Act = bytes | Pause | Mark


@dataclass(frozen=True)
class Reply:
    """The answer to one request: what goes into its head, and the acts in their order."""

    acts: tuple[Act, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    # The declared length of the body. None: chunked, as every stream is.
    length: int | None = None
