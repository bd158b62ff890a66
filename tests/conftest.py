from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment import DATA_DIR
from tests.live import Live
from tests.live.mailbox import Mailbox
from tests.live.webhook import Webhook
from tests.upstream import Upstream


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the slow tests, too")
    parser.addoption("--services", action="store_true", help="run on PostgreSQL and Redis (tests/environment.py)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = {item for item in items if "slow" in item.keywords}
    if config.getoption("--all"):
        # First: one that began last would be waited for when all the others are through.
        items.sort(key=lambda item: item not in slow)
    else:
        for item in slow:
            item.add_marker(pytest.mark.skip(reason="slow: runs with --all"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Put SQLite's test database into a file: threads of the server share it, as they share the real one."""
    from django.conf import settings

    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = f"{DATA_DIR}/test.sqlite3"


@pytest.fixture(scope="session")
def session_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(session_upstream: Upstream) -> Iterator[Upstream]:
    """The scripted provider of the live servers; every request must have been scripted."""
    session_upstream.reset()
    yield session_upstream
    assert not session_upstream.unscripted


@pytest.fixture(scope="session")
def open_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("open"), cast=session_upstream.base_url) as live:
        yield live


@pytest.fixture(scope="session")
def guarded_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    # Many tests send it wrong keys, and all from one address.
    patience = {"OPENFANG_WRONG_KEYS_PER_MINUTE": "1000000"}
    data_dir = tmp_path_factory.mktemp("guarded")
    with Live(data_dir, cast=session_upstream.base_url, keys=True, env=patience) as live:
        yield live


@pytest.fixture(scope="session")
def webhook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture(scope="session")
def limited(
    session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory, webhook: Webhook, mailbox: Mailbox
) -> Iterator[Live]:
    """A server behind a proxy on this machine, for tests that make keys of their own with limits and budgets."""
    env = {
        "OPENFANG_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
        "OPENFANG_ALERT_WEBHOOK": webhook.url,
        "OPENFANG_ALERT_SECRET": webhook.secret,
        "OPENFANG_ALERT_EMAIL": "administrator@example.com",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(mailbox.port),
    }
    with Live(tmp_path_factory.mktemp("limited"), cast=session_upstream.base_url, keys=True, env=env) as live:
        yield live


@pytest.fixture
def live(open_server: Live, upstream: Upstream) -> Live:
    """A server without keys, whose agents are played by `upstream` (see tests/live/cast.py)."""
    return open_server


@pytest.fixture
def guarded(guarded_server: Live, upstream: Upstream) -> Live:
    """A server with keys: `guarded.keys["alice"]`."""
    return guarded_server


@pytest.fixture
def server(upstream: Upstream, tmp_path: Path) -> Iterator[Live]:
    """A server of this test alone, for tests that stop, kill or reconfigure it."""
    with Live(tmp_path, cast=upstream.base_url) as live:
        yield live
