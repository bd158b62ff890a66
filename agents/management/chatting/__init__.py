"""A conversation with an agent in a terminal, through the API of a running server as any client has it."""

from agents.management.chatting.client import ChatClient, Refused
from agents.management.chatting.conversation import Conversation
from agents.management.chatting.screen import Screen

__all__ = ["ChatClient", "Conversation", "Refused", "Screen"]
