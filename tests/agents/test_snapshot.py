"""What is changed, by a command or by any other process, is served within about a second by a running server."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT, ask, content_of, eventually, row_of
from tests.live.colleague import Colleague
from tests.upstream import Upstream, says

# A row that the server cannot read, and how it is mended.
BREAKS = "from django.db.models import JSONField, Value\nAgent.objects.filter(name='coder').update(tools={})"


@pytest.fixture(scope="module")
def changing_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    # Tests try new keys until they are served.
    patience = {"OPENFANG_WRONG_KEYS_PER_MINUTE": "1000000"}
    with Live(tmp_path_factory.mktemp("changing"), cast=session_upstream.base_url, env=patience) as live:
        yield live


@pytest.fixture
def changing(changing_server: Live, upstream: Upstream) -> Live:
    upstream.default = says("Hello")
    return changing_server


@pytest.fixture(scope="module")
def colleague(changing_server: Live) -> Iterator[Colleague]:
    """Changes what is served from another process."""
    with Colleague(changing_server.env) as colleague:
        yield colleague


def listed(live: Live, key: str = "dummy") -> list[str] | int:
    """The names of the agents that a key sees, or the status of the refusal."""
    headers = {"authorization": f"Bearer {key}"}
    response = httpx2.get(f"{live.base_url}/models", headers=headers, timeout=TIMEOUT, verify=False)
    if response.status_code != 200:
        return response.status_code
    return [model["name"] for model in response.json()["data"]]


def becomes(live: Live, expected: list[str] | int, key: str = "dummy") -> None:
    eventually(lambda: listed(live, key) == expected)


def cast_of(live: Live) -> list[str]:
    """The agents there are before a test changes them."""
    return [row["name"] for row in live.rows("SELECT name FROM agents_agent WHERE enabled ORDER BY created_at, id")]


def test_an_agent_is_served_from_its_making_to_its_deletion(changing: Live, colleague: Colleague, upstream: Upstream):
    cast = cast_of(changing)
    assert listed(changing) == cast
    assert {"coder", "listener", "hasty"} <= set(cast)
    changing.manage(
        "spawn", "--name", "fresh-hand", "--profile", "writer", "--provider", "scripted", "--model", "new-model"
    )
    becomes(changing, [*cast, "fresh-hand"])
    answer = ask(changing, "openfang:fresh-hand")
    assert content_of(answer) == "Hello"
    assert upstream.asked[0]["model"] == "new-model"

    colleague.does("Agent.objects.filter(name='fresh-hand').update(system_prompt='Speak plainly.', temperature=0.25)")
    eventually(lambda: ask(changing, "fresh-hand") and upstream.asked[-1].get("temperature") == 0.25)
    assert upstream.asked[-1]["messages"][0] == {"role": "system", "content": "Speak plainly."}

    colleague.does("agent = Agent.objects.get(name='fresh-hand'); agent.enabled = False; agent.save()")
    becomes(changing, cast)
    assert ask(changing, "openfang:fresh-hand").status_code == 404

    colleague.does("Agent.objects.filter(name='fresh-hand').update(enabled=True, name='old-hand')")
    becomes(changing, [*cast, "old-hand"])

    colleague.does("Agent.objects.get(name='old-hand').delete()")
    becomes(changing, cast)
    row = row_of(changing, answer)
    assert (row["agent_name"], row["status"]) == ("fresh-hand", "ok")
    assert changing.rows("SELECT * FROM agents_usagerollup WHERE agent_name = 'fresh-hand'")


def test_a_models_price_and_a_providers_address_are_those_of_now(
    changing: Live, colleague: Colleague, upstream: Upstream
):
    assert row_of(changing, ask(changing, "blind"))["cost"] is None
    colleague.does("LanguageModel.objects.filter(name='blind-model').update(prompt_price=1, completion_price=0)")
    eventually(lambda: row_of(changing, ask(changing, "blind"))["cost"] == 10_000_000)

    colleague.does(f"Provider.objects.filter(name='nowhere').update(base_url='{upstream.base_url}')")
    eventually(lambda: ask(changing, "orphan").status_code == 200)


def test_a_change_that_is_rolled_back_is_not_served(changing: Live, colleague: Colleague):
    cast = cast_of(changing)
    colleague.does(
        "from django.db import transaction\n"
        "with transaction.atomic():\n"
        "    Agent.objects.all().delete()\n"
        "    transaction.set_rollback(True)\n"
        "Agent.objects.create(name='afterwards')",
    )
    becomes(changing, [*cast, "afterwards"])
    colleague.does("Agent.objects.filter(name='afterwards').delete()")
    becomes(changing, cast)


def test_a_row_that_cannot_be_read_keeps_no_later_change_from_being_served(changing: Live, colleague: Colleague):
    cast = cast_of(changing)
    colleague.does(BREAKS.format("Value(None, JSONField())"))
    eventually(lambda: "A change cannot be read" in changing.output)
    assert listed(changing) == cast
    colleague.does(BREAKS.format("[]"))
    colleague.does("Agent.objects.create(name='afterwards')")
    becomes(changing, [*cast, "afterwards"])
    colleague.does("Agent.objects.filter(name='afterwards').delete()")
    becomes(changing, cast)


def test_keys_open_and_close_while_the_server_runs(changing: Live, colleague: Colleague):
    """The last of the file: from the first key on, nobody is let in without one."""
    cast = cast_of(changing)
    key = changing.manage("key", "create", "first").stdout.strip()
    becomes(changing, 401)
    becomes(changing, cast, key)

    narrow = changing.manage("key", "create", "narrow", "--agent", "listener", "--agent", "hasty").stdout.strip()
    becomes(changing, ["listener", "hasty"], narrow)
    assert ask(changing, "openfang:coder", key=narrow).status_code == 404
    fallen_back = ask(changing, "gpt-4o", key=narrow)
    assert fallen_back.json()["model"] == "listener"

    colleague.does("Agent.objects.get(name='hasty').delete()")
    becomes(changing, ["listener"], narrow)
    colleague.does("Agent.objects.filter(name='listener').delete()")
    becomes(changing, [], narrow)
    response = ask(changing, "coder", key=narrow)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert ask(changing, "gpt-4o", key=narrow).status_code == 404

    colleague.does("ApiKey.objects.get(name='narrow').agents.set([Agent.objects.get(name='coder')])")
    becomes(changing, ["coder"], narrow)

    changing.manage("key", "revoke", "narrow")
    becomes(changing, 401, narrow)

    colleague.does(BREAKS.format("Value(None, JSONField())"))
    unbroken = changing.manage("key", "create", "unbroken").stdout.strip()
    becomes(changing, cast_of(changing), unbroken)
    changing.manage("key", "revoke", "unbroken")
    becomes(changing, 401, unbroken)
    colleague.does(BREAKS.format("[]"))
    colleague.does("from django.utils import timezone\nApiKey.objects.update(expires_at=timezone.now())")
    becomes(changing, 401, key)
    colleague.does("ApiKey.objects.filter(name='first').update(expires_at=None)")
    becomes(changing, [name for name in cast if name not in {"listener", "hasty"}], key)

    row = row_of(changing, fallen_back)
    colleague.does("ApiKey.objects.get(name='narrow').delete()")
    assert row_of(changing, fallen_back)["api_key_name"] == "narrow" == row["api_key_name"]
