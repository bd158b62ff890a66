"""What a run takes of its caller's limits and budgets, from before its opening row to its closing one."""

from functools import partial

from agents.errors import BudgetExceeded
from agents.limits.budgets import Hold, extend
from agents.models import UsageRecord, UsageStep
from agents.requests import Caller, RunRequest, settled_parameters
from agents.snapshot import Snapshot
from agents.types import AgentSpec, LLMCallStarted, Message, ModelSpec, Usage
from agents.usage.ledger import Ledger
from agents.usage.recording import Recording
from agents.usage.spending import Spending, call_tokens


class Admission:
    """One run's way past the limits. `refused` is true until it is admitted: then there is a row to be closed."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Snapshot,
        *,
        agent: AgentSpec,
        models: tuple[ModelSpec, ...],
        request: RunRequest,
        caller: Caller,
    ) -> None:
        self.refused = True
        self._ledger = ledger
        self._models = models
        self._allowance = caller.allowance
        self._messages = [Message("system", agent.system_prompt), *request.messages]
        self._max_tokens = settled_parameters(agent, request.parameters).max_tokens
        self._spending: Spending | None = None
        if models and (budgets := snapshot.budgets(agent, caller.key)):
            self._spending = Spending(budgets, models, self._max_tokens, snapshot.highest_prices)
        self._hold: Hold | None = None

    async def enter(self, row: UsageRecord, *, free: bool) -> None:
        """Take what the run may use, nothing if it is `free`, and commit its opening row.

        Raises RateLimitExceeded or BudgetExceeded, and then has left nothing behind.
        """
        limited = self._allowance is not None or self._spending is not None
        usage = call_tokens(self._messages, self._models, self._max_tokens) if limited and not free else Usage()
        if self._allowance is not None:
            await self._allowance.take(usage.prompt_tokens + usage.completion_tokens)
        try:
            if self._spending is not None and not free:
                self._hold = self._spending.hold(row.id, row.started_at, usage)
            self.refused = False
            await self._ledger.open(row, self._hold)
        except BudgetExceeded:
            self.refused = True
            if self._allowance is not None:
                await self._allowance.settle(0)
            raise

    async def before_call(self, steps: list[UsageStep], call: LLMCallStarted) -> None:
        """Reserve more if what is reserved does not cover this call. Raises BudgetExceeded if that cannot be had."""
        if self._hold is None or self._spending is None:
            return
        needed = self._spending.used(steps) + self._spending.next_call(call.request.messages)
        if not self._hold.reserved.covers(needed):
            more = self._hold.reserved.at_least(needed)
            if refusal := await self._ledger.perform(partial(extend, self._hold, more)):
                raise refusal

    async def leave(self, recording: Recording, *, later: bool = False) -> None:
        """Give back what the run has not used and commit its closing row; `later` if nobody waits for that."""
        if self._hold is not None and self._spending is not None:
            self._hold.used = self._spending.used(recording.steps)
        if self._allowance is not None:
            used = recording.usage.prompt_tokens + recording.usage.completion_tokens
            await self._allowance.settle(used)
        if later:
            self._ledger.close_later(recording.row, recording.steps, recording.conversation, self._hold)
        else:
            await self._ledger.close(recording.row, recording.steps, recording.conversation, self._hold)
