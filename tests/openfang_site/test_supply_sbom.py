"""`openfang sbom` describes this installation in CycloneDX, as the format's own schema wants it."""

import json
import platform
from importlib.metadata import version

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from openfang_site.supply_chain import bom
from tests.agents.command_line import Said, command


@pytest.fixture(scope="module")
def said() -> Said:
    return command("sbom")


@pytest.fixture(scope="module")
def components(said):
    return {component["name"]: component for component in json.loads(said.out)["components"]}


def test_the_schema_of_cyclonedx_accepts_it(said):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said.out) is None


def test_the_schema_is_really_asked(said):
    broken = json.loads(said.out)
    del broken["components"][0]["name"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None


def test_it_names_each_package_with_its_version_url_licence_and_hashes(components):
    django = components["Django"]
    assert django["version"] == version("django")
    assert django["purl"] == f"pkg:pypi/django@{version('django')}"
    assert django["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert {entry["alg"] for entry in django["hashes"]} == {"SHA-256"}
    assert all(len(entry["content"]) == 64 for entry in django["hashes"])
    assert components["CPython"]["version"] == platform.python_version()


def test_it_names_what_the_server_needs_and_what_those_need(said):
    needs = {entry["ref"]: entry["dependsOn"] for entry in json.loads(said.out)["dependencies"]}
    django = f"pkg:pypi/django@{version('django')}"
    assert django in needs["openfang"]
    assert f"pkg:pypi/sqlparse@{version('sqlparse')}" in needs[django]
    assert f"pkg:pypi/sqlparse@{version('sqlparse')}" not in needs["openfang"]


def test_a_package_that_no_lock_has_is_listed_and_said(tmp_path, monkeypatch, capsys):
    info = tmp_path / "stowaway-1.0+local.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Stow.Away\nVersion: 1.0+local\nLicense: Mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = command("sbom")
    (component,) = (each for each in json.loads(said.out)["components"] if each["name"] == "Stow.Away")
    assert component["purl"] == "pkg:pypi/stow-away@1.0%2Blocal"
    assert component["licenses"] == [{"license": {"name": "Mine"}}]
    assert "hashes" not in component
    assert "Stow.Away 1.0+local" in said.err
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said.out) is None


def test_without_lock_files_it_still_lists_what_is_installed(tmp_path):
    bill = bom.bill_of_materials(tmp_path)
    assert len(bom.without_hashes(bill)) == len(bill["components"]) - 1
