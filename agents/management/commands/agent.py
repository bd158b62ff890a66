import json
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.agent_files import described, export_agents, import_files, text_of
from agents.management.base import OpenFangCommand, add_json
from agents.management.lookup import find_agent
from agents.models import Agent
from agents.setup import SetupError, copy_of, prepare
from agents.snapshot import default_model, read_models
from agents.transfer import NotReadable, data_of, planned, step_for, take
from agents.transfer.entries import KEYS, OPTIONAL, PLAIN

LISTS = ("tools", "fallback_models", "mcp_tools")


class Command(OpenFangCommand):
    help = "Show, change, copy and delete one agent. To make one: openfang spawn. To list all: openfang agents."
    examples = (
        "agent show coder",
        "agent set coder temperature=0.2 system_prompt=@prompt.txt",
        "agent clone coder reviewer",
        "agent kill coder --yes",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        named = {
            "show": "show an agent, all of it",
            "set": "change fields of an agent; a running server serves it at once",
            "enable": "let clients see a disabled agent again",
            "disable": "hide an agent from clients",
            "kill": "delete an agent (the original OpenFang's word for it); its usage stays",
            "clone": "make an agent that is like another one",
            "export": "print an agent as TOML",
        }
        parsers = {action: actions.add_parser(action, help=text) for action, text in named.items()}
        for action in parsers.values():
            action.add_argument("name")
        add_json(parsers["show"])
        parsers["set"].add_argument(
            "fields",
            nargs="+",
            metavar="FIELD=VALUE",
            help=f"fields: {', '.join(KEYS)}. Lists are comma-separated, @FILE takes a file's text, and nothing after "
            "= is the default",
        )
        parsers["kill"].add_argument("--yes", action="store_true", help="without asking")
        parsers["clone"].add_argument("new", help="the name of the new agent")
        importing = actions.add_parser("import", help="the same as: openfang import FILE")
        importing.add_argument("file")
        importing.add_argument("--dry-run", action="store_true", help="only tell what would change")

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "import":
            import_files(self, [options["file"]], prune=False, dry_run=options["dry_run"])
            return
        agent = find_agent(options["name"])
        match action:
            case "show":
                self.show(agent, as_json=options["json"])
            case "set":
                self.set(agent, options["fields"])
            case "enable" | "disable":
                self.switch(agent, enabled=action == "enable")
            case "kill":
                self.kill(agent, sure=options["yes"])
            case "clone":
                self.clone(agent, options["new"])
            case "export":
                self.stdout.write(export_agents([agent]), ending="")

    def show(self, agent: Agent, *, as_json: bool) -> None:
        facts = facts_of(agent)
        if as_json:
            self.write_json(facts)
            return
        prompt = facts.pop("system_prompt")
        width = max(map(len, facts))
        self.stdout.write("\n".join(f"{name:{width}}  {shown(value)}" for name, value in facts.items()))
        self.stdout.write(f"\n{prompt or '(no system prompt)'}")

    def set(self, agent: Agent, fields: list[str]) -> None:
        entry = data_of(agent)
        for field in fields:
            name, equals, text = field.partition("=")
            if not equals or name not in KEYS:
                raise CommandError(f"{field[:80]!r} is not FIELD=VALUE with one of these fields: {', '.join(KEYS)}.")
            try:
                entry[name] = value_of(name, text)
            except ArgumentTypeError as error:
                raise CommandError(f"{name}: {error}") from None
        if entry["name"] != agent.name and Agent.objects.filter(name=entry["name"]).exists():
            raise CommandError(f"There is an agent named {entry['name']!r} already.")
        try:
            plan = planned(entry)
        except NotReadable as error:
            raise CommandError(" ".join(error.problems)) from None
        step = step_for(agent, plan)
        take([step])
        self.stdout.write("\n".join(described(step)) if step.changes else f"{agent.name} is like that already.")

    def switch(self, agent: Agent, *, enabled: bool) -> None:
        agent.enabled = enabled
        agent.save()
        self.stdout.write(
            f"Enabled {agent.name}: clients see it." if enabled else f"Disabled {agent.name}: no client sees it."
        )

    def kill(self, agent: Agent, *, sure: bool) -> None:
        if not sure:
            if not sys.stdin.isatty():
                raise CommandError(f"To delete {agent.name} for good, say --yes.")
            self.stdout.write(f"Delete the agent {agent.name} for good? [y/N] ", ending="")
            self.stdout.flush()
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                self.stdout.write("Nothing was changed.")
                return
        name = agent.name
        agent.delete()
        self.stdout.write(f"Deleted the agent {name}. Its usage stays, and the admin's history tells what it was.")

    def clone(self, agent: Agent, name: str) -> None:
        try:
            copied = copy_of(agent, name)
        except ValidationError as error:
            raise SetupError.from_validation(error) from None
        self.stdout.write(f"Made the agent {copied.name}, which is like {agent.name}.")


def facts_of(agent: Agent) -> dict[str, Any]:
    """Return all there is to tell of an agent."""
    facts = data_of(agent)
    default = None if agent.model_id else default_model(list(read_models().values()))
    answers = f"{default.provider.name}/{default.name}" if default else facts["model"]
    return {
        "id": str(agent.id),
        **{key: facts[key] for key in ("name", "description", "enabled", "model")},
        "answers_with": answers,
        **{key: value for key, value in facts.items() if key != "system_prompt"},
        "created_at": agent.created_at.isoformat(timespec="seconds"),
        "updated_at": agent.updated_at.isoformat(timespec="seconds"),
        "system_prompt": facts["system_prompt"],
    }


def shown(value: Any) -> str:
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(f"{i['server']}/{i['tool'] or '*'}" if isinstance(i, dict) else str(i) for i in value)
        case _:
            return str(value)


def value_of(name: str, text: str) -> Any:
    """Read a field's value from the command line."""
    if name in LISTS:
        names = [item.strip() for item in text.split(",") if item.strip()]
        return [mcp_tool(item) for item in names] if name == "mcp_tools" else names
    if name == "model" or (name in OPTIONAL and not text):
        return text or None
    kind = PLAIN.get(name, str)
    if kind is str:
        return text_of(text[1:]) if text.startswith("@") else text
    try:
        value = json.loads(text.lower())
    except ValueError:
        value = None
    # Whether it is of the right kind is for the reading of agents to say; a text never is.
    return text if value is None else value


def mcp_tool(text: str) -> dict[str, str]:
    server, slash, tool = text.partition("/")
    if not slash:
        raise ArgumentTypeError(f"{text!r} is not SERVER/TOOL; SERVER/* is all of them")
    return {"server": server, "tool": "" if tool == "*" else tool}
