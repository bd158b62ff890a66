"""Finding the models that a provider offers, and adding those that are chosen."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agents.models import LanguageModel, Provider, ProviderKind, changes_of
from agents.setup import sync_catalog
from tests.agents.admin_cast import text
from tests.upstream import Upstream, answers, fails
from tests.upstream.steps import Raw

pytestmark = pytest.mark.django_db
KEY = "sk-scripted-0123456789"


@pytest.fixture
def provider(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("SCRIPTED_API_KEY", KEY)
    return Provider.objects.create(
        name="scripted", label="Scripted", base_url=upstream.base_url, api_key_env="SCRIPTED_API_KEY"
    )


def page_of(provider: Provider) -> str:
    return f"/admin/agents/provider/{provider.pk}/models/"


def offered(client: Client, provider: Provider) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in client.get(page_of(provider)).context["models"]}


def test_models_are_offered_and_those_that_are_chosen_are_added(
    admin_client: Client, provider: Provider, upstream: Upstream
) -> None:
    upstream.models = ["gamma/large:free", "beta", "alpha", "left"]
    known = LanguageModel.objects.create(provider=provider, name="alpha", prompt_price=1)

    page = admin_client.get(page_of(provider)).content.decode()
    chosen = {"model": ["beta", "gamma/large:free", "alpha", "beta", "x" * 201, ""]}
    done = admin_client.post(page_of(provider), chosen, follow=True)

    assert "Scripted offers 4 models, 3 of which this server does not know yet." in " ".join(page.split())
    assert 'value="beta"' in page
    assert 'value="alpha"' not in page
    assert f'href="/admin/agents/languagemodel/{known.pk}/change/"' in page
    assert "2 models added. What 2 of them cost is not known: enter it on the model&#x27;s page." in text(done)
    assert sorted(provider.language_models.values_list("name", flat=True)) == ["alpha", "beta", "gamma/large:free"]
    added = LanguageModel.objects.get(name="beta")
    assert (added.prompt_price, added.context_window, added.tools) == (None, None, None)
    known.refresh_from_db()
    assert known.prompt_price == 1


def test_the_history_says_who_added_a_model(admin_client: Client, provider: Provider) -> None:
    admin_client.post(page_of(provider), {"model": ["beta"]})

    [version] = changes_of(LanguageModel).all()
    assert (version.name, version.history_type, version.history_user.username) == ("beta", "+", "admin")


def test_what_the_catalog_knows_of_a_model_at_this_address_is_filled_in(
    admin_client: Client, provider: Provider, upstream: Upstream
) -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")
    fact = groq.language_models.exclude(prompt_price=None).first()
    assert fact is not None
    mine = Provider.objects.create(name="mine", base_url=groq.base_url + "/")
    for at in (mine, provider):
        admin_client.post(page_of(at), {"model": [fact.name]})

    added = LanguageModel.objects.get(provider=mine)
    for name in ("prompt_price", "completion_price", "context_window", "tools", "vision"):
        assert getattr(added, name) == getattr(fact, name)
    assert not added.from_catalog  # it follows rows of its own provider only
    assert LanguageModel.objects.get(provider=provider).prompt_price is None  # another API has other prices


def test_a_model_of_the_catalog_that_was_deleted_comes_back_and_follows_it(admin_client: Client) -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")
    gone = groq.language_models.all()[0]
    gone.delete()

    admin_client.post(page_of(groq), {"model": [gone.name]})

    assert groq.language_models.get(name=gone.name).from_catalog


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(
            Raw(pieces=(b'[{"id": "beta"}, {"id": "alpha"}]',), content_type="application/json"), id="as of Together AI"
        ),
        pytest.param(answers({"data": [{"id": "models/beta"}, {"id": "models/alpha"}]}), id="as of Gemini"),
        pytest.param(
            Raw(
                pieces=(
                    b'{"data": [{"id": "beta", "created": NaN}, {"id": null}, {}, null, 5, "alpha", {"id": ["x"]},'
                    b' {"id": "nul\\u0000"}, {"id": ""}, {"id": "' + b"x" * 300 + b'"}]}',
                ),
                content_type="application/json",
            ),
            id="with members that are no models",
        ),
    ],
)
def test_lists_are_read_as_the_providers_write_them(
    admin_client: Client, provider: Provider, upstream: Upstream, listing: Any
) -> None:
    upstream.models = listing
    assert list(offered(admin_client, provider)) == ["alpha", "beta"]


def test_nothing_new_and_nothing_at_all_say_so(admin_client: Client, provider: Provider, upstream: Upstream) -> None:
    upstream.models = ["alpha", "beta"]
    admin_client.post(page_of(provider), {"model": ["alpha", "beta"]})
    assert "Scripted offers 2 models, and this server knows all of them." in text(admin_client.get(page_of(provider)))
    upstream.models = []
    assert "Scripted answers with an empty list" in text(admin_client.get(page_of(provider)))


def test_adding_nothing_says_so(admin_client: Client, provider: Provider, upstream: Upstream) -> None:
    page = admin_client.post(page_of(provider), {}, follow=True)
    assert "No model was chosen that this server does not know already." in text(page)


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (fails(401), "refused this server&#x27;s API key, so check SCRIPTED_API_KEY (HTTP 401)."),
        (fails(404), "There is no list of models at http://127.0.0.1:"),
    ],
)
def test_an_error_says_what_to_do(
    admin_client: Client, provider: Provider, upstream: Upstream, listing: Any, words: str
) -> None:
    upstream.models = listing
    page = text(admin_client.get(page_of(provider)))
    assert words in page
    assert KEY not in page


def test_names_are_shown_as_they_are(admin_client: Client, provider: Provider, upstream: Upstream) -> None:
    upstream.models = ["<script>alert(1)</script>"]
    page = admin_client.get(page_of(provider)).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_the_embedded_model_has_no_list(admin_client: Client) -> None:
    embedded = Provider.objects.create(name="local", kind=ProviderKind.EMBEDDED)
    assert admin_client.get(page_of(embedded)).status_code == 404
    assert page_of(embedded) not in admin_client.get(f"/admin/agents/provider/{embedded.pk}/change/").content.decode()


def test_a_form_of_another_site_adds_nothing(admin_client: Client, provider: Provider) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    assert strict.post(page_of(provider), {"model": ["beta"]}).status_code == 403
    assert not LanguageModel.objects.exists()


def test_hundreds_of_models_cost_no_more_questions_to_the_database(
    admin_client: Client,
    provider: Provider,
    upstream: Upstream,
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    names = [f"model-{number}" for number in range(400)]
    upstream.models = names
    admin_client.get("/admin/")
    with django_assert_max_num_queries(30):
        admin_client.post(page_of(provider), {"model": names[:300]})
    with django_assert_max_num_queries(12):
        assert len(offered(admin_client, provider)) == 400
    change = f"/admin/agents/provider/{provider.pk}/change/"
    with django_assert_max_num_queries(20):
        page = admin_client.get(change)
    assert page.content.decode().count('-name" value="model-') == 20
