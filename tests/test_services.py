"""What is written and counted, once more on PostgreSQL and Redis: the tests that `--services` is for above all."""

import os
import subprocess
import sys

import pytest

from tests.live.server import ROOT
from tests.services import missing_programs

FILES = [
    "tests/agents/test_budgets_crowds.py",
    "tests/agents/test_budgets_periods.py",
    "tests/agents/test_budgets_runs.py",
    "tests/agents/test_reports.py",
    "tests/agents/test_rollups.py",
    "tests/agents/test_usage_capped.py",
    "tests/agents/test_usage_done.py",
    "tests/agents/test_usage_hostile.py",
    "tests/agents/test_usage_leases.py",
    "tests/agents/test_usage_ledger.py",
    "tests/agents/test_usage_quarantine.py",
    "tests/agents/test_usage_writer.py",
    "tests/deploy/test_writers.py",
    "tests/openai_compat/test_limits_tokens.py",
    "tests/openfang_site/test_storm_liars.py",
]


# It counts by triggers of SQLite.
COUNTS_SAVES = (
    "tests/agents/test_usage_hostile.py::test_a_run_saves_its_transcript_a_few_times_however_many_calls_one_answer_has"
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_usage_budgets_limits_and_repeats_hold_on_postgresql_and_redis() -> None:
    if packages := missing_programs():
        fail_or_skip = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        fail_or_skip(f"not installed: {' '.join(packages)}")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENFANG_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--services", "--all"]
    command += ["--deselect", COUNTS_SAVES, *FILES]
    done = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
