"""Every table of the project."""

from agents.models.admin_token import AdminToken, Scope
from agents.models.agent import Agent, AgentFallback
from agents.models.api_key import ApiKey
from agents.models.budget import Budget, BudgetPeriod, Period, Reservation, Unit
from agents.models.changes import changes_of
from agents.models.content import StoredContent
from agents.models.mcp import AgentMcpTool, McpServer, McpTransport
from agents.models.memory import Memory
from agents.models.price import ModelPrice
from agents.models.provider import LanguageModel, Provider, ProviderKind
from agents.models.quarantine import QuarantinedEntry
from agents.models.rollup import DailyRollup, EndUserDay, UsageRollup
from agents.models.served import Revision, served_changed
from agents.models.transcript import Transcript
from agents.models.usage import Status, StepKind, TokenSource, UsageRecord, UsageStep
from agents.models.worker import Worker

__all__ = [
    "AdminToken",
    "Agent",
    "AgentFallback",
    "AgentMcpTool",
    "ApiKey",
    "Budget",
    "BudgetPeriod",
    "DailyRollup",
    "EndUserDay",
    "LanguageModel",
    "McpServer",
    "McpTransport",
    "Memory",
    "ModelPrice",
    "Period",
    "Provider",
    "ProviderKind",
    "QuarantinedEntry",
    "Reservation",
    "Revision",
    "Scope",
    "Status",
    "StepKind",
    "StoredContent",
    "TokenSource",
    "Transcript",
    "Unit",
    "UsageRecord",
    "UsageRollup",
    "UsageStep",
    "Worker",
    "changes_of",
    "served_changed",
]
