import sys
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand
from agents.management.chatting import ChatClient, Conversation, Refused, Screen
from agents.management.chatting.screen import pasted
from agents.management.server_state import running_url

PROMPT = "> "


class Command(OpenFangCommand):
    help = (
        "Talk to an agent of the running server. Ctrl-C stops an answer, Ctrl-D ends the conversation. With --message, "
        "or with a text on the standard input, it prints the answer and nothing else."
    )
    examples = ("chat coder", 'chat writer --message "A haiku about rain."', "chat coder < question.txt")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("agent")
        parser.add_argument("--message", metavar="TEXT", help="ask this alone")
        parser.add_argument("--url", default="", help="the server (default: the one running on this data directory)")
        parser.add_argument("--key", default="", help="an API key (default: the variable OPENFANG_API_KEY)")

    def handle(self, *, agent: str, message: str | None, url: str, key: str, **options: Any) -> None:
        client = ChatClient(url or running_url(), key or settings.OPENFANG_API_KEY)
        name = agent if agent.startswith("openfang:") else f"openfang:{agent}"
        if message is None and not sys.stdin.isatty():
            message = sys.stdin.read()
        try:
            if message is not None:
                if not message.strip():
                    raise CommandError("There is nothing to ask: the message is empty.")
                Conversation(client, name, Screen(sys.stdout, beside=False), costs=False).say(message)
            else:
                self.talk(client, name, costs=not url)
        except Refused as error:
            raise CommandError(explained(error)) from None

    def talk(self, client: ChatClient, name: str, *, costs: bool) -> None:
        with suppress(ImportError):
            import readline  # noqa: F401 -- lets a line be edited, and earlier ones be fetched back

        about = client.agent(name)
        screen = Screen(sys.stdout, beside=True)
        description = f": {about['description']}" if about.get("description") else ""
        screen.aside(f"{about['id'].removeprefix('openfang:')}{description} (Ctrl-C stops an answer, Ctrl-D ends)\n")
        screen.end_line()
        conversation = Conversation(client, name, screen, costs=costs)
        while True:
            try:
                text = pasted(input(PROMPT))
                if text.strip():
                    conversation.say(text)
            except EOFError:
                screen.text("\n")
                return
            except KeyboardInterrupt:
                screen.text("\n")
            except Refused as error:
                # One answer has failed, not the conversation.
                self.explain(f"openfang: {explained(error)}")


def explained(error: Refused) -> str:
    return f"{error} Name a key with --key, or in OPENFANG_API_KEY." if error.status == 401 else str(error)
