"""The launcher, really run: on copies of it that install wheels made here, so no network is needed."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parent.parent / "openfang"

# Tells how it was called and which greeting is installed; `exit N` ends with N.
MANAGE = """
import json, os, sys
import greeting
print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "greeting": greeting.VERSION}))
sys.exit(int(sys.argv[2]) if sys.argv[1] == "exit" else 0)
"""


@dataclass(frozen=True)
class Checkout:
    """A clone of the repository as the launcher sees it, with tiny lock files."""

    root: Path

    @property
    def launcher(self) -> Path:
        return self.root / "openfang"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def lock(self, *lines: str, file: str = "requirements.lock") -> None:
        (self.root / file).write_text("".join(f"{line}\n" for line in lines))

    def start(self, *arguments: str, command: Path | None = None, cwd: Path | None = None, **environment: str):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OPENFANG_", "PIP_", "PYTHON"))}
        settings = {"OPENFANG_PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
        settings["PIP_TIMEOUT"] = "180"  # it would come again after 15 s of a download that a test holds up
        return subprocess.Popen(
            [command or self.launcher, *arguments],
            cwd=cwd or self.root,
            env=inherited | settings | {"no_proxy": "127.0.0.1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # as in a terminal, where Ctrl-C reaches pip too
        )

    def run(self, *arguments: str, command: Path | None = None, cwd: Path | None = None, **environment: str):
        return finished(self.start(*arguments, command=command, cwd=cwd, **environment))


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=180)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def told(result: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What manage.py printed; a run that did not reach it shows why."""
    assert result.returncode == 0, result.stderr
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def write_wheel(folder: Path, name: str, version: str) -> str:
    """Make the wheel of a module that holds only its VERSION, and return its line for a lock file."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return hashed(f"./{wheel.name}", wheel.read_bytes())


def hashed(requirement: str, content: bytes = b"") -> str:
    return f"{requirement} --hash=sha256:{hashlib.sha256(content).hexdigest()}"


def write_clone(root: Path) -> Checkout:
    root.mkdir()
    shutil.copy(LAUNCHER, root / "openfang")
    (root / "manage.py").write_text(MANAGE)
    checkout = Checkout(root)
    checkout.lock(write_wheel(root, "greeting", "1.0"))
    checkout.lock(write_wheel(root, "model", "1.0"), file="requirements-model.lock")
    checkout.lock(file="requirements-dev.lock")
    return checkout


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, subprocess.CompletedProcess[str]]:
    """A first run, made once (it costs seconds), where an earlier one was killed while it made the environment."""
    checkout = write_clone(tmp_path_factory.mktemp("launcher") / "open fang")
    killed = checkout.start("check")
    assert killed.stderr is not None
    assert "setting up" in killed.stderr.readline()
    os.killpg(killed.pid, signal.SIGKILL)
    assert finished(killed).returncode == -signal.SIGKILL
    return checkout, checkout.run("check")


@pytest.fixture(scope="module")
def ready(first_run: tuple[Checkout, object]) -> Checkout:
    """The clone that has been set up, for tests that leave it as it is."""
    return first_run[0]


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A clone that has never run."""
    return write_clone(tmp_path / "fresh clone")


@pytest.fixture
def checkout(ready: Checkout, tmp_path: Path) -> Checkout:
    """A clone that has been set up, to change."""
    ignored = shutil.ignore_patterns("site-packages")
    shutil.copytree(ready.root, tmp_path / "open fang", symlinks=True, ignore=ignored)
    # pip never writes into a file that is there, so thousands of them can be links instead of copies.
    packages = next(ready.venv.glob("lib/python*/site-packages"))
    shutil.copytree(packages, tmp_path / "open fang" / packages.relative_to(ready.root), copy_function=os.link)
    copy = Checkout(tmp_path / "open fang")
    assert copy.run("check").stderr == ""
    return copy


