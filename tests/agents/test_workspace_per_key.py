"""The workspace of an agent: all keys share it, unless the agent gives each key a separate one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from agents.models import Agent, changes_of
from tests.agents.admin_cast import agent_form, text
from tests.agents.command_line import command
from tests.live import Live
from tests.live.asking import ask, content_of, eventually
from tests.upstream import Upstream, calls, says


@pytest.fixture(scope="module")
def served(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with two agents that use files, and the keys of two callers."""
    with Live(tmp_path_factory.mktemp("workspaces"), cast=session_upstream.base_url, keys=True) as live:
        profile = ["--profile", "coder", "--provider", "scripted", "--model", "scripted-model"]
        live.manage("spawn", "--name", "shared", *profile)
        live.manage("spawn", "--name", "separate", *profile, "--workspace-per-key")
        live.keys["grace"] = live.manage("key", "create", "grace").stdout.strip()
        yield live


def write(live: Live, upstream: Upstream, agent: str, key: str, words: str) -> None:
    upstream.turns(calls("file_write", path="plan.txt", content=words), says("Done."))
    assert content_of(ask(live, agent, key=key)) == "Done."


def read(live: Live, upstream: Upstream, agent: str, key: str) -> str:
    """Have an agent read the file, and return what its model got to see."""
    upstream.turns(calls("file_read", path="plan.txt"), says("Done."))
    assert content_of(ask(live, agent, key=key)) == "Done."
    result: str = upstream.requests[-1].body["messages"][-1]["content"]
    return result


def test_without_it_every_key_reads_and_changes_the_same_files(served: Live, upstream: Upstream) -> None:
    write(served, upstream, "shared", served.keys["alice"], "of alice")
    assert "of alice" in read(served, upstream, "shared", served.keys["grace"])


def test_with_it_no_key_sees_the_files_of_another(served: Live, upstream: Upstream) -> None:
    write(served, upstream, "separate", served.keys["alice"], "of alice")
    assert read(served, upstream, "separate", served.keys["grace"]) == "Error: plan.txt does not exist."
    write(served, upstream, "separate", served.keys["grace"], "of grace")

    assert "of alice" in read(served, upstream, "separate", served.keys["alice"])
    assert "of grace" in read(served, upstream, "separate", served.keys["grace"])
    upstream.turns(calls("file_list"), says("Done."))
    ask(served, "separate", key=served.keys["alice"])
    assert upstream.requests[-1].body["messages"][-1]["content"].split()[0] == "plan.txt"


def test_files_written_before_the_change_wait_in_the_shared_workspace(served: Live, upstream: Upstream) -> None:
    write(served, upstream, "shared", served.keys["alice"], "of both")

    def seen() -> str:
        return read(served, upstream, "shared", served.keys["grace"])

    served.manage("agent", "set", "shared", "workspace_per_key=true")
    eventually(lambda: seen() == "Error: plan.txt does not exist.")
    served.manage("agent", "set", "shared", "workspace_per_key=false")
    eventually(lambda: "of both" in seen())


@pytest.mark.django_db
class TestTheField:
    @pytest.fixture(autouse=True)
    def place(self, settings: Any, tmp_path: Path) -> None:
        settings.OPENFANG_DATA_DIR = tmp_path
        settings.OPENFANG_DEFAULT_PROVIDER = "embedded"

    def test_the_agents_page_says_who_shares_its_files_and_offers_to_part_them(self, admin_client: Client) -> None:
        page = text(admin_client.get("/admin/agents/agent/add/"))
        assert "One workspace per key" in page
        assert "Otherwise all keys of the agent share one: files that one caller's requests write" in page

        admin_client.post("/admin/agents/agent/add/", agent_form(name="writer", workspace_per_key="on"))

        agent = Agent.objects.get(name="writer")
        assert agent.workspace_per_key
        assert changes_of(Agent).get(id=agent.pk).workspace_per_key

    def test_commands_set_show_and_clone_it(self) -> None:
        command("spawn", "coder")
        assert "workspace_per_key: false → true" in command("agent", "set", "coder", "workspace_per_key=true").out
        command("agent", "clone", "coder", "writer")
        command("spawn", "analyst", "--workspace-per-key")
        for name in ("coder", "writer", "analyst"):
            assert json.loads(command("agent", "show", name, "--json").out)["workspace_per_key"] is True
        command("spawn", "tutor")
        assert json.loads(command("agent", "show", "tutor", "--json").out)["workspace_per_key"] is False

    def test_a_file_of_agents_has_it(self, tmp_path: Path) -> None:
        command("spawn", "coder", "--workspace-per-key")
        (tmp_path / "agents.toml").write_text(command("export").out)
        assert "workspace_per_key = true\n" in (tmp_path / "agents.toml").read_text()
        Agent.objects.all().delete()
        command("import", str(tmp_path / "agents.toml"))
        assert Agent.objects.get().workspace_per_key
