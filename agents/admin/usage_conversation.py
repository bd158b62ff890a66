"""What was said in a request, where it is stored, for those who may read it."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from agents.types import Message, TextPart
from agents.usage.content import Conversation, conversation_of


def stored_conversation(request: HttpRequest, request_id: UUID) -> Conversation | None:
    """Return what was said in a request, if it is stored and this user may read it."""
    return conversation_of(request_id) if request.user.has_perm("agents.view_storedcontent") else None


def messages_of(said: Conversation) -> list[dict[str, Any]]:
    """Return the messages in order as the page shows them, the answer last."""
    messages = [_message(message) for message in said.messages]
    answer = {"role": "answer", "text": said.answer, "reasoning": said.reasoning, "calls": []}
    return [*messages, answer]


def _message(message: Message) -> dict[str, Any]:
    content = message.content
    if isinstance(content, list):
        content = "\n".join(part.text for part in content if isinstance(part, TextPart))
    calls = [f"{call.function.name}({call.function.arguments})" for call in message.tool_calls or ()]
    return {"role": message.role, "text": content or "", "calls": calls}
