"""Prompts and answers, kept for some days where the server is set to keep them, and for those who may see them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone
from msgspec import Struct

from agents.models import StoredContent
from agents.models.encryption import InvalidToken, decrypt, encrypt
from agents.types import ImagePart, Message, Part, TextPart
from agents.usage.cleaning import clean_text

LONGEST_TEXT = 100_000


class Conversation(Struct):
    """What the model was last sent in a run, with all that went before, and what it said to that.

    `errors` are the words of providers and tools about calls that failed, by the positions of their steps.
    """

    messages: list[Message]
    answer: str = ""
    reasoning: str = ""
    errors: dict[int, str] = {}


def store(conversations: dict[UUID, Conversation]) -> None:
    """Keep conversations; belongs in the transaction that closes their requests."""
    expires_at = timezone.now() + timedelta(days=settings.OPENFANG_STORE_CONTENT_DAYS)
    StoredContent.objects.bulk_create(
        StoredContent(id=request_id, content=encrypt(msgspec.json.encode(bounded(said))), expires_at=expires_at)
        for request_id, said in conversations.items()
    )


def conversation_of(request_id: UUID) -> Conversation | None:
    """Return what was said in a request, if it was stored, is not over its time, and can be decrypted."""
    row = StoredContent.objects.filter(pk=request_id, expires_at__gt=timezone.now()).first()
    if row is None:
        return None
    try:
        return msgspec.json.decode(decrypt(bytes(row.content)), type=Conversation)
    except InvalidToken:
        return None


def bounded(said: Conversation) -> Conversation:
    """Return a conversation as it is stored: without images, and with no text longer than LONGEST_TEXT."""
    messages = [
        msgspec.structs.replace(message, content=_content(message.content), attached={}) for message in said.messages
    ]
    return Conversation(messages, _cut(said.answer), _cut(said.reasoning), said.errors)


def _content(content: str | list[Part] | None) -> Any:
    if isinstance(content, list):
        return [_part(part) for part in content]
    return None if content is None else _cut(content)


def _part(part: Part) -> Part:
    if isinstance(part, ImagePart):
        return TextPart(f"[an image, {len(part.image_url.url) * 3 // 4:,} bytes]")
    return TextPart(_cut(part.text))


def _cut(text: str) -> str:
    left_out, text = len(text) - LONGEST_TEXT, clean_text(text, LONGEST_TEXT)
    return text if left_out <= 0 else f"{text}\n[{left_out:,} more characters were not stored]"
