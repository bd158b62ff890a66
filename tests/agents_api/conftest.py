"""Callers of the management API: programs with a token, people with a session."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.test import Client

from agents.models import AdminToken
from agents.setup.roles import make_roles


class Caller:
    """Asks the API with one token; each answer is a response whose body is JSON."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.client = Client(headers={"authorization": f"Bearer {raw}"}) if raw else Client()

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(path, body, content_type="application/json")

    def patch(self, path: str, body: Any) -> Any:
        return self.client.patch(path, body, content_type="application/json")

    def delete(self, path: str) -> Any:
        return self.client.delete(path)


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    cache.clear()


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss")


@pytest.fixture
def caller() -> Callable[..., Caller]:
    """Return somebody who has a token: with these scopes, in the name of somebody with this role, or of the boss."""

    def make(*scopes: str, role: str = "") -> Caller:
        name = role or "boss"
        owner, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": not role})
        if role:
            make_roles()
            owner.groups.add(Group.objects.get(name=role))
        number = AdminToken.objects.count()
        _, raw = AdminToken.objects.issue(f"token-{number}", owner, scopes or ["admin"], requests_per_minute=0)
        return Caller(raw)

    return make


@pytest.fixture
def api(caller: Callable[..., Caller]) -> Caller:
    """A caller who may do everything."""
    return caller("admin")


def error(response: Any, status: int) -> dict[str, Any]:
    """The error of an answer that has this status, in the one shape that errors have."""
    assert response.status_code == status, response.content
    assert response["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    found: dict[str, Any] = body["error"]
    return found
