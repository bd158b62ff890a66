import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.topology import Topology, running_topology
from tests.services import missing_programs
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def running(session_upstream: Upstream) -> Iterator[Topology]:
    if packages := missing_programs():
        fail_or_skip = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        fail_or_skip(f"not installed: {' '.join(packages)}")
    # Not in pytest's directory, which PostgreSQL's own user may not enter.
    with TemporaryDirectory(prefix="openfang-topology-") as directory:
        os.chmod(directory, 0o711)
        with running_topology(Path(directory), session_upstream.base_url) as topology:
            yield topology


@pytest.fixture
def site(running: Topology, upstream: Upstream) -> Topology:
    """The deployment of docker-compose.yml, which the tests of a module share."""
    return running
