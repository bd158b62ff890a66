import os
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import file_write, workspace
from tests.agents.tool_parts import Caller


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


async def test_a_file_is_written_with_its_folders(caller):
    assert await caller.call(file_write.tool, path="src/app/main.py", content="ä\n") == (
        "Created src/app/main.py (3 bytes)."
    )
    assert (caller.workspace / "src/app/main.py").read_bytes() == "ä\n".encode()


async def test_a_file_is_replaced_whole_and_keeps_its_mode(caller):
    script = caller.workspace / "run.sh"
    script.write_text("a much longer old text")
    script.chmod(0o755)
    assert await caller.call(file_write.tool, path="run.sh", content="new") == "Replaced run.sh (3 bytes)."
    assert script.read_text() == "new"
    assert script.stat().st_mode & 0o777 == 0o755
    assert os.listdir(caller.workspace) == ["run.sh"]


async def test_a_hard_link_is_not_written_through(caller):
    os.link(caller.secret, caller.workspace / "linked")
    await caller.call(file_write.tool, path="linked", content="mine")
    assert (caller.workspace / "linked").read_text() == "mine"
    assert caller.secret.read_text() == "THE SECRET\n"


async def test_a_file_beyond_the_limit_is_refused(caller):
    with pytest.raises(ToolFailed, match="10,000,000 bytes at most; this would have 10,000,001"):
        await caller.call(file_write.tool, path="big", content="x" * 10_000_001)
    assert os.listdir(caller.workspace) == []


async def test_a_full_workspace_takes_nothing_more(caller, monkeypatch):
    monkeypatch.setattr(workspace, "QUOTA", 1000)
    await caller.call(file_write.tool, path="sub/one", content="x" * 900)
    with pytest.raises(ToolFailed, match="The workspace is full: 900 of 1,000 bytes are in use, and 101 are needed"):
        await caller.call(file_write.tool, path="two", content="x" * 101)
    await caller.call(file_write.tool, path="two", content="x" * 100)


async def test_the_number_of_files_is_bounded(caller, monkeypatch):
    monkeypatch.setattr(workspace, "MAX_ENTRIES", 3)
    await caller.call(file_write.tool, path="a/b", content="")
    await caller.call(file_write.tool, path="c", content="")
    with pytest.raises(ToolFailed, match="limit of 3 files"):
        await caller.call(file_write.tool, path="d", content="")


async def test_a_folder_is_not_replaced(caller):
    (caller.workspace / "src").mkdir()
    with pytest.raises(ToolFailed, match="src is a folder"):
        await caller.call(file_write.tool, path="src", content="x")
