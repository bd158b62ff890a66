import asyncio
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import file_edit
from tests.agents.tool_parts import Caller

CODE = "def a():\n    return 1\n\n\ndef b():\n    return 1\n"


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    caller = Caller(tmp_path)
    (caller.workspace / "code.py").write_text(CODE)
    return caller


async def edit(caller: Caller, old: str, new: str, **more: bool) -> str:
    return await caller.call(file_edit.tool, path="code.py", old_text=old, new_text=new, **more)


def code(caller: Caller) -> bytes:
    return (caller.workspace / "code.py").read_bytes()


async def test_a_unique_text_is_replaced(caller):
    assert await edit(caller, "def b():\n    return 1", "def b():\n    return 2") == "Edited code.py at line 5."
    assert code(caller) == CODE.replace("def b():\n    return 1", "def b():\n    return 2").encode()


async def test_an_ambiguous_text_is_refused_with_its_lines(caller):
    with pytest.raises(ToolFailed, match=r"occurs 2 times in code.py \(at line 2, 6\): give more of the text"):
        await edit(caller, "return 1", "return 2")
    assert code(caller) == CODE.encode()


async def test_every_occurrence_is_replaced_when_asked_for(caller):
    assert await edit(caller, "return 1", "return 2", replace_all=True) == "Edited code.py at line 2, 6."
    assert code(caller) == CODE.replace("1", "2").encode()


async def test_an_absent_text_is_refused_and_differing_spaces_are_named(caller):
    with pytest.raises(ToolFailed, match=r"does not occur in code\.py\. Read the file again"):
        await edit(caller, "return 3", "return 2")
    with pytest.raises(ToolFailed, match="It does with other spaces or line ends"):
        await edit(caller, "def b():\n  return 1", "x")


async def test_windows_line_ends_are_kept(caller):
    (caller.workspace / "code.py").write_bytes(b"a\r\nb\r\nc\r\n")
    await edit(caller, "a\nb", "x\ny\nz")
    assert code(caller) == b"x\r\ny\r\nz\r\nc\r\n"


async def test_edits_at_the_same_time_do_not_undo_each_other(caller):
    names = [f"word{number:03}" for number in range(20)]
    (caller.workspace / "code.py").write_text("\n".join(names))
    await asyncio.gather(*(edit(caller, name, name.upper()) for name in names))
    assert code(caller).decode() == "\n".join(names).upper()


async def test_an_edit_that_would_make_the_file_huge_is_refused(caller):
    (caller.workspace / "code.py").write_text("a" * 10_000)
    with pytest.raises(ToolFailed, match="would become larger than 10,000,000 bytes"):
        await edit(caller, "a", "b" * 10_000, replace_all=True)
    assert code(caller) == b"a" * 10_000


@pytest.mark.parametrize("data", [b"\xff\xfe bytes", b"a\0b"])
async def test_what_is_not_text_is_not_edited(caller, data):
    (caller.workspace / "code.py").write_bytes(data)
    with pytest.raises(ToolFailed, match="not UTF-8 text"):
        await edit(caller, "b", "c")
    assert code(caller) == data


async def test_an_edit_without_a_change_is_refused(caller):
    with pytest.raises(ToolFailed, match="the same"):
        await edit(caller, "return 1", "return 1")
    with pytest.raises(ToolFailed, match="old_text is empty"):
        await edit(caller, "", "x")
