import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand, add_json
from openfang_site.checkup import Finding, State, checkup


class Command(OpenFangCommand):
    help = (
        "Find out what is wrong with this server and its surroundings, and say what to do about it; it changes "
        "nothing. The exit code is 1 if there is a problem."
    )
    examples = ("doctor", "doctor --offline --json")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--offline", action="store_true", help="ask no provider")
        add_json(parser)

    def handle(self, *, offline: bool, json: bool, **options: Any) -> None:
        findings = checkup(offline=offline)
        found = self.as_json(findings) if json else self.as_lines(findings)
        if State.PROBLEM in found:
            sys.exit(1)

    def as_json(self, findings: Iterator[Finding]) -> list[State]:
        found = list(findings)
        self.write_json([{"check": f.check, "state": f.state.value, "text": f.text, "advice": f.advice} for f in found])
        return [finding.state for finding in found]

    def as_lines(self, findings: Iterator[Finding]) -> list[State]:
        """Print each as it is found: a provider may take its time."""
        states = []
        for finding in findings:
            states.append(finding.state)
            mark = finding.state.value.upper() if finding.state is not State.OK else "ok"
            self.stdout.write(f"{mark:8} {finding.check}: {finding.text}")
            if finding.advice:
                self.stdout.write(f"{'':8} → {finding.advice}")
            self.stdout.flush()
        problems, warnings = states.count(State.PROBLEM), states.count(State.WARNING)
        self.stdout.write(
            f"\n{problems or 'No'} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}."
        )
        return states
