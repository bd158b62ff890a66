"""Agents as files: written by one server, read by another, with an error for each place that is wrong."""

from agents.transfer.entries import NotReadable, Planned, data_of
from agents.transfer.json_file import exported, read
from agents.transfer.reading import Reading, planned, read_files
from agents.transfer.steps import Step, What, make, step_for, steps_to, take
from agents.transfer.toml_file import written

__all__ = [
    "NotReadable",
    "Planned",
    "Reading",
    "Step",
    "What",
    "data_of",
    "exported",
    "make",
    "planned",
    "read",
    "read_files",
    "step_for",
    "steps_to",
    "take",
    "written",
]
