from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from agents.models import LanguageModel, Provider
from agents.setup import make_roles, sync_catalog
from agents.setup.roles import EDITOR, VIEWER
from tests.agents.admin_cast import errors, model, text
from tests.agents.test_admin_roles import person

pytestmark = pytest.mark.django_db
PROVIDERS, MODELS = "/admin/agents/provider/", "/admin/agents/languagemodel/"


def provider_form(provider: Provider, **fields: Any) -> dict[str, Any]:
    """What a browser posts from the form of a provider that nobody has touched, but for `fields`."""
    rows = list(provider.language_models.all())
    form: dict[str, Any] = {"language_models-TOTAL_FORMS": len(rows), "language_models-INITIAL_FORMS": len(rows)}
    for number, row in enumerate(rows):
        prefix = f"language_models-{number}"
        form |= {f"{prefix}-id": row.pk, f"{prefix}-provider": provider.pk, f"{prefix}-name": row.name}
        for name in ("context_window", "prompt_price", "completion_price"):
            form[f"{prefix}-{name}"] = "" if getattr(row, name) is None else getattr(row, name)
    own = {name: getattr(provider, name) for name in ("label", "kind", "base_url", "api_key_env")}
    return form | own | fields


def test_the_list_says_whether_keys_are_set_and_never_what_they_are(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "sk-not-for-any-page")
    model()
    Provider.objects.create(name="other", base_url="https://other.test/v1", api_key_env="OTHER_API_KEY")
    Provider.objects.create(name="home", base_url="http://127.0.0.1:1/v1")

    page = admin_client.get(PROVIDERS)
    form = admin_client.get(f"{PROVIDERS}{Provider.objects.get(name='acme').pk}/change/")

    assert "https://acme.test/v1 set ACME_API_KEY, in the environment 1" in text(page)
    assert "https://other.test/v1 missing OTHER_API_KEY is not set 0" in text(page)
    assert "http://127.0.0.1:1/v1 needs none — 0" in text(page)
    assert "ACME_API_KEY, in the environment" in text(form)
    assert "sk-not-for-any-page" not in page.content.decode() + form.content.decode()


def test_a_provider_of_the_catalog_that_is_edited_follows_it_no_more(admin_client: Client) -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")

    admin_client.post(
        f"{PROVIDERS}{groq.pk}/change/", provider_form(groq, base_url="https://proxy.test/v1", api_key_env="")
    )
    sync_catalog()

    groq.refresh_from_db()
    assert (groq.base_url, groq.from_catalog) == ("https://proxy.test/v1", False)
    assert all(row.from_catalog for row in groq.language_models.all())


def test_saving_without_a_change_leaves_the_catalog_in_charge(admin_client: Client) -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")

    assert admin_client.post(f"{PROVIDERS}{groq.pk}/change/", provider_form(groq)).status_code == 302

    groq.refresh_from_db()
    assert groq.from_catalog
    assert all(row.from_catalog for row in groq.language_models.all())


def test_a_price_that_is_edited_on_the_providers_page_is_kept(admin_client: Client) -> None:
    sync_catalog()
    groq = Provider.objects.get(name="groq")
    edited, *others = groq.language_models.all()

    form = provider_form(groq) | {"language_models-0-prompt_price": "0.07"}
    assert admin_client.post(f"{PROVIDERS}{groq.pk}/change/", form).status_code == 302
    sync_catalog()

    edited.refresh_from_db()
    assert (edited.prompt_price, edited.from_catalog) == (Decimal("0.07"), False)
    assert all(row.from_catalog for row in LanguageModel.objects.filter(pk__in=[row.pk for row in others]))


def test_a_model_that_is_edited_on_its_own_page_is_kept(admin_client: Client) -> None:
    edited = model(from_catalog=True)
    form = {"provider": edited.provider_id, "name": "alpha", "context_window": 4096}
    unknown = {"tools": "unknown", "vision": "unknown", "reasoning": "unknown"}
    no_prices = {"prices-TOTAL_FORMS": 0, "prices-INITIAL_FORMS": 0}

    assert admin_client.post(f"{MODELS}{edited.pk}/change/", form | unknown | no_prices).status_code == 302

    edited.refresh_from_db()
    assert (edited.context_window, edited.from_catalog) == (4096, False)


