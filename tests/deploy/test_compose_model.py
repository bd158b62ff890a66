"""The service of docker-compose.yml that has the embedded model."""

import re
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from tests.agents.command_line import ROOT


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    composed: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return composed["services"]


def test_servers_look_for_it_where_it_listens(services):
    name, *words = services["model"]["command"]
    options = load_command_class("openfang_site", name).create_parser("openfang", name).parse_args(words)
    assert options.host == "0.0.0.0"
    assert services["web"]["environment"]["OPENFANG_EMBEDDED_URL"] == f"http://model:{options.port}/v1"
    assert services["model"]["healthcheck"]["test"][-2:] == [str(options.port), "/health"]


def test_workers_alone_reach_it(services):
    assert "ports" not in services["model"]
    assert services["model"]["networks"] == ["back"]
    assert "back" not in services["proxy"]["networks"]


def test_it_knows_no_secret_but_the_one_that_its_key_is_made_of(services):
    model = services["model"]
    assert (model["env_file"], model["volumes"]) == ([], [])
    variables = {name for value in model["environment"].values() for name in re.findall(r"\$\{(\w+)", value)}
    assert variables == {"OPENFANG_SECRET_KEY"}


def test_an_image_without_it_has_no_service_for_it(services):
    assert services["model"]["deploy"]["replicas"] == services["model"]["build"]["args"]["EMBEDDED_MODEL"]