@pytest.fixture
def stalled_download() -> Iterator[socket.socket]:
    """A server that takes connections and never answers: whoever is accepted there is in the middle of a download."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(180)
        yield server


def url_at(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/greeting-2.0-py3-none-any.whl"


def write_python(folder: Path, change: str) -> str:
    """Fill a folder with interpreters that differ from ours by one change, and return a PATH that begins there."""
    folder.mkdir()
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        (folder / name).write_text(
            f"#!/bin/sh\nfor code; do :; done\n"
            f"exec '{sys.executable}' -I -c 'import sys; {change}; exec(sys.argv[1])' \"$code\"\n"
        )
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_the_first_run_that_is_not_killed_installs_and_says_how_to_put_openfang_on_the_path(first_run):
    checkout, result = first_run
    assert told(result)["greeting"] == "1.0"
    assert f"ln -s '{checkout.launcher}' ~/.local/bin/" in result.stderr.splitlines()[-1]
    assert len(result.stderr.splitlines()) == 4


def test_a_later_run_says_nothing_and_installs_nothing(checkout):
    for wheel in checkout.root.glob("*.whl"):
        wheel.unlink()  # pip would fail now
    result = checkout.run("check")
    assert told(result)["greeting"] == "1.0"
    assert result.stderr == ""


def test_it_runs_from_any_directory_and_through_a_symlink(ready, tmp_path):
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "openfang"
    link.symlink_to(os.path.relpath(ready.launcher, link.parent))
    assert told(ready.run("check", command=link, cwd=Path("/")))["cwd"] == "/"


def test_arguments_go_through_untouched(ready):
    arguments = ["spawn", "two words", "", "*", "$HOME", "--name=it's"]
    assert told(ready.run(*arguments))["arguments"] == arguments


def test_without_arguments_it_shows_the_help(ready):
    assert told(ready.run())["arguments"] == ["help"]


def test_the_exit_code_goes_through(ready):
    assert ready.run("exit", "7").returncode == 7


def test_a_changed_lock_is_installed_by_the_next_run(checkout):
    checkout.lock(write_wheel(checkout.root, "greeting", "2.0"))
    result = checkout.run("check")
    assert told(result)["greeting"] == "2.0"
    assert "~/.local/bin" not in result.stderr
    assert checkout.run("check").stderr == ""


def test_a_failing_pip_is_one_line_and_what_pip_said(checkout):
    checkout.lock(hashed("./missing-1.0-py3-none-any.whl"))
    result = checkout.run("check")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "openfang: could not install requirements.lock; pip says:\n" in result.stderr
    assert "missing-1.0-py3-none-any.whl" in result.stderr.splitlines()[-1]

    checkout.lock(write_wheel(checkout.root, "greeting", "1.0"))
    assert told(checkout.run("check"))["greeting"] == "1.0"


def test_a_file_that_differs_from_the_lock_is_not_installed(checkout):
    checkout.lock(write_wheel(checkout.root, "greeting", "2.0"))
    with zipfile.ZipFile(checkout.root / "greeting-2.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("stowaway.py", "")
    result = checkout.run("check")
    assert result.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.stderr
    assert not list(checkout.venv.glob("lib/python*/site-packages/stowaway.py"))


def test_a_package_without_a_hash_is_not_installed(checkout):
    checkout.lock(write_wheel(checkout.root, "greeting", "2.0").partition(" --hash")[0])
    result = checkout.run("check")
    assert result.returncode == 1
    assert "Hashes are required in --require-hashes mode" in result.stderr


def test_without_the_model_the_server_still_starts(checkout):
    checkout.lock(hashed("./missing-1.0-py3-none-any.whl"), file="requirements-model.lock")
    result = checkout.run("check")
    assert told(result)["greeting"] == "1.0"
    warning = result.stderr.splitlines()[-1]
    assert "the server works without it" in warning
    assert "missing-1.0-py3-none-any.whl" in warning
    assert checkout.run("check").stderr == ""


def test_packages_that_were_cut_off_half_way_are_not_used(checkout, stalled_download):
    checkout.lock(hashed(url_at(stalled_download)))
    process = checkout.start("check")
    connection, _ = stalled_download.accept()
    os.killpg(process.pid, signal.SIGKILL)
    finished(process)
    connection.close()
    checkout.lock(write_wheel(checkout.root, "greeting", "1.0"))
    # It is made anew: an interpreter is asked for (and not found, which saves the seconds that making it takes).
    assert "found no /nowhere/python3" in checkout.run("check", OPENFANG_PYTHON="/nowhere/python3").stderr


def test_ctrl_c_ends_the_set_up(checkout, stalled_download):
    checkout.lock(hashed(url_at(stalled_download)))
    process = checkout.start("check")
    connection, _ = stalled_download.accept()
    os.killpg(process.pid, signal.SIGINT)
    result = finished(process)
    connection.close()
    assert result.returncode == 130
    assert "could not install" not in result.stderr
    assert not os.path.lexists(checkout.venv / "openfang-lock")


def test_of_two_runs_at_once_one_installs_and_the_other_waits(checkout, stalled_download):
    write_wheel(checkout.root, "greeting", "2.0")
    wheel = (checkout.root / "greeting-2.0-py3-none-any.whl").read_bytes()
    checkout.lock(hashed(url_at(stalled_download), wheel))
    first = checkout.start("check")
    connection, _ = stalled_download.accept()
    second = checkout.start("check")
    assert second.stderr is not None
    assert f"waiting for process {first.pid}" in second.stderr.readline()

    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(wheel) + wheel)
    connection.close()
    assert told(finished(first))["greeting"] == "2.0"
    result = finished(second)
    assert told(result)["greeting"] == "2.0"
    assert result.stderr == ""


def test_a_python_that_is_too_old_is_one_line(fresh, tmp_path):
    path = write_python(tmp_path / "old", "sys.version_info = (3, 9, 18)")
    result = fresh.run("check", PATH=path, OPENFANG_PYTHON="")
    assert result.returncode == 1
    assert result.stderr == (
        "openfang: needs Python 3.11, 3.12 or 3.13; found python3 3.9: "
        "install one of them, or name one in OPENFANG_PYTHON\n"
    )


def test_a_python_that_is_not_there_is_one_line(fresh):
    result = fresh.run("check", OPENFANG_PYTHON="/nowhere/python3")
    assert result.returncode == 1
    assert result.stderr == (
        "openfang: needs Python 3.11, 3.12 or 3.13; found no /nowhere/python3: "
        "install one of them, or name one in OPENFANG_PYTHON\n"
    )


def test_a_python_without_venv_names_the_package_that_has_it(fresh, tmp_path):
    path = write_python(tmp_path / "bare", 'sys.modules["ensurepip"] = None')
    result = fresh.run("check", PATH=path, OPENFANG_PYTHON="")
    assert result.returncode == 1
    assert result.stderr == (
        "openfang: python3 has no venv module: on Debian and Ubuntu, sudo apt install python3-venv\n"
    )


def test_a_directory_that_is_no_virtual_environment_is_left_alone(fresh, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "precious").write_text("mine")
    result = fresh.run("check", OPENFANG_VENV=str(tmp_path))
    assert result.returncode == 1
    assert "is not a virtual environment" in result.stderr
    assert (tmp_path / "lib" / "precious").read_text() == "mine"


def test_a_place_it_cannot_write_to_is_one_line(fresh):
    place = fresh.launcher / "venv"  # below a file
    result = fresh.run("check", OPENFANG_VENV=str(place))
    assert result.returncode == 1
    assert result.stderr == (
        f"openfang: cannot write to {place}: make it writable, or name another place in OPENFANG_VENV\n"
    )


def test_the_test_command_installs_its_requirements_and_runs_the_tests_from_the_root(checkout, tmp_path):
    checkout.lock(write_wheel(checkout.root, "checker", "1.0"), file="requirements-dev.lock")
    (checkout.root / "tests").mkdir()
    (checkout.root / "tests" / "__main__.py").write_text("import checker\n" + MANAGE)
    first = checkout.run("test", "-k", "a b", cwd=tmp_path)
    assert told(first) == {"arguments": ["-k", "a b"], "cwd": str(checkout.root), "greeting": "1.0"}
    assert checkout.run("test", "-k", "a b").stderr == ""


def test_the_help_of_the_test_command_needs_none_of_its_requirements(checkout):
    checkout.lock(hashed("no-such-package-for-tests==1.0"), file="requirements-dev.lock")
    (checkout.root / "tests").mkdir()
    (checkout.root / "tests" / "__main__.py").write_text(MANAGE)
    for words in (["test", "--help"], ["help", "test"]):
        assert told(checkout.run(*words))["arguments"] == ["--help"]
