"""What agents remember, for each caller apart: kept in the database, found again by words."""

import asyncio
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import log
from typing import TypeVar
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from agents.errors import ToolFailed
from agents.models import Memory

logger = logging.getLogger(__name__)

MAX_MEMORIES = 200
MAX_TEXT = 2000
MAX_SCOPE = 255
WORD = re.compile(r"\w+")
# One thread for the database work of all tools: a serving process holds three connections at most.
_database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="openfang-tools-database")
T = TypeVar("T")


async def in_database(work: Callable[..., T], *arguments: object) -> T:
    """Do a tool's database work off the event loop, and give its connection back. Raises ToolFailed if it fails."""
    try:
        return await asyncio.get_running_loop().run_in_executor(_database, partial(_closing, work, *arguments))
    except DatabaseError as error:
        logger.warning("A tool could not use the database: %s", error)
        raise ToolFailed("The server's database did not do that. Try again later.") from None


def _closing(work: Callable[..., T], *arguments: object) -> T:
    try:
        return work(*arguments)
    finally:
        connection.close()


@transaction.atomic
def store(agent_id: UUID, caller: str, key: str, text: str) -> tuple[bool, int]:
    """Keep a storable text, in place of the one under the same key, and let the oldest go where there are too many.

    Returns whether a text was replaced, and how many were let go.
    """
    scope = stored_scope(caller)
    mine = Memory.objects.filter(agent_id=agent_id, scope=scope)
    replaced = False
    if key:
        _, created = mine.update_or_create(agent_id=agent_id, scope=scope, key=key, defaults={"text": text})
        replaced = not created
    else:
        Memory.objects.create(agent_id=agent_id, scope=scope, text=text)
    too_many = list(mine.order_by("-updated_at", "-id").values_list("pk", flat=True)[MAX_MEMORIES:])
    mine.filter(pk__in=too_many).delete()
    return replaced, len(too_many)


def recall(agent_id: UUID, caller: str, query: str, limit: int) -> tuple[list[Memory], int]:
    """Return the memories that answer a query best, or the latest for an empty one, and how many there are."""
    mine = Memory.objects.filter(agent_id=agent_id, scope=stored_scope(caller))
    memories = list(mine.order_by("-updated_at", "-id")[:MAX_MEMORIES])
    return best_matches(query, memories)[:limit], len(memories)


def best_matches(query: str, memories: Sequence[Memory]) -> list[Memory]:
    """Return the memories that share words with a query, the best first, of equals the latest.

    A rare word counts more than one that is everywhere, a word of the key more than one of the text, and a part of a
    word half: so "dog" finds "dogs", and languages that write no spaces are searched, too.
    """
    wanted = set(WORD.findall(query.casefold()))
    if not wanted:
        return list(memories)
    shares = [_shares(wanted, memory) for memory in memories]
    spread = Counter(word for shared in shares for word in shared)
    rarity = {word: log(1 + len(memories) / count) for word, count in spread.items()}
    scores = [sum(share * rarity[word] for word, share in shared.items()) for shared in shares]
    found = [(score, memory) for score, memory in zip(scores, memories, strict=True) if score]
    return [memory for _, memory in sorted(found, key=lambda pair: -pair[0])]


def _shares(wanted: Collection[str], memory: Memory) -> dict[str, float]:
    """Return how much each of the words that a memory has to do with counts in it."""
    key, text = memory.key.casefold(), memory.text.casefold()
    key_words, text_words = set(WORD.findall(key)), set(WORD.findall(text))
    shares = {}
    for word in wanted:
        if word in key_words:
            shares[word] = 2.0
        elif word in text_words:
            shares[word] = 1.0
        # "do" is no part of "dogs" that means anything.
        elif (len(word) >= 3 or not word.isascii()) and (word in key or word in text):
            shares[word] = 0.5
    return shares


def stored_scope(caller: str) -> str:
    """Return a caller's name as the database holds it: never cut, or two callers might become one."""
    if len(caller) <= MAX_SCOPE and caller == storable(caller):
        return caller
    return "sha256:" + hashlib.sha256(caller.encode("utf-8", "surrogatepass")).hexdigest()


def storable(text: str) -> str:
    """Return a text without what databases refuse: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
