"""The parts that a serving process holds from start to stop, and starting runs with them."""

import asyncio
import math
import threading
import time
from functools import cached_property, partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from agents.embedded_model import embedded_model
from agents.execution import Parts, Run
from agents.keyring import KeySpec
from agents.models import ApiKey
from agents.private_files import WORKSPACES
from agents.providers import Providers
from agents.requests import Caller, RunRequest
from agents.resumption import Resumption
from agents.snapshot import Snapshot, SnapshotKeeper
from agents.tools.mcp import McpPool
from agents.types import AgentSpec
from agents.usage.ledger import Ledger

__all__ = ["Caller", "Run", "RunRequest", "engine"]


class Engine:
    """Everything that serves runs in this process."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._started = False
        self._stopping = self._cancelling = False
        self._keeper = SnapshotKeeper()
        self.ledger = Ledger()
        self._mcp = McpPool()
        self._uses: dict[UUID, float] = {}

    def start(self) -> None:
        """Read what is served and open the ledger; does nothing the second time. Raises DatabaseError."""
        with self._starting:
            if not self._started:
                self._keeper.start()
                self.ledger.start()
                self._started = True

    def drain(self) -> None:
        """From now on this process takes no new requests; those under way may end."""
        self._stopping = True

    def cancel_runs(self) -> None:
        """From now on a run that is cancelled was ended by this server, not by its client."""
        self._cancelling = True

    async def aclose(self) -> None:
        if "providers" in self.__dict__:
            await self.providers.aclose()
        await self._mcp.aclose()
        if self._started:
            await asyncio.to_thread(self.ledger.stop)
            await asyncio.to_thread(self._keeper.stop)

    def note_use(self, key: KeySpec) -> None:
        """Write down when a key was last used, at most once a minute."""
        now = time.monotonic()
        if now - self._uses.get(key.id, -math.inf) >= 60:
            self._uses[key.id] = now
            self.ledger.post(partial(ApiKey.objects.note_use, key.id, timezone.now()))

    @property
    def mcp_breakers(self) -> dict[str, bool]:
        return self._mcp.breakers

    @property
    def stopping(self) -> bool:
        return self._stopping

    @property
    def snapshot(self) -> Snapshot:
        if not self._started:
            self.start()
        return self._keeper.current

    @cached_property
    def providers(self) -> Providers:
        """The providers, made on the event loop that serves."""
        return Providers(idle_seconds=settings.OPENFANG_PROVIDER_IDLE_SECONDS, embedded=embedded_model())

    @cached_property
    def _parts(self) -> Parts:
        return Parts(
            snapshot=lambda: self.snapshot,
            ledger=self.ledger,
            provider=self.providers,
            resumption=Resumption(self.ledger),
            mcp=self._mcp,
            cancelling=lambda: self._cancelling,
            workspaces=settings.OPENFANG_DATA_DIR / WORKSPACES,
        )

    def run(self, agent: AgentSpec, request: RunRequest, caller: Caller) -> Run:
        """Return the run that answers a request. Raises InvalidRequest for what the agent's model cannot take."""
        return Run(self._parts, agent, request, caller)


engine = Engine()
