"""`openfang config`: every setting, its value, and where that comes from."""

import json
import re
from pathlib import Path

import pytest

from openfang_site.management.commands.config import names_in
from tests.agents.command_line import ROOT, Installation


@pytest.fixture(scope="module")
def settings_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What is said of each setting where some are set."""
    given = {
        "OPENFANG_PORT": "0",
        "OPENFANG_API_KEY": "key-of-16-characters",
        "OPENFANG_WRONG_KEYS_PER_MINUTE": "5",
        "OPENFANG_ALERT_WEBHOOK": "https://hooks.test/secret-path",
        "OPENFANG_ALERT_SECRET": "secret-of-alerts",
        "OPENFANG_SECRET_KEY": "secret-of-sessions",
        "DATABASE_URL": "postgres://ada:secret-of-ada@127.0.0.1:1/openfang",
        "GROQ_API_KEY": "gsk-secret-of-groq",
    }
    said = Installation(tmp_path_factory.mktemp("data")).openfang("config", "--json", **given)
    assert said.returncode == 0, said
    assert "secret-" not in said.stdout.replace("OPENFANG_SECRET", "")
    return {row["name"]: row for row in json.loads(said.stdout)}


def test_what_is_set_and_what_is_not_are_told_apart(settings_of):
    assert settings_of["OPENFANG_PORT"] == {"name": "OPENFANG_PORT", "value": "0", "source": "environment"}
    assert settings_of["OPENFANG_HOST"] == {"name": "OPENFANG_HOST", "value": "127.0.0.1", "source": "default"}
    assert settings_of["OPENFANG_WRONG_KEYS_PER_MINUTE"]["value"] == "5"
    assert settings_of["OPENFANG_FALLBACK_TO_FIRST_AGENT"]["value"] == "true"


@pytest.mark.parametrize("name", ["OPENFANG_API_KEY", "OPENFANG_ALERT_WEBHOOK", "OPENFANG_SECRET_KEY", "GROQ_API_KEY"])
def test_of_a_secret_it_is_told_only_that_it_is_set(settings_of, name):
    assert settings_of[name] == {"name": name, "value": None, "source": "environment", "secret": True, "set": True}


def test_the_password_of_a_url_is_taken_out(settings_of):
    assert settings_of["DATABASE_URL"]["value"] == "postgres://ada:[redacted]@127.0.0.1:1/openfang"


def test_every_variable_that_the_settings_read_is_listed(settings_of):
    text = (ROOT / "openfang_site" / "settings.py").read_text()
    assert set(re.findall(r"env_\w+\(\s*\"([A-Z_]+)\"", text)) <= set(settings_of)


def test_the_table_says_where_a_made_secret_key_is_kept(tmp_path: Path) -> None:
    lines = Installation(tmp_path).openfang("config").stdout.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM"]
    [line] = [line for line in lines if line.startswith("OPENFANG_SECRET_KEY ")]
    assert line.endswith(" the file secret_key in the data directory")
    assert "(set, not shown)" in line
    assert (tmp_path / "secret_key").read_text() not in "\n".join(lines)


def test_the_names_in_a_file_for_docker_compose_are_found(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# A=1\nB=2\n C = 3\n\nnothing\n")
    assert names_in(tmp_path / ".env") == ["B", "C"]
    assert names_in(tmp_path / "missing") == []


def test_every_setting_is_told_in_the_page_of_settings(settings_of):
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    assert set(settings_of) - told == set()
