"""What is served, held in memory: agents, models, providers and keys, as they are in the database.

Requests read this copy and no table. A thread of its own reads it anew when a served row has changed: at once in the
process that saved the row, within POLL_SECONDS in every other.
"""

import logging
import threading
from concurrent.futures import Future
from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from agents import catalog
from agents.errors import AgentNotFound
from agents.keyring import Keyring, KeySpec, read_keys
from agents.limits.budgets import BudgetSpec
from agents.limits.prices import highest_prices
from agents.models import Agent, Budget, LanguageModel, Period, Provider, Revision, Unit, served_changed
from agents.tools import BUILT_IN
from agents.tools.mcp import McpToolSpec, read_mcp_tools
from agents.types import AgentSpec, ModelSpec, Prices, ProviderSpec
from agents.usage.estimates import Measured, measure

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5


class Snapshot:
    """Agents, oldest first, keys and budgets at one revision of the database."""

    def __init__(
        self,
        revision: int,
        agents: list[AgentSpec],
        keys: Keyring,
        *,
        budgets: dict[UUID | None, list[BudgetSpec]] | None = None,
        highest_prices: Prices | None = None,
        mcp_tools: dict[UUID, tuple[McpToolSpec, ...]] | None = None,
        measured: Measured | None = None,
    ) -> None:
        self.revision = revision
        self.agents = agents
        self.highest_prices = highest_prices
        self._by_name = {agent.name: agent for agent in agents}
        self._by_id = {agent.id: agent for agent in agents}
        self.keys = keys
        self._budgets = budgets or {}
        self._mcp_tools = mcp_tools or {}
        self.measured = measured or {}

    @property
    def keyless(self) -> bool:
        """True while no key was ever made, so that the server is open on loopback."""
        return not self.keys

    def budgets(self, agent: AgentSpec, key: KeySpec | None) -> tuple[BudgetSpec, ...]:
        """Return the budgets that a run counts for."""
        if not self._budgets:
            return ()
        owners = (key.id, agent.id, None) if key else (agent.id, None)
        return tuple(budget for owner in owners for budget in self._budgets.get(owner, ()))

    def mcp_tools(self, agent: AgentSpec) -> tuple[McpToolSpec, ...]:
        """Return the tools of MCP servers that an agent has."""
        return self._mcp_tools.get(agent.id, ())

    def visible(self, key: KeySpec | None) -> list[AgentSpec]:
        """Return the agents that a caller may know of."""
        return self.agents if key is None else [agent for agent in self.agents if key.opens(agent)]

    def find(self, model: str, key: KeySpec | None) -> AgentSpec | None:
        """Return the agent that a model name addresses: `openfang:<name or id>`, an id, or a name."""
        name = model.strip().lower().removeprefix("openfang:")
        agent = self._by_name.get(name)
        if agent is None and (agent_id := _uuid(name)):
            agent = self._by_id.get(agent_id)
        return agent if agent is not None and (key is None or key.opens(agent)) else None

    def resolve(self, model: str, key: KeySpec | None) -> AgentSpec:
        """Return the agent that answers for a model name; names of other services fall back to the first agent.

        Raises AgentNotFound, which never tells whether the agent exists and is only not the caller's.
        """
        if agent := self.find(model, key):
            return agent
        name = model.strip().lower()
        explicit = name.startswith("openfang:") or _uuid(name) is not None
        if not explicit and settings.OPENFANG_FALLBACK_TO_FIRST_AGENT and (visible := self.visible(key)):
            return visible[0]
        raise AgentNotFound(f"No agent found for model '{model[:200]}'")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def read_snapshot() -> Snapshot:
    """Read everything that is served from the database."""
    revision = Revision.current()
    models = read_models()
    default = default_model(list(models.values()))
    agents = [
        _agent_spec(agent, models, default)
        for agent in Agent.objects.filter(enabled=True).order_by("created_at", "id").prefetch_related("fallbacks")
    ]
    in_use = {model for agent in agents for model in agent.models}
    mcp_tools = read_mcp_tools()
    agents_tools = [tool.spec for tool in BUILT_IN.values()]
    agents_tools += [tool.told for tools in mcp_tools.values() for tool in tools]
    return Snapshot(
        revision,
        agents,
        read_keys(),
        budgets=read_budgets(),
        highest_prices=highest_prices(in_use) or highest_prices(models.values()),
        mcp_tools=mcp_tools,
        measured=measure(agents_tools, [agent.system_prompt for agent in agents]),
    )


def read_agent(row: Agent) -> AgentSpec:
    """Read how a row would be served that is not the one served now: an earlier version of an agent."""
    models = read_models()
    return _agent_spec(row, models, default_model(list(models.values())))


