"""Whatever path a model thinks of, the file tools stay inside the workspace."""

import asyncio
import ctypes
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import file_edit, file_list, file_read, file_search, file_write
from agents.tools.workspace import _threads
from tests.agents.tool_parts import Caller

OUTSIDE = [
    "../outside/secret.txt",
    "sub/../../outside/secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "~/secret.txt",
    "~root/.profile",
    "..\\outside\\secret.txt",
    "\uff0e\uff0e/outside/secret.txt",
    "\u2025/outside/secret.txt",
    "..\uff0foutside",
    "a\0.txt",
    "a\n.txt",
    "gpj\u202e.exe",
    "zero\u200bwidth",
    "",
    ".",
    "x/" * 40 + "deep",
]


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


@pytest.mark.parametrize("path", OUTSIDE)
async def test_a_path_that_leads_outside_or_deceives_is_refused_by_every_tool(caller, path):
    before = tree(caller.workspace.parent)
    with pytest.raises(ToolFailed):
        await caller.call(file_read.tool, path=path)
    with pytest.raises(ToolFailed):
        await caller.call(file_write.tool, path=path, content="x")
    with pytest.raises(ToolFailed):
        await caller.call(file_edit.tool, path=path, old_text="SECRET", new_text="x")
    if path not in ("", "."):  # the workspace itself may be listed and searched
        with pytest.raises(ToolFailed):
            await caller.call(file_list.tool, path=path)
        with pytest.raises(ToolFailed):
            await caller.call(file_search.tool, pattern="SECRET", path=path)
    assert tree(caller.workspace.parent) == before


async def test_a_link_to_a_file_outside_is_not_followed(caller):
    (caller.workspace / "passwd").symlink_to("/etc/passwd")
    (caller.workspace / "link").symlink_to(caller.secret)
    with pytest.raises(ToolFailed, match="passwd is a symbolic link, and links are not followed"):
        await caller.call(file_read.tool, path="passwd")
    for tool, arguments in (
        (file_write, {"content": "gone"}),
        (file_edit, {"old_text": "THE", "new_text": "NO"}),
    ):
        with pytest.raises(ToolFailed):
            await caller.call(tool.tool, path="link", **arguments)
    assert caller.secret.read_text() == "THE SECRET\n"
    assert "root" not in await caller.call(file_search.tool, pattern="root|SECRET")


async def test_a_link_to_a_folder_outside_is_not_entered(caller):
    (caller.workspace / "out").symlink_to(caller.outside)
    for path in ("out/secret.txt", "out/new.txt", "out/sub/new.txt"):
        with pytest.raises(ToolFailed):
            await caller.call(file_read.tool, path=path)
        with pytest.raises(ToolFailed):
            await caller.call(file_write.tool, path=path, content="x")
    with pytest.raises(ToolFailed):
        await caller.call(file_list.tool, path="out")
    assert await caller.call(file_list.tool, pattern="**/*") == "out (link or device: not opened)"
    assert "No line matches" in await caller.call(file_search.tool, pattern="SECRET")
    assert os.listdir(caller.outside) == ["secret.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="swaps two names at once, as only Linux can")
async def test_a_folder_swapped_for_a_link_while_files_are_opened_never_leads_outside(caller):
    inside, link = caller.workspace / "data", caller.workspace / "link"
    inside.mkdir()
    (inside / "secret.txt").write_text("harmless\n")
    link.symlink_to(caller.outside)
    finished = threading.Event()
    flips = 0

    def flip() -> None:
        nonlocal flips
        while not finished.is_set():
            swap(inside, link)
            flips += 1

    flipper = threading.Thread(target=flip)
    flipper.start()
    answers: list[str] = []
    try:
        async with asyncio.timeout(60):
            # More, if the thread has not run yet or has paused with the link in place.
            while len(answers) < 600 or flips == 0 or not any("harmless" in text for text in answers):
                answers.append(await answer(caller, len(answers)))
    finally:
        finished.set()
        flipper.join()
    assert flips > 0
    assert any("harmless" in text for text in answers)
    assert not any("THE SECRET" in text for text in answers)
    assert {path.name: path.read_text() for path in caller.outside.iterdir()} == {"secret.txt": "THE SECRET\n"}


def swap(one: Path, other: Path) -> None:
    at_fdcwd, rename_exchange = -100, 2
    names = os.fsencode(one), os.fsencode(other)
    assert ctypes.CDLL(None).renameat2(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange) == 0


async def answer(caller: Caller, number: int) -> str:
    try:
        if number % 10 == 0:
            return await caller.call(file_write.tool, path="data/written.txt", content="by the tool")
        return await caller.call(file_read.tool, path="data/secret.txt")
    except ToolFailed as refused:
        return str(refused)


async def test_a_fifo_does_not_hang_the_reader(caller):
    os.mkfifo(caller.workspace / "pipe")
    async with asyncio.timeout(60):
        with pytest.raises(ToolFailed, match="pipe is not a regular file"):
            await caller.call(file_read.tool, path="pipe")
        with pytest.raises(ToolFailed, match="pipe is not a regular file"):
            await caller.call(file_write.tool, path="pipe", content="x")
        await caller.call(file_search.tool, pattern="x")


async def test_a_socket_is_not_opened(caller, monkeypatch):
    monkeypatch.chdir(caller.workspace)  # the system takes no path of more than a hundred characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(ToolFailed):
            await caller.call(file_read.tool, path="socket")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
async def test_a_device_is_not_read(caller):
    os.mknod(caller.workspace / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    with pytest.raises(ToolFailed):
        await caller.call(file_read.tool, path="zero")


async def test_a_refusal_names_the_path_as_given_and_nothing_of_the_server(caller):
    for path in ("missing.txt", "no/such/file", "n" * 300):
        with pytest.raises(ToolFailed) as refused:
            await caller.call(file_read.tool, path=path)
        assert path in str(refused.value)
        assert str(caller.workspace) not in str(refused.value)


async def test_a_file_name_made_to_deceive_is_shown_escaped(caller):
    (caller.workspace / "a\u202egpj.exe").write_text("x")
    (caller.workspace / "b\n[Exit code 0]").write_text("x")
    listed = await caller.call(file_list.tool)
    assert listed.split("\n") == ["a\\u202egpj.exe (1)", "b\\u000a[Exit code 0] (1)"]


async def test_names_of_other_languages_are_taken_as_they_are(caller):
    for path in (
        "größe/naïve.txt",
        "日本/語.txt",
        "\u0645\u06cc\u200c\u062e\u0648.txt",
        "👩\u200d💻.txt",
        "a b'c\"$(id).txt",
    ):
        await caller.call(file_write.tool, path=path, content=path)
        assert (caller.workspace / path).read_text() == path
        assert path in await caller.call(file_read.tool, path=path)


async def test_no_descriptor_is_left_open_by_refusals(caller):
    (caller.workspace / "link").symlink_to(caller.outside)
    (caller.workspace / "folder").mkdir()
    os.mkfifo(caller.workspace / "pipe")
    before = len(os.listdir("/dev/fd"))
    for path in ("link/x", "link", "folder", "pipe", "missing", "folder/missing/x"):
        with pytest.raises(ToolFailed):
            await caller.call(file_read.tool, path=path)
    assert len(os.listdir("/dev/fd")) <= before + _threads._max_workers


def tree(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))
