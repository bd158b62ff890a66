"""A server in the background: a process of its own that tells its parent over a pipe when it is ready."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from agents.private_files import private
from agents.private_process import handing_over
from agents.setup import SetupError


def start_detached(host: str, port: int, workers: int) -> str:
    """Start a server that outlives this process, and return what it tells once it is ready. Raises SetupError."""
    log_path = settings.OPENFANG_DATA_DIR / "server.log"
    reading, writing = os.pipe()
    where = ["--host", host, "--port", str(port), "--workers", str(workers)]
    with open(reading) as told, open(log_path, "ab", opener=private) as log:
        begin = log.tell()
        with handing_over() as (environment, descriptors):
            process = subprocess.Popen(
                [sys.executable, sys.argv[0], "start", *where, "--tell", str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writing, *descriptors],
                env=environment,
                start_new_session=True,
            )
        os.close(writing)
        try:
            text = told.read()
        except KeyboardInterrupt:
            process.terminate()
            raise
    if text:
        return text
    process.wait()
    raise SetupError(_last_words(log_path, begin))


def _last_words(log_path: Path, begin: int) -> str:
    """Return the line with which a command says why it failed, or where to look if there is none."""
    with open(log_path, errors="replace") as log:
        log.seek(begin)
        lines = log.read().splitlines()
    if lines and lines[-1].startswith("openfang: "):
        return lines[-1].removeprefix("openfang: ")
    return f"The server ended before it was ready; {log_path} may say why."