def test_prices_are_written_as_on_price_lists(admin_client: Client) -> None:
    model("dear", prompt_price="1.25", completion_price="10")
    model("free", prompt_price=0, completion_price=0)
    model("unknown")

    page = text(admin_client.get(MODELS))

    assert "$1.25 in, $10 out" in page
    assert "free acme — — free" in page
    assert "unknown acme — — price unknown" in page


def test_an_api_needs_an_address(admin_client: Client) -> None:
    nothing = {"language_models-TOTAL_FORMS": 0, "language_models-INITIAL_FORMS": 0}

    response = admin_client.post(f"{PROVIDERS}add/", {"name": "new", "kind": "openai", **nothing})

    assert errors(response) == ["Where is it? An OpenAI-compatible provider needs its base URL."]


class TestKeptKey:
    KEY = "sk-kept-0123456789"

    @pytest.fixture
    def provider(self, admin_client: Client) -> Provider:
        """A provider whose key was entered on its page."""
        made = Provider.objects.create(name="acme", base_url="https://acme.test/v1")
        assert self.save(admin_client, made, new_key=f" {self.KEY} ").status_code == 302
        return made

    def save(self, client: Client, provider: Provider, **fields: Any) -> Any:
        response = client.post(f"{PROVIDERS}{provider.pk}/change/", provider_form(provider, **fields))
        provider.refresh_from_db()
        return response

    def test_it_is_shown_to_be_there_and_never_shown(self, admin_client: Client, provider: Provider) -> None:
        assert provider.api_key() == self.KEY
        for page in (PROVIDERS, f"{PROVIDERS}{provider.pk}/change/", f"{PROVIDERS}{provider.pk}/history/"):
            shown = admin_client.get(page)
            assert self.KEY not in shown.content.decode()
        assert "set kept here, encrypted" in text(admin_client.get(PROVIDERS))

    def test_forgetting_it_is_offered_while_it_is_there(self, admin_client: Client, provider: Provider) -> None:
        page = f"{PROVIDERS}{provider.pk}/change/"
        assert 'name="forget_key"' in admin_client.get(page).content.decode()
        assert self.save(admin_client, provider, forget_key="on").status_code == 302
        assert provider.api_key() is None
        assert 'name="forget_key"' not in admin_client.get(page).content.decode()

    def test_one_that_can_no_longer_be_decrypted_is_missing(
        self, admin_client: Client, provider: Provider, settings: Any
    ) -> None:
        settings.SECRET_KEY = "another"
        admin_client.force_login(User.objects.get(username="admin"))
        assert "missing kept here, but it can no longer be decrypted" in text(admin_client.get(PROVIDERS))

    def test_the_history_says_that_it_changed_and_not_what_it_is(
        self, admin_client: Client, provider: Provider
    ) -> None:
        self.save(admin_client, provider, new_key="sk-another-one")

        page = admin_client.get(f"{PROVIDERS}{provider.pk}/history/")

        newest = page.context["changes"][0]
        assert (newest.who, newest.differences) == ("admin", [])
        assert "The secret that is kept here was changed." in text(page)
        assert "sk-another-one" not in page.content.decode()


@pytest.mark.parametrize("role", [VIEWER, EDITOR])
def test_only_administrators_see_providers_and_models(client: Client, role: str) -> None:
    make_roles()
    client.force_login(person(role))
    row = model()
    for page in (PROVIDERS, MODELS, f"{PROVIDERS}{row.provider_id}/change/", f"{MODELS}{row.pk}/change/"):
        assert client.get(page).status_code == 403
    assert client.get(f"{PROVIDERS}{row.provider_id}/models/").status_code == 403
    assert client.post(f"{PROVIDERS}{row.provider_id}/models/", {"model": ["beta"]}).status_code == 403
    assert client.post(f"{PROVIDERS}{row.provider_id}/test/").status_code == 403
    assert LanguageModel.objects.count() == 1


def test_who_may_only_look_is_offered_no_test(client: Client) -> None:
    row = model()
    user = User.objects.create_user("auditor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_provider", "view_languagemodel"]))
    client.force_login(user)

    pages = [client.get(page) for page in (PROVIDERS, f"{PROVIDERS}{row.provider_id}/change/")]

    assert [page.status_code for page in pages] == [200, 200]
    assert all("/test/" not in page.content.decode() for page in pages)
    assert client.post(f"{PROVIDERS}{row.provider_id}/test/").status_code == 403
    assert client.get(f"{PROVIDERS}{row.provider_id}/models/").status_code == 403
