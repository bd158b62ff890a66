"""`openfang audit` says what it found, or that it could not look."""

import json
from pathlib import Path

import pytest

from tests.agents.command_line import Installation

FAKE = """
import json, sys
assert sys.argv[1:3] == ["--local", "--skip-editable"], sys.argv
print(json.dumps({"dependencies": json.loads(%r)}))
sys.exit(%d)
"""
SAFE = {"name": "django", "version": "5.2.19", "vulns": []}
UNSAFE = {"name": "daphne", "version": "4.2.3", "vulns": [{"id": "GHSA-xxxx", "fix_versions": ["4.2.4"]}]}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def auditor(tmp_path: Path, packages: list[object], status: int) -> str:
    """A directory with a pip_audit that has found these packages."""
    package = tmp_path / "fake" / "pip_audit"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE % (json.dumps(packages), status))
    return str(package.parent)


def test_no_advisories(installation: Installation, tmp_path: Path) -> None:
    said = installation.openfang("audit", PYTHONPATH=auditor(tmp_path, [SAFE], 0))
    assert (said.returncode, said.stdout) == (0, "No advisories for 1 packages.\n")


def test_an_advisory_is_named_and_fails_the_command(installation: Installation, tmp_path: Path) -> None:
    said = installation.openfang("audit", PYTHONPATH=auditor(tmp_path, [SAFE, UNSAFE], 1))
    assert said.returncode == 1
    assert said.stdout.splitlines()[1].split() == ["daphne", "4.2.3", "GHSA-xxxx", "4.2.4"]
    assert said.stderr == "openfang: 1 advisories for 2 packages.\n"


def test_a_service_that_cannot_be_reached_is_not_taken_for_a_clean_answer(installation: Installation) -> None:
    nowhere = "http://127.0.0.1:9"
    refusal = installation.refusal("audit", HTTPS_PROXY=nowhere, HTTP_PROXY=nowhere, ALL_PROXY=nowhere)
    assert refusal.startswith("The advisory service cannot be reached, so nothing was audited")
