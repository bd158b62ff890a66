"""Running the project's commands: in this process, or as an administrator does."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parents[2]
CEILING = 120.0  # seconds; nothing here takes five on a machine that has nothing else to do


@dataclass
class Said:
    out: str
    err: str


def command(*words: str) -> Said:
    """Run a command in this process, on the test database."""
    out, err = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=err)
    return Said(out.getvalue(), err.getvalue())


def refused(*words: str) -> str:
    """Run a command in this process that is to fail, and return its one line."""
    with pytest.raises(CommandError) as error:
        command(*words)
    assert "\n" not in str(error.value)
    return str(error.value)


def told(pattern: str, text: str) -> str | None:
    """Return what a pattern's group finds in what a command printed."""
    found = re.search(pattern, text)
    return found[1] if found else None


class Server:
    """A server in the foreground, after it has said that it is ready."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self.greeting = ""
        for line in process.stdout:
            self.greeting += line
            if line.startswith("Stop it with"):
                break
        self.url = told(r"API +(http://\S+)/v1", self.greeting)
        assert self.url, self.greeting

    @property
    def password(self) -> str | None:
        return told(r"password (\w+)", self.greeting)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=CEILING)


class Installation:
    """A data directory that begins empty, and the program that fills it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def openfang(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, ROOT / "manage.py", *words],
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CEILING,
            check=False,
        )

    def refusal(self, *words: str, **environment: str) -> str:
        """Run a command that is to fail, and return its one line."""
        failed = self.openfang(*words, **environment)
        assert failed.returncode == 1, failed
        assert failed.stdout == ""
        assert failed.stderr.startswith("openfang: ") and failed.stderr.count("\n") == 1, failed.stderr
        return failed.stderr.removeprefix("openfang: ").strip()

    @contextmanager
    def server(self) -> Iterator[Server]:
        process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "start", "--port", "0"],
            env=self.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Server(process)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return an environment without the keys and settings of whoever runs the tests."""
        return {"PATH": os.environ["PATH"], "OPENFANG_DATA_DIR": str(self.data_dir), **more}
