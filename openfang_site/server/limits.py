from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the server takes from a client, and how long it waits for one."""

    body_bytes: int = 32 * 2**20
    header_seconds: float = 20  # for a whole request header, from its first byte
    body_seconds: float = 30  # without a byte of the body
    idle_seconds: float = 75  # between two requests: longer than the 60 s of common load balancers
    stall_seconds: float = 30  # without the client reading a byte of what is ready for it
    linger_bytes: int = 512 * 2**20  # thrown away after a refusal, so that a client that is still sending can read it
    linger_seconds: float = 30
    drain_seconds: float = 20  # for running answers, after a signal to stop
    cancel_seconds: float = 5  # for the clean-up of those that were cancelled then

    @property
    def sweep_seconds(self) -> float:
        """How often connections are looked at: a deadline is overrun by a quarter of the shortest at most."""
        waits = (self.header_seconds, self.body_seconds, self.idle_seconds, self.stall_seconds, self.linger_seconds)
        return min(1.0, *(seconds / 4 for seconds in waits))
