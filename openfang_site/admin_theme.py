"""How the web admin looks and what its sidebar offers; django-unfold reads this from the settings."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _file(name: str) -> Callable[[HttpRequest], str]:
    return lambda _: static(f"openfang/{name}")


def _item(title: str, icon: str, app: str, model: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{model}"),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "OpenFang",
    "SITE_HEADER": "OpenFang",
    "SITE_SUBHEADER": "Agents as an API",
    "SITE_URL": None,
    "SITE_ICON": _file("mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _file("mark.svg")}],
    "STYLES": [_file("admin.css")],
    "SCRIPTS": [_file("labelled.js")],
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "agents.admin.dashboard.dashboard",
    "LOGIN": {"form": "openfang_site.security.login.LoginForm"},
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "oklch(97.1% .014 165)",
            "100": "oklch(94.3% .037 165)",
            "200": "oklch(89.4% .072 165)",
            "300": "oklch(81.8% .112 165)",
            "400": "oklch(73% .13 165)",
            "500": "oklch(62.5% .125 165)",
            "600": "oklch(50.5% .105 165)",
            "700": "oklch(44% .092 165)",
            "800": "oklch(37.5% .077 165)",
            "900": "oklch(32.5% .064 165)",
            "950": "oklch(22% .045 165)",
        }
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {"items": [{"title": "Overview", "icon": "home", "link": reverse_lazy("admin:index")}]},
            {
                "title": "Agents",
                "separator": True,
                "items": [
                    _item("Agents", "smart_toy", "agents", "agent"),
                    _item("Requests", "receipt_long", "agents", "usagerecord"),
                    _item("MCP servers", "extension", "agents", "mcpserver"),
                    _item("Memories", "psychology", "agents", "memory"),
                ],
            },
            {
                "title": "Models",
                "separator": True,
                "items": [
                    _item("Providers", "cloud", "agents", "provider"),
                    _item("Language models", "neurology", "agents", "languagemodel"),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    _item("API keys", "key", "agents", "apikey"),
                    _item("Admin tokens", "token", "agents", "admintoken"),
                    _item("Budgets", "savings", "agents", "budget"),
                    _item("Users", "person", "auth", "user"),
                    _item("Groups", "group", "auth", "group"),
                    {
                        "title": "Audit log",
                        "icon": "history",
                        "link": reverse_lazy("audit_log"),
                        "permission": "agents.admin.audit.may_see",
                    },
                    {"title": "Management API", "icon": "api", "link": reverse_lazy("api-docs")},
                ],
            },
        ],
    },
}
