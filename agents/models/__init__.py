"""Every table of the project."""

from agents.models.agent import Agent, AgentFallback
from agents.models.api_key import ApiKey
from agents.models.provider import LanguageModel, Provider, ProviderKind
from agents.models.rollup import UsageRollup
from agents.models.served import Revision, served_changed
from agents.models.usage import Status, StepKind, TokenSource, UsageRecord, UsageStep
from agents.models.worker import Worker

__all__ = [
    "Agent",
    "AgentFallback",
    "ApiKey",
    "LanguageModel",
    "Provider",
    "ProviderKind",
    "Revision",
    "Status",
    "StepKind",
    "TokenSource",
    "UsageRecord",
    "UsageRollup",
    "UsageStep",
    "Worker",
    "served_changed",
]
