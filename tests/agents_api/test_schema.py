"""The OpenAPI document, the page that shows it, and whether the server does what it says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import validate
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agents.api.views.docs import document
from agents.models import Agent, ApiKey, Budget
from tests.agents.admin_cast import model, request
from tests.agents_api.conftest import Caller

pytestmark = pytest.mark.django_db


schema = schemathesis.openapi.from_dict(document())
schema.app = get_wsgi_application()  # the server without its network
# Requests at every edge of the document are thought of before the first test; that takes 10 s.
schema.config.phases.coverage.enabled = False
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def served() -> Iterator[None]:
    """Let requests end without closing the test's connection, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def rows() -> None:
    """Something behind each kind of path."""
    agent = Agent.objects.create(name="0", model=model("0", provider="0"))
    ApiKey.objects.issue("0")
    Budget.objects.create(agent=agent, limit=10**12)
    request(agent)


# The health of a server that does not run is bad: test_health.py asks one that does.
@schema.exclude(path="/api/health").parametrize()
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_the_document_says(case: Case[Any], api: Caller, rows: None, served: None) -> None:
    answer = case.call(headers={"authorization": f"Bearer {api.raw}"})

    case.validate_response(answer, checks=CHECKS)


def test_the_document_is_valid_and_the_same_for_everybody(api: Caller) -> None:
    answer = api.get("/api/schema")

    assert answer.json() == json.loads(json.dumps(document()))
    validate(answer.json())


def test_every_operation_tells_its_errors_and_what_it_is_for() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert operation["description"] and operation["summary"], (method, path)
            assert {"401", "403", "429"} <= set(operation["responses"]), (method, path)


def test_no_secret_is_in_the_schema_of_an_answer() -> None:
    schemas = document()["components"]["schemas"]

    assert "api_key" in schemas["ProviderRequest"]["properties"]
    assert "api_key" not in schemas["Provider"]["properties"]
    assert "key" in schemas["IssuedKey"]["properties"] and "key" not in schemas["Key"]["properties"]
    assert not [name for name, found in schemas.items() if "digest" in found.get("properties", {})]


def test_the_page_has_no_script_of_its_own_text_and_nothing_from_elsewhere(api: Caller) -> None:
    page = api.client.get("/api/docs", headers={"accept": "text/html"})

    assert page.status_code == 200
    text = page.content.decode()
    assert text.count("<script") == text.count('<script src="/static/')
    assert "http" not in text.replace("http-equiv", "")
    assert "script-src 'self';" in page["content-security-policy"]


def test_what_makes_the_document_is_loaded_by_nobody_else() -> None:
    code = "import django, sys; django.setup(); import openfang_site.asgi; print('drf_spectacular' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.strip() == "False"
