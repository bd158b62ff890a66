"""Sessions that the database alone cannot open: the cookie has the key, the database only a digest of it."""

import hashlib

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.utils import timezone

LENGTH = 40  # characters of the column: 160 bits of the digest


def digest(session_key: str) -> str:
    """Return what the database holds in place of a session's key."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:LENGTH]


def is_open(key_digest: str) -> bool:
    """Say whether the session of this digest has neither ended nor expired."""
    return Session.objects.filter(session_key=key_digest, expire_date__gt=timezone.now()).exists()


class SessionStore(db.SessionStore):
    """Django's sessions in the database, stored and found by the digest of their key."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key
        rows = Session.objects.filter(session_key=digest(key), expire_date__gt=timezone.now()) if key else []
        found = next(iter(rows), None)
        if found is None:
            self._session_key = None
        return found

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()

    def exists(self, session_key: str) -> bool:
        return super().exists(digest(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(digest(session_key))

    def create_model_instance(self, data: dict[str, object]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = digest(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, object]) -> AbstractBaseSession:
        row = await super().acreate_model_instance(data)
        row.session_key = digest(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            super().delete(digest(key))

    async def adelete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            await super().adelete(digest(key))
