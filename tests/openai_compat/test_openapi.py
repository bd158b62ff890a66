"""The document at /v1/openapi.json is valid, and the server does what it says."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import validate
from schemathesis import Case
from schemathesis.specs.openapi.checks import ignored_auth, missing_required_header, positive_data_acceptance

from openai_compat.openapi import document
from tests.live import Live
from tests.openai_compat.raw import send
from tests.upstream import Upstream, says

schema = schemathesis.openapi.from_dict(document())

EXCLUDED = [
    # Some rules join two fields, which the schema does not: a tool_choice must name one of the tools.
    positive_data_acceptance,
    # Wrong keys are slowed, so asking with them changes what the next example is told: test_keys.py has each kind.
    ignored_auth,
    # No header is required but the key.
    missing_required_header,
]


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_the_document_says(case: Case[Any], guarded: Live, upstream: Upstream) -> None:
    upstream.default = says("Hello")
    headers = {"authorization": f"Bearer {guarded.keys['alice']}"}
    case.call_and_validate(base_url=guarded.url, headers=headers, excluded_checks=EXCLUDED, timeout=60)


def test_the_document_is_valid() -> None:
    validate(document())


def test_the_document_is_for_those_who_may_list_the_models(guarded: Live) -> None:
    assert send(guarded, "GET", "/v1/openapi.json").status == 401
    answer = send(guarded, "GET", "/v1/openapi.json", key=guarded.keys["bob"])
    assert answer.status == 200
    assert answer.json() == document()


def test_the_document_names_every_path_that_there_is(live: Live) -> None:
    for path, operations in document()["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            answer = send(live, method.upper(), path.replace("{model}", "openfang:coder"), {})
            assert (answer.status == 405) == (method not in operations), (method, path)
