"""The web admin: one file a noun of the product."""

from django.contrib import admin

from agents.admin import (
    admin_tokens,
    agents,
    api_keys,
    budgets,
    mcp_servers,
    memories,
    models,
    providers,
    usage,
    users,
)

__all__ = [
    "admin_tokens",
    "agents",
    "api_keys",
    "budgets",
    "mcp_servers",
    "memories",
    "models",
    "providers",
    "usage",
    "users",
]

admin.site.index_title = "Overview"
