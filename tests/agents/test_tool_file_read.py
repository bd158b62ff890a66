import tracemalloc
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import file_read
from tests.agents.tool_parts import Caller


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


async def read(caller: Caller, data: bytes, **arguments: int) -> str:
    (caller.workspace / "file.txt").write_bytes(data)
    return await caller.call(file_read.tool, path="file.txt", **arguments)


async def test_lines_come_with_their_numbers(caller):
    assert await read(caller, b"one\r\ntwo\n\nfour") == "1\tone\n2\ttwo\n3\t\n4\tfour"


async def test_a_piece_says_how_to_go_on(caller):
    assert await read(caller, b"a\nb\nc\nd\n", first_line=2, lines=2) == (
        "2\tb\n3\tc\n[Lines 2 to 3 of 4. Go on with first_line=4.]"
    )
    assert await read(caller, b"a\nb\nc\nd\n", first_line=4) == "4\td"


async def test_a_long_file_comes_in_pieces_that_fit_the_answer_and_miss_nothing(caller):
    lines = [f"line {number} {'x' * 60}" for number in range(1, 1501)]
    seen: list[str] = []
    while len(seen) < len(lines):
        answer = await read(caller, "\n".join(lines).encode(), first_line=len(seen) + 1)
        assert len(answer) <= file_read.tool.max_result
        seen += [line.split("\t")[1] for line in answer.split("\n") if "\t" in line]
    assert seen == lines


async def test_a_line_without_end_is_cut_and_its_length_told(caller):
    answer = await read(caller, b"x" * 9_000_000 + b"\nend")
    assert answer == f"1\t{'x' * 2000} [8,998,000 more characters are cut]\n2\tend"


async def test_of_a_huge_file_the_beginning_is_read_in_bounded_memory(caller):
    with (caller.workspace / "huge").open("wb") as file:
        file.write(b"first\n" * 2_000_000)
        file.truncate(50_000_000_000)
    tracemalloc.start()
    try:
        answer = await caller.call(file_read.tool, path="huge", lines=1)
        end = await caller.call(file_read.tool, path="huge", first_line=1_666_667)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.startswith("1\tfirst\n")
    assert end.endswith("[The file has 50,000,000,000 bytes, of which the first 10,000,000 can be read.]")
    assert peak < 60_000_000


async def test_a_binary_file_is_named_as_such(caller):
    with pytest.raises(ToolFailed, match=r"file\.txt is a binary file of 12 bytes, not text"):
        await read(caller, b"\x89PNG\r\n\x1a\n\0\0\0\r")


async def test_bytes_that_are_no_utf8_are_shown_as_replacements(caller):
    assert await read(caller, b"caf\xe9") == "1\tcaf\ufffd"


async def test_an_empty_file_and_a_line_beyond_the_end_are_told_apart(caller):
    assert await read(caller, b"") == "[file.txt is empty.]"
    with pytest.raises(ToolFailed, match=r"file\.txt has 1 lines: there is no line 2"):
        await read(caller, b"one\n", first_line=2)


async def test_a_folder_is_no_file(caller):
    (caller.workspace / "src").mkdir()
    with pytest.raises(ToolFailed, match="src is a folder"):
        await caller.call(file_read.tool, path="src")
