"""Agents that act, as the scripted provider sees them; `agent_ask` is the tool whose work a test can watch and hold."""

from typing import Any

from tests.upstream import Answer, Call, Received, call, calls, calls_many


def asks(agent: str, question: str) -> Answer:
    """The model asks another agent."""
    return calls("agent_ask", agent=agent, question=question)


def asking(agent: str, question: str) -> Call:
    """One of several calls in a turn: `asks_all(asking("expert", "..."), asking("critic", "..."))`."""
    return call("agent_ask", agent=agent, question=question)


def asks_all(*several: Call, text: str = "") -> Answer:
    return calls_many(*several, text=text)


def turns_of(request: Received | dict[str, Any]) -> list[tuple[str, Any]]:
    """A conversation as a provider got it: roles, each with its text, or with the names of the calls if there are."""
    messages = request.messages if isinstance(request, Received) else request["messages"]
    return [(message["role"], _said(message)) for message in messages]


def _said(message: dict[str, Any]) -> Any:
    if message.get("tool_calls"):
        return [call["function"]["name"] for call in message["tool_calls"]]
    return message["content"]


def results(request: Received | dict[str, Any]) -> list[str]:
    """What the tools have answered, in the order the provider got it."""
    return [said for role, said in turns_of(request) if role == "tool"]


def offered(request: Received | dict[str, Any]) -> list[str]:
    """The names of the tools that the provider was offered."""
    body = request.body if isinstance(request, Received) else request
    return [tool["function"]["name"] for tool in body.get("tools", [])]


def answers_every_call(messages: list[dict[str, Any]]) -> bool:
    """Whether a conversation is one that providers take: every call has its result right behind it, and only calls."""
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return False
            waiting.remove(message["tool_call_id"])
        elif waiting:
            return False
        else:
            waiting = {one["id"] for one in message.get("tool_calls") or ()}
            if len(waiting) != len(message.get("tool_calls") or ()):
                return False
    return not waiting
