"""`openfang init-env`: the file that docker compose takes its secrets from."""

import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

SECRETS = {"OPENFANG_SECRET_KEY", "OPENFANG_ADMIN_PASSWORD", "OPENFANG_API_KEY", "POSTGRES_PASSWORD"}


def values(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_it_makes_secrets_that_nobody_else_can_read_and_tells_those_that_people_type(tmp_path, capsys):
    path = tmp_path / ".env"
    call_command("init-env", file=str(path))
    made = values(path)
    assert set(made) == SECRETS
    assert all(len(value) >= 16 for value in made.values())
    assert path.stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr().out
    assert made["OPENFANG_ADMIN_PASSWORD"] in said and made["OPENFANG_API_KEY"] in said
    assert made["OPENFANG_SECRET_KEY"] not in said and made["POSTGRES_PASSWORD"] not in said


def test_no_two_are_alike(tmp_path):
    for name in "ab":
        call_command("init-env", file=str(tmp_path / name))
    first, second = values(tmp_path / "a"), values(tmp_path / "b")
    assert not set(first.values()) & set(second.values())


def test_secrets_in_use_are_never_written_over(tmp_path):
    path = tmp_path / ".env"
    path.write_text("OPENFANG_SECRET_KEY=in use\n")
    with pytest.raises(CommandError, match="is there already"):
        call_command("init-env", file=str(path))
    assert path.read_text() == "OPENFANG_SECRET_KEY=in use\n"


def test_a_host_name_means_https_for_everybody(tmp_path):
    call_command("init-env", "--host", "Agents.Example.com", "--file", str(tmp_path / ".env"))
    made = values(tmp_path / ".env")
    assert {name: value for name, value in made.items() if name not in SECRETS} == {
        "OPENFANG_SITE": "agents.example.com",
        "OPENFANG_HTTPS": "true",
        "OPENFANG_ALLOWED_HOSTS": "agents.example.com",
        "OPENFANG_BIND": "0.0.0.0",
        "OPENFANG_HTTP_PORT": "80",
        "OPENFANG_HTTPS_PORT": "443",
    }


@pytest.mark.parametrize("name", ["https://a.example.com", "a b.com", "localhost", "a.example.com\nX=1", ""])
def test_what_is_no_host_name_is_refused(name, tmp_path):
    with pytest.raises(CommandError, match="is not a host name"):
        call_command("init-env", "--host", name, "--file", str(tmp_path / ".env"))
    assert not os.listdir(tmp_path)
