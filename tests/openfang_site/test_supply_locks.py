"""The lock files: what is installed is what was reviewed, and they keep up with the requirements."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openfang_site.supply_chain import locks
from tests.agents.command_line import command, refused

ROOT = Path(__file__).resolve().parents[2]

UV = """
import os, sys
with open(os.environ["UV_CALLS"], "a") as calls:
    print(*sys.argv[1:], file=calls)
if os.environ.get("UV_FAILS_FOR") in sys.argv:
    sys.exit("no solution found")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The requirements and lock files of this copy, to be changed."""
    for requirements in locks.REQUIREMENTS:
        for name in (requirements, locks.lock_of(requirements)):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text(), flags=re.MULTILINE)
    assert count
    file.write_text(text)


def test_the_locks_of_this_copy_agree_with_its_requirements():
    assert locks.problems(ROOT) == [], "write them with ./openfang lock"


def test_the_locks_name_no_index_and_no_directory_of_a_machine():
    for requirements in locks.REQUIREMENTS:
        text = (ROOT / locks.lock_of(requirements)).read_text()
        assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links| /", text)


def test_a_requirement_with_another_version_is_named(copy):
    change(copy / "requirements.txt", r"^Django==\S+", "Django==5.2.99")
    assert locks.problems(copy) == [
        "requirements.lock lacks django==5.2.99 of requirements.txt",
        "requirements-dev.lock lacks django==5.2.99 of requirements-dev.txt",
    ]


def test_a_new_requirement_is_named(copy):
    with (copy / "requirements-model.txt").open("a") as file:
        file.write("Brand_New==1.0  # a reason\n")
    assert locks.problems(copy) == ["requirements-model.lock lacks brand-new==1.0 of requirements-model.txt"]


def test_a_requirement_without_an_exact_version_is_refused(copy):
    with (copy / "requirements.txt").open("a") as file:
        file.write("brand-new>=1.0\n")
    with pytest.raises(ValueError, match=r"requirements.txt has a line without an exact version: 'brand-new>=1.0'"):
        locks.problems(copy)


@pytest.mark.parametrize(
    "line",
    [
        "brand-new==1.0",
        "brand-new==1.0 --hash=sha256:abc",
        "brand-new==1.0 --hash=md5:0123456789abcdef0123456789abcdef",
        f"brand-new==1.0 --hash=sha256:{'0' * 64} --hash=md5:0123456789abcdef0123456789abcdef",
        f"brand-new>=1.0 --hash=sha256:{'0' * 64}",
        "--index-url https://packages.example.com/simple",
        "git+https://example.com/brand-new",
    ],
)
def test_a_locked_line_that_could_install_anything_is_named(copy, line):
    with (copy / "requirements.lock").open("a") as file:
        file.write(f"{line}\n")
    (problem,) = locks.problems(copy)
    assert problem.startswith("requirements.lock has ")


def test_locks_that_would_change_each_other_s_packages_are_named(copy):
    change(copy / "requirements-dev.lock", r"^attrs==\S+", "attrs==1.0")
    assert locks.problems(copy) == ["the lock files disagree about attrs"]


def test_a_missing_lock_is_named(copy):
    (copy / "requirements-otel.lock").unlink()
    assert locks.problems(copy) == ["requirements-otel.lock is missing"]


def test_the_command_checks_without_writing():
    before = (ROOT / "requirements.lock").stat().st_mtime_ns
    assert command("lock", "--check").out == "5 lock files agree with the requirements.\n"
    assert (ROOT / "requirements.lock").stat().st_mtime_ns == before


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that writes down how it was called, and fails for the file that UV_FAILS_FOR names."""
    (tmp_path / "fake" / "uv").mkdir(parents=True)
    (tmp_path / "fake" / "uv" / "__init__.py").touch()
    (tmp_path / "fake" / "uv" / "__main__.py").write_text(UV)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.setenv("UV_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_the_command_resolves_the_server_first_and_the_rest_beside_it(uv):
    command("lock", "--upgrade")
    assert uv.read_text().splitlines() == [
        "pip compile --quiet --upgrade requirements.txt --output-file requirements.lock",
        "pip compile --quiet --upgrade --constraints requirements.lock requirements-otel.txt"
        " --output-file requirements-otel.lock",
        "pip compile --quiet --upgrade --constraints requirements.lock --constraints requirements-otel.lock"
        " requirements-dev.txt --output-file requirements-dev.lock",
        "pip compile --quiet --upgrade --no-deps requirements-model.txt --output-file requirements-model.lock",
        "pip compile --quiet --upgrade tests/clients_agents/requirements.txt"
        " --output-file tests/clients_agents/requirements.lock",
    ]


def test_requirements_that_exclude_each_other_are_named_with_the_reason(uv, monkeypatch):
    monkeypatch.setenv("UV_FAILS_FOR", "requirements-otel.txt")
    assert refused("lock") == "uv could not resolve requirements-otel.txt: no solution found"


def test_pip_reads_the_lock_and_asks_for_no_more_hashes(monkeypatch):
    """pip refuses a line without a hash before it looks for any file."""
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    options = ["--dry-run", "--no-deps", "--no-index", "--require-hashes", "--target=/nonexistent"]
    read = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "-r", str(ROOT / "requirements-dev.lock")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No matching distribution found" in read.stderr
    assert "Hashes are required" not in read.stderr
