"""The command line: `openfang COMMAND`, the same as `manage.py COMMAND`."""

import json
import os
import platform
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, execute_from_command_line, get_commands
from django.db import DatabaseError

from agents import __version__
from agents.private_process import begin_private

GROUPS = {
    "Server": {
        "start": "serve the agents, until Ctrl-C or, with --detach, in the background",
        "stop": "stop the server, letting running answers end",
        "status": "say whether the server runs, where, and what it has to do",
        "doctor": "find out what is wrong here, and say what to do about it",
        "config": "list every setting, its value and where it comes from",
        "logs": "print what a server in the background logs: logs -f",
    },
    "Agents": {
        "spawn": "make an agent from a profile: spawn coder",
        "agents": "list the agents and their models",
        "agent": "show, set, enable, disable, clone or kill one agent",
        "chat": "talk to an agent in the terminal: chat coder",
        "export": "print agents as TOML, for git: export > agents.toml",
        "import": "make the agents like those of a file, telling what changes",
    },
    "Access": {
        "key": "make, list, rotate and revoke API keys",
        "token": "make, list and revoke tokens of the management API",
        "budget": "set, list and remove budgets",
        "passwd": "set a new password for the web admin",
    },
    "Models": {
        "provider": "add, test and remove the LLM APIs that agents use",
        "providers": "list them, and which of them have a key here",
        "models": "list the language models and their prices, or add one",
        "serve-model": "serve the embedded model alone, for servers that share it",
        "mcp": "offer the agents as tools to an MCP client",
    },
    "Data": {
        "usage": "tell what was used and what it cost, by agent, key, model or day",
        "backup": "back everything up into one file, also while the server runs",
        "restore": "put a backup in the place of this server's data",
        "prune": "delete usage rows that are older than some days; their sums stay",
        "quarantine": "list, retry or drop texts of requests that the database refused",
        "secrets": "encrypt again under a new secret key what is stored under an old one",
        "init-env": "write the .env that docker compose needs",
    },
    "This copy": {
        "version": "print the versions of OpenFang, Django and Python",
        "bench": "measure this server beside a bare one and its peers",
        "lock": "write the lock files, of which packages are installed with their hashes",
        "images": "pin the images of docker compose by their digests",
        "sbom": "list what is installed as a CycloneDX bill of materials",
        "audit": "ask whether an installed package has a known vulnerability",
        "test": "run the checks and tests of this copy",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}


def main() -> None:
    begin_private()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")
    arguments = sys.argv[1:]
    if arguments in ([], ["help"], ["--help"], ["-h"]):
        print(overview())
        return
    if arguments[0] in ("version", "--version") or arguments == ["help", "version"]:
        print(versions(as_json="--json" in arguments))
        return
    if arguments == ["help", "--all"]:
        arguments = ["help"]
    try:
        run(arguments)
        sys.stdout.flush()
    except (CommandError, ImproperlyConfigured) as error:
        sys.exit(f"openfang: {told(error)}")
    except DatabaseError as error:
        sys.exit(f"openfang: The database cannot be used: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(130)  # as shells report a program that Ctrl-C ended
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def run(arguments: list[str]) -> None:
    django.setup()
    name = arguments[1] if arguments[0] == "help" and len(arguments) > 1 else arguments[0]
    if name not in {*get_commands(), "help"}:
        raise CommandError(f"There is no command {name!r}; openfang help lists what there is.")
    execute_from_command_line(["openfang", *arguments])


def overview() -> str:
    """Show every command in a line of its own, with the word for its group before the first."""
    margin, width = max(map(len, GROUPS)), max(map(len, COMMANDS))
    lines = [
        f"  {group if name == next(iter(commands)) else '':{margin}}  {name:{width}}  {text}"
        for group, commands in GROUPS.items()
        for name, text in commands.items()
    ]
    return "\n".join(
        [
            "OpenFang serves AI agents behind an OpenAI-compatible API.",
            "",
            *lines,
            "",
            "openfang help COMMAND tells all of one, with examples; help --all lists Django's own too.",
        ]
    )


def versions(*, as_json: bool) -> str:
    facts = {"openfang": __version__, "django": django.get_version(), "python": platform.python_version()}
    if as_json:
        return json.dumps(facts, indent=2)
    return "OpenFang {openfang} (Django {django}, Python {python})".format_map(facts)


def told(error: Exception) -> str:
    """Return an error in one line, but one that has several places to name in a line for each."""
    return str(error) if getattr(error, "places", None) else one_line(error)


def one_line(error: Exception) -> str:
    return " ".join(str(error).removeprefix("Error: ").split())
