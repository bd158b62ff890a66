"""Encryption of what the database must not tell whoever gets hold of it. The key comes from the secret key."""

import base64
import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["InvalidToken", "decrypt", "encrypt", "rotate"]


def encrypt(plain: bytes) -> bytes:
    return _fernet(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS)).encrypt(plain)


def decrypt(token: bytes) -> bytes:
    """Return what was encrypted under the secret key or one of its fallbacks; else raise InvalidToken."""
    return _fernet(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS)).decrypt(token)


def rotate(token: bytes) -> bytes:
    """Return what was encrypted under a fallback, encrypted under the secret key; else raise InvalidToken."""
    return _fernet(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS)).rotate(token)


@lru_cache(maxsize=4)
def _fernet(key: str, fallbacks: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(secret)) for secret in (key, *fallbacks)])


def _derived(secret: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.blake2b(secret.encode(), digest_size=32, person=b"openfang-store").digest())
