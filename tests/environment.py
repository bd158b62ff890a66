"""The environment of the tests, set before Django's settings are read: a data directory of their own, no real keys."""

import atexit
import os
import shutil
import tempfile

from agents.catalog import load_catalog

DATA_DIR = tempfile.mkdtemp(prefix="openfang-tests-")
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

for name in [name for name in os.environ if name.startswith("OPENFANG_")]:
    del os.environ[name]
for provider in load_catalog().providers:
    os.environ.pop(provider.api_key_env, None)
for name in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(name, None)
os.environ["OPENFANG_DATA_DIR"] = DATA_DIR
