"""`openfang logs`: the end of a background server's log, and what comes after it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.agents.command_line import CEILING, ROOT, Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@contextmanager
def following(installation: Installation) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    process = subprocess.Popen(
        [sys.executable, ROOT / "manage.py", "logs", "-f", "-n", "1"],
        env=installation.environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        with process:
            yield process, process.stdout
    finally:
        process.kill()


def test_the_last_lines_are_printed_however_long_the_log(installation: Installation, tmp_path: Path) -> None:
    lines = [f"{number} {'é' * 100}\n" for number in range(2000)]
    (tmp_path / "server.log").write_text("".join(lines))
    assert installation.openfang("logs", "-n", "700").stdout == "".join(lines[-700:])
    assert installation.openfang("logs", "-n", "5000").stdout == "".join(lines)
    assert installation.openfang("logs").stdout == "".join(lines[-100:])


def test_it_follows_what_is_written_also_into_a_new_file(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("old\nlast\n")
    with following(installation) as (process, out):
        assert out.readline() == "last\n"
        with path.open("a") as log:
            log.write("ne")
            log.flush()
            log.write("xt é\n")
        assert out.readline() == "next é\n"
        path.write_text("anew\n")
        assert out.readline() == "anew\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=CEILING) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_without_a_log_it_says_where_one_would_be(installation: Installation, tmp_path: Path) -> None:
    assert installation.refusal("logs").startswith(
        f"There is no {tmp_path}/server.log: only a server that was started with --detach writes it."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_log_that_cannot_be_read_is_one_line(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "server.log").touch(mode=0)
    assert installation.refusal("logs") == f"{tmp_path}/server.log cannot be read (Permission denied)."
