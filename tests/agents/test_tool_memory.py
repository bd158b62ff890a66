"""memory_store and memory_recall: an agent remembers for each caller apart."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from agents.errors import ToolFailed
from agents.models import Agent, Memory
from agents.tools import memory_recall, memory_store
from agents.tools.memory import MAX_MEMORIES
from tests.agents.web_parts import run_context

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., Coroutine[None, None, str]]


@pytest.fixture
def agent() -> UUID:
    return Agent.objects.create(name="assistant").id


@pytest.fixture
def store(agent: UUID) -> Call:
    async def call(text: str, *, scope: str = "alice", of: UUID | None = None, **arguments: str) -> str:
        context = run_context(scope, of or agent)
        return await memory_store.tool.call(context, json.dumps({"text": text, **arguments}))

    return call


@pytest.fixture
def recall(agent: UUID) -> Call:
    async def call(query: str = "", *, scope: str = "alice", of: UUID | None = None, **arguments: int) -> str:
        context = run_context(scope, of or agent)
        return await memory_recall.tool.call(context, json.dumps({"query": query, **arguments}))

    return call


def today() -> str:
    return f"{timezone.now():%Y-%m-%d}"


async def test_what_was_stored_is_recalled_by_its_words(store: Call, recall: Call) -> None:
    assert await store("Prefers green tea in the morning.") == "Remembered."
    await store("Has two dogs, Rex and Luna.", key="pets")
    assert await recall("What TEA do they like?") == (
        f"1 of 2 memories:\n- Prefers green tea in the morning. (stored {today()})"
    )
    assert await recall("dog") == f"1 of 2 memories:\n- pets: Has two dogs, Rex and Luna. (stored {today()})"
    assert "Rex" in await recall("pets")


async def test_languages_without_spaces_are_searched_too(store: Call, recall: Call) -> None:
    await store("用户喜欢绿茶")
    assert "用户喜欢绿茶" in await recall("绿茶")


async def test_the_best_match_comes_first_and_of_equals_the_latest(store: Call, recall: Call) -> None:
    for text in ("The red car is fast.", "The blue car is slow.", "The boat is blue.", "The house is blue."):
        await store(text)
    lines = (await recall("blue car", max_results=3)).splitlines()
    assert [line.split(".")[0] for line in lines] == [
        "3 of 4 memories:",
        "- The blue car is slow",
        "- The red car is fast",
        "- The house is blue",
    ]


async def test_an_empty_query_returns_the_latest(store: Call, recall: Call) -> None:
    for text in ("one", "two", "three"):
        await store(text)
    assert [line[:5] for line in (await recall(max_results=2)).splitlines()[1:]] == ["- thr", "- two"]


async def test_nothing_found_is_said(store: Call, recall: Call) -> None:
    assert await recall("tea") == "Nothing has been remembered yet."
    await store("Likes coffee.")
    assert await recall("tea") == "None of the 1 memories has any of these words. An empty query returns the latest."


async def test_storing_under_a_key_again_replaces(store: Call, recall: Call) -> None:
    await store("Lives in Rome.", key="home")
    assert await store("Lives in Oslo.", key=" home ") == "Remembered, in place of what was under 'home'."
    assert await recall("home") == f"1 of 1 memories:\n- home: Lives in Oslo. (stored {today()})"


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("alice", "bob"),
        ("alice", "Alice"),
        ("alice", ""),
        ("alice", "alice\x00"),
        ("x" * 300 + "a", "x" * 300 + "b"),
        ("a%", "ab"),
    ],
)
async def test_no_caller_sees_or_replaces_what_is_anothers(store: Call, recall: Call, mine: str, theirs: str) -> None:
    await store("The code is 1234.", key="code", scope=mine)
    for query in ("code", "1234", ""):
        assert await recall(query, scope=theirs) == "Nothing has been remembered yet."
    assert await store("The code is 9999.", key="code", scope=theirs) == "Remembered."
    assert "1234" in await recall("code", scope=mine)


async def test_no_agent_sees_what_is_anothers(store: Call, recall: Call) -> None:
    other = await Agent.objects.acreate(name="other")
    await store("The code is 1234.")
    assert await recall("code", of=other.id) == "Nothing has been remembered yet."


async def test_the_oldest_goes_when_a_caller_has_too_many(agent: UUID, store: Call, recall: Call) -> None:
    await store("Someone else's.", scope="bob")
    await Memory.objects.abulk_create(
        Memory(agent_id=agent, scope="alice", text=f"number {number}") for number in range(MAX_MEMORIES)
    )
    oldest = await Memory.objects.aget(scope="alice", text="number 7")
    await Memory.objects.filter(pk=oldest.pk).aupdate(updated_at=timezone.now() - timedelta(days=1))
    assert await store("One more.") == f"Remembered. Only {MAX_MEMORIES} are kept, so the oldest 1 went."
    assert not await Memory.objects.filter(pk=oldest.pk).aexists()
    assert await Memory.objects.filter(scope="alice").acount() == MAX_MEMORIES
    assert "Someone else's." in await recall(scope="bob")


async def test_many_at_once_are_all_kept(store: Call, recall: Call) -> None:
    await asyncio.gather(*(store(f"fact {number}", key=f"k{number % 5}") for number in range(20)))
    assert (await recall("", max_results=10)).startswith("5 of 5 memories:")


async def test_characters_that_databases_refuse_do_no_harm(store: Call, recall: Call) -> None:
    await store("a\x00b", key="k\x00")
    assert await recall("ab") == f"1 of 1 memories:\n- k: ab (stored {today()})"


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "x" * 2001])
async def test_an_empty_or_overlong_text_is_refused(store: Call, text: str) -> None:
    with pytest.raises(ToolFailed):
        await store(text)
    assert not await Memory.objects.aexists()


async def test_memories_go_with_their_agent(agent: UUID, store: Call) -> None:
    await store("x")
    await Agent.objects.filter(pk=agent).adelete()
    assert not await Memory.objects.aexists()
    with pytest.raises(ToolFailed, match="The server's database did not do that"):
        await store("y")
