import json
import os
import subprocess
import sys
from typing import Any, Self

from tests.live.server import ROOT

READS = """
import json, sys, traceback
import django
django.setup()
from agents.models import *
for line in sys.stdin:
    names = {}
    try:
        exec(json.loads(line), globals(), names)
        print(json.dumps({"result": names.get("result")}), flush=True)
    except BaseException:
        print(json.dumps({"error": traceback.format_exc()}), flush=True)
"""


class Colleague:
    """Another process with the database of a server, as the admin of a second server is.

    with Colleague(live.env) as colleague:
        colleague.does("Agent.objects.filter(name='coder').update(enabled=False)")
    """

    def __init__(self, env: dict[str, str]) -> None:
        self._env = {**os.environ, **env, "DJANGO_SETTINGS_MODULE": "openfang_site.settings"}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READS],
            env=self._env,
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def does(self, code: str) -> Any:
        """Run Python over there, and return its variable `result`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        assert "error" not in said, said["error"]
        return said["result"]
