"""The environment of the tests, set before Django's settings are read: a data directory of their own, no real keys.

With `--services` the tests, and each server that they start, have databases of a PostgreSQL and a Redis of their own.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from agents.catalog import load_catalog
from tests.services import Postgres, Redis, missing_programs, new_databases, started

DATA_DIR = tempfile.mkdtemp(prefix="openfang-tests-")
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

for name in [name for name in os.environ if name.startswith("OPENFANG_")]:
    del os.environ[name]
for provider in load_catalog().providers:
    os.environ.pop(provider.api_key_env, None)
for name in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(name, None)
os.environ["OPENFANG_DATA_DIR"] = DATA_DIR
# What rows of the tests name; tests of the rule itself set their own.
os.environ["OPENFANG_EXPOSED_VARIABLES"] = (
    "ACME_API_KEY, OTHER_API_KEY, SCRIPTED_API_KEY, SCRIPTED_KEY, ABSENT_KEY, LAB_KEY, BROKEN_KEY, "
    "MCP_TEST_TOKEN, MCP_TEST_DIARY, MCP_SERVERS_TOKEN, WEB_TOKEN, WEB_HOST, PASSWORD, SEARCH_KEY, GITHUB_TOKEN"
)

if "--services" in sys.argv:
    if missing := missing_programs():
        sys.exit(f"--services needs what is not installed: apt-get install {' '.join(missing)}")
    os.chmod(DATA_DIR, 0o711)  # PostgreSQL runs as another user
    for service in (Postgres(Path(DATA_DIR, "postgres")), Redis(Path(DATA_DIR, "redis"))):
        atexit.register(service.stop)
        started.append(service.start())
    os.environ.update(new_databases())
