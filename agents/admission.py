"""What a run takes of its caller's limits and budgets, from before its opening row to its closing one."""

from collections.abc import Sequence
from functools import partial

from agents.errors import BudgetExceeded
from agents.limits.budgets import Hold, extend
from agents.models import TokenSource, UsageRecord, UsageStep
from agents.requests import Caller, RunRequest, settled_parameters
from agents.snapshot import Snapshot
from agents.tools.toolbox import Tool
from agents.types import AgentSpec, LLMCallStarted, Message, ModelSpec, PromptEstimate, Usage
from agents.usage import estimates
from agents.usage.corrections import corrections
from agents.usage.estimates import PromptEstimator
from agents.usage.ledger import Ledger
from agents.usage.recording import Recording
from agents.usage.spending import Spending, call_tokens, output_cap


class Admission:
    """One run's way past the limits. `refused` is true until it is admitted: then there is a row to be closed."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Snapshot,
        *,
        agent: AgentSpec,
        models: tuple[ModelSpec, ...],
        tools: Sequence[Tool],
        request: RunRequest,
        caller: Caller,
    ) -> None:
        self.refused = True
        self._ledger = ledger
        self._revision = snapshot.revision
        self._models = models
        self._allowance = caller.allowance
        self._agent = agent
        self._request = request
        self._tools = tools
        self._cap = output_cap(models, settled_parameters(agent, request.parameters).max_tokens)
        self._spending: Spending | None = None
        if models and (budgets := snapshot.budgets(agent, caller.key)):
            self._spending = Spending(budgets, models, self._cap, snapshot.highest_prices)
        limited = self._allowance is not None or self._spending is not None
        self._estimator = PromptEstimator(snapshot.measured, thorough=limited)
        self._hold: Hold | None = None
        self._counted = 0  # of this run in the key's tokens a minute

    async def enter(self, row: UsageRecord, *, free: bool) -> None:
        """Take what the run may use, nothing if it is `free`, and commit its opening row.

        Raises RateLimitExceeded or BudgetExceeded, and then has left nothing behind.
        """
        calls = bool(self._models) and not free
        estimate = self._first_call() if calls else PromptEstimate(0)
        if calls:
            self._enter_least(row, estimate)
        if self._allowance is not None:
            self._counted = await self._allowance.take(call_tokens(estimate, self._models, self._cap) if calls else 0)
        try:
            if self._spending is not None and calls:
                self._hold = self._spending.hold(row.id, row.started_at, estimate)
            self.refused = False
            await self._ledger.open(row, self._hold)
        except BudgetExceeded:
            self.refused = True
            if self._allowance is not None:
                await self._allowance.settle(-self._counted)
            raise

    async def before_call(self, steps: list[UsageStep], call: LLMCallStarted) -> None:
        """Estimate a call and reserve more if what is reserved does not cover it. Raises BudgetExceeded if it cannot.

        A run under way is not stopped by its key's tokens a minute; what it takes of them counts for other requests.
        """
        request = call.request
        call.estimate = self._estimator.estimate(request.messages, request.tools, request.parameters.response_format)
        if self._allowance is not None:
            used = sum(step.total_tokens for step in steps)
            await self._count(used + call_tokens(call.estimate, (call.model,), self._cap))
        if self._hold is None or self._spending is None:
            return
        needed = self._spending.used(steps) + self._spending.next_call(call.estimate, call.model)
        if not self._hold.reserved.covers(needed):
            more = self._hold.reserved.at_least(needed)
            if refusal := await self._ledger.perform(partial(extend, self._hold, more)):
                raise refusal

    async def leave(self, recording: Recording, *, later: bool = False) -> None:
        """Give back what the run has not used and commit its closing row; `later` if nobody waits for that."""
        if self._hold is not None and self._spending is not None:
            self._hold.used = self._spending.used(recording.steps)
        if self._allowance is not None:
            more = recording.usage.prompt_tokens + recording.usage.completion_tokens - self._counted
            await self._allowance.settle(more)
        for call, counted in recording.counted if self._estimator.thorough else ():
            corrections.learn(call.model, self._revision, call.estimate, counted, self._ledger.post)
        if later:
            self._ledger.close_later(recording.row, recording.steps, recording.conversation, self._hold)
        else:
            await self._ledger.close(recording.row, recording.steps, recording.conversation, self._hold)

    def _first_call(self) -> PromptEstimate:
        """Estimate the run's first call from its request, before what earlier runs have left is looked up."""
        prompt = self._agent.system_prompt
        messages = [Message("system", prompt), *self._request.messages] if prompt else self._request.messages
        tools = [tool.spec for tool in self._tools]
        if self._agent.takes_tools:
            tools += self._request.tools
        return self._estimator.estimate(messages, tools, self._request.parameters.response_format)

    def _enter_least(self, row: UsageRecord, estimate: PromptEstimate) -> None:
        """Enter into the opening row what counts if this process dies: the prompt that a provider may have received."""
        model = self._models[0]
        prompt = Usage(estimates.prompt_tokens(estimate, model))
        row.provider, row.model = model.provider.name, model.name
        row.prompt_tokens, row.cost = prompt.prompt_tokens, model.prices.cost(prompt)
        row.token_source = TokenSource.ESTIMATED

    async def _count(self, needed: int) -> None:
        """Count so many of the run's tokens in its key's minute, if fewer are counted."""
        if self._allowance is not None and needed > self._counted:
            await self._allowance.count(needed - self._counted)
            self._counted = needed