def read_budgets() -> dict[UUID | None, list[BudgetSpec]]:
    """Read the budgets, by the key or the agent that they are of; the server's own are under None."""
    budgets: dict[UUID | None, list[BudgetSpec]] = {}
    for row in Budget.objects.select_related("api_key", "agent"):
        spec = BudgetSpec(row.pk, row.whose, Period(row.period), Unit(row.unit))
        budgets.setdefault(row.api_key_id or row.agent_id, []).append(spec)
    return budgets


def read_models() -> dict[int, ModelSpec]:
    """Read every model, by the key of its row."""
    providers = {provider.pk: _provider_spec(provider) for provider in Provider.objects.all()}
    return {
        row.pk: _model_spec(row, providers[row.provider_id])
        for row in LanguageModel.objects.all()
        if row.provider_id in providers
    }


def default_model(models: list[ModelSpec]) -> ModelSpec | None:
    """Return the model of agents that name none: the settings', else that of the first provider whose key is here."""
    provider, name = settings.OPENFANG_DEFAULT_PROVIDER, settings.OPENFANG_DEFAULT_MODEL
    by_name = {(model.provider.name, model.name): model for model in models}
    known = {entry.name: entry for entry in catalog.load_catalog().providers}
    if provider and not name:
        name = known[provider].default_model or "" if provider in known else ""
    if name:
        matching = (model for (at, called), model in by_name.items() if called == name and provider in ("", at))
        return next(matching, None)
    for entry in known.values():
        model = by_name.get((entry.name, entry.default_model or ""))
        if model is not None and (model.provider.api_key or model.provider.kind == "embedded"):
            return model
    return None


def _provider_spec(row: Provider) -> ProviderSpec:
    return ProviderSpec(
        name=row.name,
        label=str(row),
        kind="embedded" if row.kind == "embedded" else "openai",
        base_url=row.base_url,
        api_key=row.api_key(),
        api_key_env=row.api_key_env,
        key_withheld=bool(row.why_withheld),
        proxy=settings.PROXIES.for_url(row.base_url),
    )


def _model_spec(row: LanguageModel, provider: ProviderSpec) -> ModelSpec:
    return ModelSpec(
        name=row.name,
        provider=provider,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        prices=Prices(row.prompt_price, row.cached_price, row.completion_price),
        tools=row.tools,
        vision=row.vision,
        reasoning=row.reasoning,
        token_correction=row.token_correction,
    )


def _agent_spec(row: Agent, models: dict[int, ModelSpec], default: ModelSpec | None) -> AgentSpec:
    first = models.get(row.model_id) if row.model_id else default
    fallbacks = (models.get(fallback.model_id) for fallback in row.fallbacks.all())
    chain = dict.fromkeys(model for model in (first, *fallbacks) if model is not None)
    return AgentSpec(
        id=row.id,
        name=row.name,
        description=row.description,
        created=int(row.created_at.timestamp()),
        system_prompt=row.system_prompt,
        models=tuple(chain),
        temperature=row.temperature,
        top_p=row.top_p,
        max_tokens=row.max_tokens,
        max_llm_calls=row.max_llm_calls,
        run_timeout=row.run_timeout,
        honour_client_parameters=row.honour_client_parameters,
        max_tool_calls=row.max_tool_calls,
        tools=tuple(row.tools),
        tool_activity=row.tool_activity,
        workspace_per_key=row.workspace_per_key,
    )


class SnapshotKeeper:
    """Holds the current snapshot and renews it, from `start` to `stop`, in a thread of its own."""

    def __init__(self) -> None:
        self.current = Snapshot(0, [], Keyring({}))
        self._read: Future[None] = Future()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="openfang-snapshot", daemon=True)

    def start(self) -> None:
        """Read the snapshot and keep it current. Raises what keeps it from being read, such as DatabaseError."""
        served_changed.connect(self._changed)
        self._thread.start()
        self._read.result()

    def stop(self) -> None:
        served_changed.disconnect(self._changed)
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _changed(self, **_: object) -> None:
        self._wake.set()

    def _watch(self) -> None:
        try:
            self.current = read_snapshot()
        except Exception as error:  # whatever it is, it is `start` that fails
            self._read.set_exception(error)
            return
        self._read.set_result(None)
        failing = False
        while not self._stopping:
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            try:
                if Revision.current() != self.current.revision:
                    self.current = read_snapshot()
                failing = False
            except (DatabaseError, InterfaceError) as error:
                if not failing:
                    logger.warning("The database does not answer; agents are served as last read: %s", error)
                failing = True
                connection.close()
            except Exception:  # a row that is not as we write them: once it is mended, this thread must be there
                if not failing:
                    logger.exception("A change cannot be read; but for keys, all is served as last read.")
                failing = True
                with suppress(Exception):  # which may be what cannot be read
                    self.current.keys = read_keys()
        connection.close()
