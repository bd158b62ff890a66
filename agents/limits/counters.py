"""What is counted in the cache for requests that run, and how long it is kept."""

from msgspec import Struct

KEPT_SECONDS = 65  # a counter must outlive its minute on every process's clock
SLOT_SECONDS = 60  # after which the slot of a process that was killed is free again

PARALLEL_REQUESTS, TOKENS_PER_MINUTE = "parallel requests", "tokens per minute"  # as they are named when exceeded


class Taken(Struct, frozen=True):
    """What a request got of its key's limits: nothing if one is `exceeded`. `used` is what others had of the tokens."""

    used: int | None = None
    slot: str = ""
    exceeded: str = ""
