"""The command line: `openfang COMMAND`, the same as `manage.py COMMAND`."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, execute_from_command_line, get_commands
from django.db import DatabaseError

COMMANDS = {
    "start": "serve the agents, until Ctrl-C or, with --detach, in the background",
    "stop": "stop the server, letting running answers end",
    "status": "say whether the server runs, where, and what it has to do",
    "spawn": "make an agent from a profile: spawn coder",
    "agents": "list the agents and their models",
    "key": "make, list, rotate and revoke API keys",
    "budget": "set, list and remove budgets",
    "provider": "add and list the LLM APIs that agents use",
    "mcp": "offer the agents as tools to an MCP client",
    "passwd": "set a new password for the web admin",
    "prune": "delete usage rows that are older than some days; their sums stay",
    "init-env": "write the .env that docker compose needs",
    "secrets": "encrypt again under a new secret key what is stored under an old one",
    "bench": "measure this server beside a bare one and its peers",
    "audit": "ask whether an installed package has a known vulnerability",
    "test": "run the checks and tests of this copy",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")
    arguments = sys.argv[1:]
    if arguments in ([], ["help"], ["--help"], ["-h"]):
        print(overview())
        return
    if arguments == ["help", "--all"]:
        arguments = ["help"]
    try:
        run(arguments)
    except (CommandError, ImproperlyConfigured) as error:
        sys.exit(f"openfang: {one_line(error)}")
    except DatabaseError as error:
        sys.exit(f"openfang: The database cannot be used: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(130)  # as shells report a program that Ctrl-C ended


def run(arguments: list[str]) -> None:
    django.setup()
    if arguments[0] not in {*get_commands(), "help", "version", "--version"}:
        raise CommandError(f"There is no command {arguments[0]!r}; openfang help lists what there is.")
    execute_from_command_line(["openfang", *arguments])


def overview() -> str:
    width = max(map(len, COMMANDS))
    commands = [f"  openfang {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "OpenFang serves AI agents behind an OpenAI-compatible API.",
            "",
            *commands,
            "",
            "openfang help COMMAND tells all of one; openfang help --all lists Django's own commands too.",
        ]
    )


def one_line(error: Exception) -> str:
    return " ".join(str(error).removeprefix("Error: ").split())
