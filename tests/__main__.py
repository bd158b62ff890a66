"""What `./openfang test` runs: the format, the lint, the types, the layers, the migrations, then the tests.

Without arguments, or with `--all`, each step in turn until one fails. Any other arguments go to pytest, which is then
the only step: `./openfang test tests/test_launcher.py -k symlink`, or `./openfang test --services` for the tests on
PostgreSQL and Redis.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

CHECKS = {
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "ruff check": ["-m", "ruff", "check", "."],
    "mypy": ["-m", "mypy", "."],
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    "migrations": ["manage.py", "makemigrations", "--check", "--dry-run"],
}


# Two processes more than there are cores, because tests wait; those of a file stay together and share its fixtures.
IN_PARALLEL = ["-q", "-n", str(min(4, (os.cpu_count() or 1) + 2)), "--dist", "loadfile", "--no-loadscope-reorder"]
LAST_FAILED = HERE.parent / ".pytest_cache" / "v" / "cache" / "lastfailed"
FAILED, FEW = 1, 3  # pytest's exit code when tests fail, and how many of them are looked at again


def main(arguments: list[str]) -> None:
    """Run the checks and hand over to pytest, or end with the exit code of the first one that fails."""
    if arguments in (["--help"], ["-h"]):
        print(__doc__)
        return
    # A shell that starts this in the background ignores SIGINT for it, and tests send Ctrl-C to what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    everything = not set(arguments) - {"--all"}
    checks = [Check(name, command) for name, command in CHECKS.items()] if everything else []
    install_javascript_clients(HERE / "clients")
    if "--all" in arguments:
        install_javascript_clients(HERE / "clients_agents")
        install_langchain(HERE / "clients_agents")
    for check in checks:
        check.finish()
    if everything:
        arguments = [*IN_PARALLEL, *arguments]
    print("== pytest", flush=True)
    if everything and os.environ.get("CI") == "true":
        sys.exit(pytest_with_a_second_look(arguments))
    # pytest takes this process's place: Ctrl-C then reaches it alone, and its fixtures can end what they started.
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


def pytest_with_a_second_look(arguments: list[str]) -> int:
    """Run pytest, and the few tests that fail once more, one at a time; returns its exit code.

    A test that passes then was in the way of others, or they in its: it is named, to be mended, but fails no change.
    """
    status = subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode
    failed = json.loads(LAST_FAILED.read_text()) if LAST_FAILED.exists() else {}
    if status != FAILED or not 0 < len(failed) <= FEW:
        return status
    print(f"== Failed beside others, and run again alone: {', '.join(failed)}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "--all", *failed], check=False).returncode


class Check:
    """A check that runs beside the others and what is installed; what it says is shown when it is its turn."""

    def __init__(self, name: str, command: list[str]) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, *command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def finish(self) -> None:
        """Show what it said, and end the whole command if it failed."""
        said, _ = self._process.communicate()
        passed = self._process.returncode == 0
        print(f"== {self._name}\n{said}   {'passed' if passed else 'failed'}", flush=True)
        if not passed:
            sys.exit(self._process.returncode)


def step(name: str, command: list[str]) -> None:
    """Run one step under its header, and end the whole command when it fails."""
    print(f"== {name}", flush=True)
    begin = time.monotonic()
    status = subprocess.run(command, check=False).returncode
    print(f"   {'passed' if status == 0 else 'failed'} in {time.monotonic() - begin:.1f} s", flush=True)
    if status:
        sys.exit(status)


def install_javascript_clients(folder: Path) -> None:
    """Install the npm packages that the tests of JavaScript clients use, where there is Node."""
    wanted = folder / "package-lock.json"
    installed = folder / "node_modules" / "installed-package-lock.json"
    if installed.exists() and installed.read_bytes() == wanted.read_bytes():
        return
    if shutil.which("node") and shutil.which("npm"):
        step("npm ci", ["npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund"])
        shutil.copyfile(wanted, installed)
    elif os.environ.get("CI") == "true":
        sys.exit("Node is not installed: the JavaScript client tests cannot run, and CI must run them.")
    else:
        print("== Node is not installed: the JavaScript client tests are skipped.", flush=True)


def install_langchain(folder: Path) -> None:
    """Install LangChain into an environment of its own: it brings two dozen packages that nothing else needs."""
    wanted, venv = folder / "requirements.lock", folder / ".venv"
    installed = venv / "installed-requirements.lock"
    if installed.exists() and installed.read_bytes() == wanted.read_bytes():
        return
    step("venv for LangChain", [sys.executable, "-m", "venv", "--clear", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(wanted)]
    step("pip install LangChain", pip)
    shutil.copyfile(wanted, installed)


if __name__ == "__main__":
    main(sys.argv[1:])
