"""Real clients with tools of their own use an agent that has tools, too: both are called in one conversation.

They are installed by `npm ci --prefix tests/clients_agents`, and by `python -m venv tests/clients_agents/.venv` and
`tests/clients_agents/.venv/bin/pip install -r tests/clients_agents/requirements.lock`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.agents.acting import asking, asks, asks_all, offered, turns_of
from tests.live import Live
from tests.upstream import Upstream, call, says

CLIENTS = Path(__file__).parents[1] / "clients_agents"
PYTHON = CLIENTS / ".venv" / "bin" / "python"
CN = CLIENTS / "node_modules" / ".bin" / "cn"

pytestmark = pytest.mark.slow
IN_FULL = [
    ("user", "How is the weather?"),
    ("assistant", ["get_weather", "agent_ask"]),
    ("tool", "It is wet."),
    ("tool", "Sunny in Bonn."),
    ("assistant", ["agent_ask"]),
    ("tool", "Really."),
]


def run(command: list[str | Path], home: Path) -> str:
    if shutil.which(command[0]) is None or not (CLIENTS / "node_modules").exists():
        pytest.skip(f"{command[0]} or what it needs is not installed.")
    environment = {**os.environ, "HOME": str(home), "LANGSMITH_TRACING": "false", "CONTINUE_TELEMETRY_ENABLED": "0"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=home,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "client",
    [
        pytest.param([PYTHON, CLIENTS / "langchain_agent.py"], id="LangChain"),
        pytest.param(["node", CLIENTS / "run_tools.mjs"], id="runTools"),
    ],
)
def test_a_loop_over_tools_calls_those_of_both(
    live: Live, upstream: Upstream, tmp_path: Path, client: list[str | Path], stream: bool
):
    upstream.turns(
        asks_all(call("get_weather", city="Bonn"), asking("expert", "Wet?"), text="Let me see. "),
        asks("expert", "Sure?"),
        says("Sunny, but wet."),
    )
    upstream.model("expert-model").turns(says("It is wet."), says("Really."))
    given = json.dumps({"baseURL": live.base_url, "model": "handy", "stream": stream})
    reported = json.loads(run([*client, given], tmp_path))
    assert reported["asked"] == ["Bonn"]
    assert reported["said"].removeprefix("Let me see. ") == "Sunny, but wet."
    assert turns_of(upstream.requests[-1]) == IN_FULL


def test_a_coding_client_calls_those_of_both(live: Live, upstream: Upstream, tmp_path: Path):
    note, config = tmp_path / "note.txt", tmp_path / "config.json"
    note.write_text("The password is swordfish.\n")
    model = {"name": "handy", "provider": "openai", "model": "handy", "apiBase": live.base_url, "apiKey": "dummy"}
    config.write_text(json.dumps({"name": "test", "version": "1.0.0", "schema": "v1", "models": [model]}))
    upstream.turns(
        asks_all(call("Read", filepath=str(note)), asking("expert", "Wet?"), text="Let me see. "), says("Swordfish.")
    )
    upstream.model("expert-model").says("It is wet.")
    said = run([CN, "--readonly", "--config", config, "-p", "What does the note say?"], tmp_path)
    assert said.strip().endswith("Swordfish.")
    assert {"agent_ask", "Read"} <= set(offered(upstream.requests[0]))
    *_, called, asked, read = turns_of(upstream.requests[-1])
    assert called == ("assistant", ["Read", "agent_ask"])
    assert asked == ("tool", "It is wet.")
    assert "swordfish" in read[1]
