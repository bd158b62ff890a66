"""Browsers are told to load nothing from elsewhere; wrong hosts and broken pages tell nothing."""

import re
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from agents.models import Agent
from tests.agents.admin_cast import key, model, request

pytestmark = pytest.mark.django_db
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>", re.I)
INLINE_HANDLER = re.compile(r"<[a-z][^>]*\son[a-z]+\s*=", re.I)
FROM_ELSEWHERE = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", re.I)


def policy(response: Any) -> dict[str, str]:
    return dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))


def fails(_: Any) -> HttpResponse:
    raise RuntimeError("the password is hunter22")


urlpatterns = [path("fails/", fails)]


@pytest.mark.parametrize("page", ["/admin/", "/admin/login/", "/nowhere/", "/"])
def test_every_page_keeps_to_this_server(client: Client, page: str) -> None:
    response = client.get(page)
    found = policy(response)
    assert found["default-src"] == "'none'"
    assert found["frame-ancestors"] == found["base-uri"] == "'none'"
    assert not re.search(r"https?:|\*", response["Content-Security-Policy"])
    assert "'unsafe-inline'" not in found["script-src"]
    assert ("'unsafe-eval'" in found["script-src"]) == page.startswith("/admin/")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


def test_the_admins_pages_have_no_script_that_the_policy_stops(admin_client: Client) -> None:
    language_model = model()
    agent = Agent.objects.create(name="coder", model=language_model)
    rows: dict[str, Any] = {
        "agent": agent,
        "apikey": key(),
        "provider": language_model.provider,
        "languagemodel": language_model,
    }
    rows["usagerecord"] = request(agent)
    pages = ["/admin/", "/admin/login/", "/admin/password_change/", "/admin/auth/user/", "/admin/auth/user/add/"]
    for noun, row in rows.items():
        pages += [f"/admin/agents/{noun}/", f"/admin/agents/{noun}/{row.pk}/change/"]
    for page in pages:
        response = admin_client.get(page, follow=True)
        assert response.status_code == 200, page
        html = response.content.decode()
        for forbidden in (INLINE_SCRIPT, INLINE_HANDLER, FROM_ELSEWHERE):
            assert forbidden.findall(html) == [], page


def test_the_admins_pages_are_kept_in_no_cache(admin_client: Client) -> None:
    assert "no-store" in admin_client.get("/admin/")["Cache-Control"]


def test_a_wrong_host_is_refused_without_details(client: Client) -> None:
    response = client.get("/admin/login/", headers={"host": "evil.example"})
    assert response.status_code == 400
    text = response.content.decode()
    assert "evil.example" not in text
    assert "Traceback" not in text and "django" not in text.lower()
    assert "127.0.0.1" not in text
    assert "Content-Security-Policy" in response


def test_a_page_that_is_not_there_is_a_plain_404(client: Client) -> None:
    response = client.get("/nowhere/")
    assert response.status_code == 404
    text = response.content.decode()
    assert "There is no such page here" in text
    assert "urlconf" not in text.lower()


@pytest.mark.urls(__name__)
def test_a_page_that_fails_tells_nothing_of_why(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(raise_request_exception=False)
    response = client.get("/fails/")
    assert response.status_code == 500
    text = response.content.decode()
    assert "The server failed to make this page." in text
    assert "hunter22" not in text and "RuntimeError" not in text and ".py" not in text
    assert "Content-Security-Policy" in response
    assert "hunter22" in caplog.text


def test_a_form_without_its_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/admin/login/", {"username": "admin", "password": "wrong"})
    assert response.status_code == 403
    assert "This page is too old" in response.content.decode()
