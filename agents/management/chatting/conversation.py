from decimal import Decimal
from typing import Any
from uuid import UUID

from agents.management.chatting.client import ChatClient
from agents.management.chatting.screen import Screen
from agents.models import UsageRecord

LONGEST_ARGUMENTS = 120


class Conversation:
    """What was said so far, and asking for what comes next."""

    def __init__(self, client: ChatClient, agent: str, screen: Screen, *, costs: bool) -> None:
        self._client = client
        self._agent = agent
        self._screen = screen
        self._costs = costs
        self._messages: list[dict[str, str]] = []

    def say(self, text: str) -> None:
        """Send a message and write the answer as it comes. Raises Refused; what was said by then is remembered.

        Ctrl-C ends the answer, on the server too, and is raised again.
        """
        self._messages.append({"role": "user", "content": text})
        answer = Answer(self._screen)
        try:
            with self._client.answering(self._agent, self._messages) as answering:
                for chunk in answering.chunks():
                    answer.add(chunk)
                answer.calls_made()
                self._screen.end_line()
                self._screen.aside(told(answer, self._cost_of(answering.request_id)))
        finally:
            self._screen.end_line()
            if answer.text:
                self._messages.append({"role": "assistant", "content": answer.text})
            else:
                self._messages.pop()  # a question without an answer would be asked again with the next one

    def _cost_of(self, request_id: str) -> Decimal | None:
        if not self._costs:
            return None
        try:
            # The row is closed before the end of the answer is sent.
            return UsageRecord.objects.filter(pk=UUID(request_id)).values_list("cost", flat=True).first()
        except ValueError:
            return None


class Answer:
    """An answer as its chunks come: its text, and beside it what it thinks and which tools it runs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._parts: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self.usage: dict[str, Any] = {}
        self.finish_reason = ""

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, chunk: dict[str, Any]) -> None:
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta", {})
            for piece in delta.get("tool_calls", ()):
                self._add_to_call(piece)
            if text := (delta.get("content") or delta.get("refusal")):
                self.calls_made()
                self._parts.append(text)
                self._screen.text(text)
            if reasoning := delta.get("reasoning_content"):
                self.calls_made()
                self._screen.aside(reasoning)

    def _add_to_call(self, piece: dict[str, Any]) -> None:
        if piece["index"] not in self._calls:
            self.calls_made()  # the one before it is complete
        call = self._calls.setdefault(piece["index"], {"name": "", "arguments": ""})
        for name in call:
            call[name] += piece.get("function", {}).get(name) or ""

    def calls_made(self) -> None:
        """Tell of the calls that are complete."""
        for call in self._calls.values():
            arguments = call["arguments"]
            cut = arguments if len(arguments) <= LONGEST_ARGUMENTS else f"{arguments[:LONGEST_ARGUMENTS]}…"
            self._screen.end_line()
            self._screen.aside(f"[{call['name']} {cut}]\n")
        self._calls.clear()


def told(answer: Answer, cost: Decimal | None) -> str:
    """Say what an answer used, and if it was cut short."""
    tokens = f"{answer.usage.get('prompt_tokens', 0):,} + {answer.usage.get('completion_tokens', 0):,} tokens"
    parts = [tokens, f"${cost.normalize():f}" if cost is not None else ""]
    if answer.finish_reason == "length":
        parts.append("cut short: the answer is as long as it may be")
    elif answer.finish_reason == "content_filter":
        parts.append("stopped by the provider's filter")
    return f"[{', '.join(filter(None, parts))}]\n"
