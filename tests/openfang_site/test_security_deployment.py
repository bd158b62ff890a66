"""A server behind HTTPS: cookies, redirects, and what is believed of a proxy."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agents.networks import read_networks

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = {
    "OPENFANG_HTTPS": "true",
    "OPENFANG_TRUSTED_PROXIES": "10.0.0.0/8",
    "OPENFANG_ALLOWED_HOSTS": "agents.example.com",
    "OPENFANG_SECRET_KEY": "GkX3vT1qZ8rW5yB7nM2cL9pD4sF6hJ0aE_uIoQwRtYxVbNzK-m",
}


def manage(tmp_path: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", *words],
        env={"PATH": os.environ["PATH"], "OPENFANG_DATA_DIR": str(tmp_path), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_django_finds_nothing_wrong_with_a_deployment(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **DEPLOYMENT)
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout + checked.stderr


def test_https_needs_the_proxy_to_be_named(tmp_path: Path) -> None:
    refused = manage(tmp_path, "check", OPENFANG_HTTPS="true")
    assert refused.returncode == 1
    assert refused.stderr.startswith("openfang: OPENFANG_HTTPS needs OPENFANG_TRUSTED_PROXIES")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("origins", ["example.com", "https://a.example/path", "*,https://a.example", "null"])
def test_origins_that_are_none_stop_the_start(tmp_path: Path, origins: str) -> None:
    refused = manage(tmp_path, "check", OPENFANG_CORS_ORIGINS=origins)
    assert refused.returncode == 1
    assert refused.stderr.startswith("openfang: OPENFANG_CORS_ORIGINS")


@pytest.fixture
def behind_proxy(settings: Any) -> Any:
    settings.OPENFANG_TRUSTED_PROXIES = read_networks("10.0.0.0/8")
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_HSTS_SECONDS = 365 * 24 * 3600
    return settings


@pytest.mark.django_db
def test_a_trusted_proxys_word_of_https_is_believed(behind_proxy: Any) -> None:
    response = Client(REMOTE_ADDR="10.0.0.1").get("/admin/login/", headers={"x-forwarded-proto": "https"})
    assert response.status_code == 200
    assert response["Strict-Transport-Security"] == "max-age=31536000"
    cookie = response.cookies["csrftoken"]
    assert cookie["secure"] and cookie["samesite"] == "Lax"


@pytest.mark.django_db
@pytest.mark.parametrize(("address", "proto"), [("10.0.0.1", "http"), ("203.0.113.9", "https")])
def test_everybody_else_is_sent_to_https(behind_proxy: Any, address: str, proto: str) -> None:
    response = Client(REMOTE_ADDR=address).get("/admin/login/", headers={"x-forwarded-proto": proto})
    assert response.status_code == 301
    assert response["Location"] == "https://testserver/admin/login/"


@pytest.mark.django_db
def test_a_session_is_no_scripts_and_no_other_sites(behind_proxy: Any, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    User.objects.create_superuser("ada", "", "correct horse battery")
    given = {"username": "ada", "password": "correct horse battery"}
    response = Client(REMOTE_ADDR="10.0.0.1").post("/admin/login/", given, headers={"x-forwarded-proto": "https"})
    cookie = response.cookies["sessionid"]
    assert cookie["max-age"] == 7 * 24 * 3600
    assert cookie["httponly"] and cookie["secure"]
    assert cookie["samesite"] == "Lax"
