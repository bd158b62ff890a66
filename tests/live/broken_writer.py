"""`python tests/live/broken_writer.py start`: a server whose usage writer fails once its data directory has a `break`.

Supervised workers are started by the same program. The file is taken away by the first that fails.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["DJANGO_SETTINGS_MODULE"] = "openfang_site.settings"

from agents.private_process import begin_private

begin_private()

import django

django.setup()

from django.conf import settings

from agents.runs import engine
from agents.usage.ledger import Ledger
from openfang_site.cli import main

BREAK: Path = settings.OPENFANG_DATA_DIR / "break"


class BrokenLedger(Ledger):
    is_broken = False

    def _write(self) -> None:
        if BREAK.exists():
            self.is_broken = True
            BREAK.unlink()
        if self.is_broken:
            raise TypeError("a bug in the writer")
        super()._write()


engine.ledger = BrokenLedger()
main()
