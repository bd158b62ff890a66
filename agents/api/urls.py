"""What is below /api."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from agents.api.views import usage
from agents.api.views.agents import Agents
from agents.api.views.base import UnknownEndpoint
from agents.api.views.budgets import Budgets
from agents.api.views.docs import Docs, SchemaDocument
from agents.api.views.keys import Keys
from agents.api.views.mcp import McpServers
from agents.api.views.profiles import Profiles
from agents.api.views.providers import Models, Providers

router = SimpleRouter(trailing_slash=False)
router.register("agents", Agents, "api-agent")
router.register("keys", Keys, "api-key")
router.register("providers", Providers, "api-provider")
router.register("models", Models, "api-model")
router.register("budgets", Budgets, "api-budget")
router.register("mcp/servers", McpServers, "api-mcp-server")

urlpatterns = [
    *router.urls,
    path("profiles", Profiles.as_view()),
    path("usage", usage.Rows.as_view()),
    path("usage/summary", usage.Summary.as_view()),
    path("usage/by-agent", usage.ByAgent.as_view()),
    path("usage/by-key", usage.ByKey.as_view()),
    path("usage/by-model", usage.ByModel.as_view()),
    path("usage/daily", usage.Daily.as_view()),
    path("usage/<id>", usage.Requests.as_view({"get": "retrieve"})),
    path("schema", SchemaDocument.as_view(), name="api-schema"),
    path("docs", Docs.as_view(), name="api-docs"),
    re_path(r"", UnknownEndpoint.as_view()),
]
