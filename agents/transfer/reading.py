"""Files of agents of whatever kind, read for a server whose agents they may change."""

from dataclasses import dataclass, field
from typing import Any

from agents.transfer import json_file, manifest, toml_file
from agents.transfer.entries import Known, NotReadable, Planned, Where, plan_of


@dataclass
class Reading:
    """The agents of some files; `lost` has, by agent, what a manifest of the original has that has no equal here."""

    plans: list[Planned] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=dict)


def read_files(files: dict[str, str]) -> Reading:
    """Read the texts of files, by their names, as one. Raises NotReadable with everything that is wrong with them."""
    known = Known(replaced=True)
    reading = Reading()
    problems: list[str] = []
    for file, text in files.items():
        found: list[str] = []
        try:
            for entry, where in _entries(text, known, reading):
                if plan := plan_of(entry, where, known, found):
                    reading.plans.append(plan)
                    found += [f"{where('')}: this server does not have {missing}." for missing in plan.missing]
        except NotReadable as error:
            found += error.problems
        problems += [f"{file}: {problem}" for problem in found]
    if problems:
        raise NotReadable(problems)
    return reading


def planned(entry: dict[str, Any]) -> Planned:
    """Return what an agent would be that is changed by hand. Raises NotReadable."""
    problems: list[str] = []
    plan = plan_of(entry, lambda key: key or "agent", Known(replaced=True), problems)
    problems += [f"This server does not have {missing}." for missing in plan.missing] if plan else []
    if problems or plan is None:
        raise NotReadable(problems)
    return plan


def _entries(text: str, known: Known, reading: Reading) -> list[tuple[Any, Where]]:
    if text.lstrip().startswith("{"):
        return [(entry, json_file.where_of(number)) for number, entry in enumerate(json_file.entries_in(text))]
    document = toml_file.parsed(text)
    if manifest.is_manifest(document):
        entry, lost = manifest.entry_of(document, known)
        reading.lost[str(entry["name"])] = lost
        return [(entry, manifest.where_in(document))]
    return toml_file.entries_in(text)
