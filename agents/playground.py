"""The playground's pass through the API: a signed token of an administrator, for one agent and ten minutes.

It may also name an earlier version of the agent, which then answers in its place. It ends with the session it was made
in: the secret key alone, which is in each backup, makes no pass that opens anything.
"""

import asyncio
from uuid import UUID, uuid5

from django.core import signing
from django.db import connections
from msgspec import structs

from agents import sessions
from agents.errors import AgentNotFound, PassEnded
from agents.keyring import KeySpec
from agents.models import Agent, changes_of
from agents.snapshot import read_agent
from agents.types import AgentSpec

PREFIX = "playground."
SALT = "openfang.playground.session"
SECONDS = 600
NAMESPACE = UUID("5b0c9a54-3a5e-4c1f-8f0e-6c0d3f2b7a10")


class PlaygroundPass(KeySpec, frozen=True):
    """A key that opens one agent, or one earlier version of it; `asks_any` lets that agent ask every other one."""

    session: str = ""
    version: int | None = None
    asks_any: bool = False


def mint(
    user_id: int,
    username: str,
    agent_id: UUID,
    version: int | None = None,
    *,
    session_key: str,
    asks_any: bool = False,
) -> str:
    """Return a token for a user of an agent's playground, good while the user's session lasts."""
    session = sessions.digest(session_key)
    return PREFIX + signing.dumps([user_id, username, agent_id.hex, session, version, asks_any], salt=SALT)


def read(token: str) -> PlaygroundPass | None:
    """Return what a token opens while its session lasts; None if it is not ours, or is too old."""
    try:
        said = signing.loads(token.removeprefix(PREFIX), salt=SALT, max_age=SECONDS)
    except signing.BadSignature:
        return None
    user_id, username, agent, session, version, asks_any = said
    name, agent_ids = f"playground:{username}"[:100], frozenset([UUID(agent)])
    return PlaygroundPass(key_id(user_id), name, agent_ids, session=session, version=version, asks_any=asks_any)


def while_running(key: KeySpec | None) -> KeySpec | None:
    """Return the key that a run goes on with, which says what other agents the agent may ask."""
    asks_any = isinstance(key, PlaygroundPass) and key.asks_any
    return structs.replace(key, agent_ids=None) if key is not None and asks_any else key


def key_id(user_id: int) -> UUID:
    """Return the id that stands for somebody's use of the playground, as a key's id does for a client's."""
    return uuid5(NAMESPACE, str(user_id))


async def version_for(key: KeySpec | None, agent: AgentSpec) -> AgentSpec:
    """Return the version of an agent that a caller's pass names, or the agent as it is.

    Raises PassEnded, or AgentNotFound for a version that is gone.
    """
    if not isinstance(key, PlaygroundPass):
        return agent
    return await asyncio.to_thread(_read_version, key, agent)


def _read_version(opened: PlaygroundPass, agent: AgentSpec) -> AgentSpec:
    try:
        if not sessions.is_open(opened.session):
            raise PassEnded("You have signed out of the admin. Sign in and reload the page.")
        if opened.version is None:
            return agent
        row = changes_of(Agent).filter(id=agent.id, history_id=opened.version).first()
        if row is None:
            raise AgentNotFound("This version of the agent is no longer in its history.")
        return read_agent(row.instance)
    finally:
        connections.close_all()
