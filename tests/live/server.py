import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import openai
import psycopg
from psycopg.rows import dict_row

from tests.services import new_databases

ROOT = Path(__file__).resolve().parents[2]
CEILING = 120  # seconds; what takes a moment on a quiet machine takes many on a busy one
# The data directories that casts were made in, and their keys, by what they were made for.
_CASTS: dict[tuple[str, ...], tuple[Path, dict[str, str]]] = {}


class Live:
    """One server, of one process unless `OPENFANG_WORKERS` is in `env`.

    with Live(tmp_path, cast=upstream.base_url) as live:
        live.client().chat.completions.create(model="openfang:coder", ...)
        assert live.usage()[0]["status"] == "ok"

    `cast` is the base URL of a scripted provider: the agents and keys of `cast.py` are then made before the start.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        cast: str = "",
        keys: bool = False,
        env: dict[str, str] | None = None,
        program: Path = ROOT / "manage.py",
    ) -> None:
        self._program = str(program)
        self.data_dir = data_dir
        own = {"OPENFANG_DATA_DIR": str(data_dir), "OPENFANG_WORKERS": "1", "CI": ""}
        self.env = {**os.environ, **own, **new_databases(), **(env or {})}
        self.keys: dict[str, str] = {}
        self._cast = [cast, *(["--keys"] if keys else [])] if cast else []

    def __enter__(self) -> Self:
        if self._cast:
            self._make_cast()
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *args: str) -> None:
        """Start the process and wait until it serves."""
        self.log = (self.data_dir / "test-output.log").open("ab")
        command = [sys.executable, self._program, "start", "--port", "0", *args]
        self.process = subprocess.Popen(command, env=self.env, stdout=self.log, stderr=subprocess.STDOUT)
        state = self.data_dir / "server.json"
        deadline = time.monotonic() + CEILING
        while True:
            assert self.process.poll() is None, f"the server ended:\n{self.output}"
            assert time.monotonic() < deadline, f"the server was not ready in {CEILING} s:\n{self.output}"
            with suppress(FileNotFoundError):  # a start takes away the note of a server that was killed
                if json.loads(state.read_text())["pid"] == self.process.pid:
                    break
            time.sleep(0.02)
        self.url: str = json.loads(state.read_text())["url"].rstrip("/")

    def stop(self) -> int:
        """Ask the server to stop, as Ctrl-C and service managers do, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=CEILING)
        self.log.close()
        return code

    def kill(self) -> None:
        """End the server as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    @property
    def output(self) -> str:
        return (self.data_dir / "test-output.log").read_text()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def client(self, key: str = "dummy", **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base_url, api_key=key, **{"max_retries": 0, "timeout": CEILING, **options})

    def async_client(self, key: str = "dummy", **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self.base_url, api_key=key, **{"max_retries": 0, "timeout": CEILING, **options}
        )

    def manage(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours beside the running server, as a user would in another terminal."""
        return self._python(str(ROOT / "manage.py"), *args)

    def brief(self) -> None:
        """Let the first start's agent say little: the embedded model is slow, and may go round in circles."""
        self.manage("agent", "set", "assistant", "max_tokens=20", "system_prompt=Be brief.")
        self.stop()
        self.start()

    def usage(self, where: str = "1 = 1") -> list[dict[str, Any]]:
        """Return the usage rows, oldest first."""
        return self.rows(f"SELECT * FROM agents_usagerecord WHERE {where} ORDER BY started_at, id")

    def steps(self, record_id: str) -> list[dict[str, Any]]:
        return self.rows(f"SELECT * FROM agents_usagestep WHERE record_id = '{record_id}' ORDER BY position")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows as SQLite has them, also those of a PostgreSQL."""
        if url := self.env.get("DATABASE_URL"):
            with psycopg.connect(url, row_factory=dict_row) as database:
                rows = database.execute(query.encode()).fetchall()
            return [{name: _as_in_sqlite(value) for name, value in row.items()} for row in rows]
        with self._database() as database:
            return [dict(row) for row in database.execute(query)]

    def _make_cast(self) -> None:
        """Make the cast, or copy the one that was made before for the same provider: that saves 3 s of a processor."""
        copyable = not {"DATABASE_URL", "OPENFANG_SECRET_KEY"} & self.env.keys()
        made = _CASTS.get(tuple(self._cast)) if copyable else None
        if made is None:
            self.keys = json.loads(self._python("-m", "tests.live.cast", *self._cast).stdout)
            if copyable:
                kept = Path(tempfile.mkdtemp(prefix="openfang-cast-", dir=os.environ["OPENFANG_DATA_DIR"]))
                shutil.copytree(self.data_dir, kept, dirs_exist_ok=True)
                _CASTS[tuple(self._cast)] = kept, self.keys
        else:
            kept, self.keys = made
            shutil.copytree(kept, self.data_dir, dirs_exist_ok=True)

    def _python(self, *args: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *args],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=CEILING,
            check=False,
        )
        assert done.returncode == 0, f"{args} failed:\n{done.stdout}{done.stderr}"
        return done

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.data_dir / "openfang.sqlite3", timeout=20)) as database:
            database.row_factory = sqlite3.Row
            yield database


def _as_in_sqlite(value: Any) -> Any:
    match value:
        case UUID():
            return value.hex
        case bool():
            return int(value)
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
        case Decimal():
            return int(value) if value == int(value) else float(value)
        case _:
            return value
