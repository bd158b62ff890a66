"""Agents as code on the command line: reading their files, telling what would change, and changing it."""

import sys
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from agents.management.base import OpenFangCommand
from agents.models import Agent
from agents.transfer import NotReadable, Step, What, read_files, steps_to, take, written

MOST_BYTES = 5_000_000
MARKS = {What.MADE: "+", What.CHANGED: "~", What.DELETED: "-"}
CONTEXT = 1  # lines around those of a text that change


class WrongPlaces(CommandError):
    """What is wrong with files, a line for each place."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = list(places)
        count = f"{len(places)} mistake{'s' if len(places) > 1 else ''}, so nothing was changed:"
        super().__init__("\n  ".join([count, *places]))


def export_agents(agents: Sequence[Agent]) -> str:
    return written(list(agents))


def import_files(command: OpenFangCommand, paths: Sequence[str], *, prune: bool, dry_run: bool) -> None:
    """Make this server's agents like those of the files, or only tell what that would change. All or nothing."""
    try:
        reading = read_files({path: text_of(path) for path in paths})
    except NotReadable as error:
        raise WrongPlaces(error.problems) from None
    steps = steps_to(reading.plans, prune=prune)
    if not dry_run:
        take(steps)
    for step in steps:
        if step.what is not What.SAME:
            command.stdout.write("\n".join(described(step)))
        for lost in reading.lost.get(step.name, ()):
            command.explain(f"{step.name}: no equal here: {lost}")
    command.stdout.write(summary(steps, dry_run=dry_run))


def text_of(path: str) -> str:
    try:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1) if path == "-" else Path(path).read_bytes()
        if len(raw) > MOST_BYTES:
            raise CommandError(f"{path} is larger than {MOST_BYTES // 1_000_000} MB.")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not text in UTF-8.") from None


def described(step: Step) -> Iterator[str]:
    """Tell what becomes of an agent, with each of its fields that change."""
    yield f"{MARKS.get(step.what, ' ')} {step.name}"
    for name, (before, after) in step.changes.items():
        if isinstance(before, list) and isinstance(after, list):
            yield from _items(name, before, after)
        elif any("\n" in text for text in (before, after) if isinstance(text, str)):
            yield f"    {name}:"
            yield from (f"      {line}".rstrip() for line in _lines(before or "", after or ""))
        else:
            yield f"    {name}: {_shown(before)} → {_shown(after)}"


def summary(steps: Sequence[Step], *, dry_run: bool) -> str:
    counts = {what: sum(step.what is what for step in steps) for what in What}
    same = counts.pop(What.SAME)
    said = [f"{count} {'to be ' if dry_run else ''}{what.value}" for what, count in counts.items() if count]
    return f"Agents: {', '.join([*said, f'{same} as in the file'])}."


def _items(name: str, before: list[Any], after: list[Any]) -> Iterator[str]:
    gone = [f"- {_item(item)}" for item in before if item not in after]
    come = [f"+ {_item(item)}" for item in after if item not in before]
    yield f"    {name}: {', '.join(gone + come) or 'in another order: ' + ', '.join(map(_item, after))}"


def _item(item: Any) -> str:
    return f"{item['server']}/{item['tool'] or '*'}" if isinstance(item, dict) else str(item)


def _lines(before: str, after: str) -> Iterator[str]:
    lines = unified_diff(before.splitlines(), after.splitlines(), n=CONTEXT, lineterm="")
    found = [line for line in lines if not line.startswith(("---", "+++"))]
    # Of changes of line breaks alone no line differs.
    yield from (["…" if line.startswith("@@") else line for line in found][1:] if found else ["(line breaks only)"])


def _shown(value: Any) -> str:
    match value:
        case None:
            return "(default)"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case _:
            return str(value)
