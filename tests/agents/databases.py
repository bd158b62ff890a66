"""Data directories with an SQLite or a database of a PostgreSQL, for tests that run commands on them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.agents.command_line import Installation
from tests.services import Postgres, missing_programs


class Database(Installation):
    """A data directory whose rows are in SQLite, or in a database of a PostgreSQL."""

    def __init__(self, data_dir: Path, url: str = "") -> None:
        super().__init__(data_dir)
        self.url = url

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        return super().environment({"DATABASE_URL": self.url, **more})

    def refusal(self, *words: str, **environment: str) -> str:
        """Run a command that is to fail, and return the last line of what it tells of its work."""
        failed = self.openfang(*words, **environment)
        assert (failed.returncode, failed.stdout) == (1, ""), failed
        message = failed.stderr.splitlines()[-1]
        assert message.startswith("openfang: "), failed.stderr
        return message.removeprefix("openfang: ")

    def done(self, *words: str) -> str:
        done = self.openfang(*words)
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if "postgresql" in missing_programs():
        pytest.skip("PostgreSQL is not installed")
    # Not in pytest's directory, which PostgreSQL's own user may not enter.
    with TemporaryDirectory(prefix="openfang-postgres-") as directory:
        Path(directory).chmod(0o711)
        service = Postgres(Path(directory, "postgres"))
        yield service.start()
        service.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Postgres | None:
    return None if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def make(engine: Postgres | None, tmp_path: Path) -> Callable[[str], Database]:
    def database(name: str) -> Database:
        return Database(tmp_path / name, engine.new_database() if engine else "")

    return database


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """An SQLite with one agent, and a backup of it beside it."""
    directory = tmp_path_factory.mktemp("coder")
    server = Database(directory / "data")
    server.done("spawn", "coder")
    server.done("backup", str(directory / "backup.tar.gz"))
    return server


@pytest.fixture
def backup(coder: Database, tmp_path: Path) -> Path:
    return Path(shutil.copy(coder.data_dir.parent / "backup.tar.gz", tmp_path))
