import asyncio
from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import file_search
from tests.agents.tool_parts import Caller


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    caller = Caller(tmp_path)
    for path, text in {
        "a.py": "import os\ndef find_me():\n    pass\n",
        "src/b.ts": "// find_me\r\nfunction findMe() {}\r\n",
        ".git/config": "find_me",
    }.items():
        (caller.workspace / path).parent.mkdir(exist_ok=True)
        (caller.workspace / path).write_text(text, newline="")
    return caller


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"pattern": "find_me"}, ["a.py:2: def find_me():", "src/b.ts:1: // find_me"]),
        ({"pattern": "FINDME", "ignore_case": True}, ["src/b.ts:2: function findMe() {}"]),
        ({"pattern": "^import os$"}, ["a.py:1: import os"]),
        ({"pattern": "find_me$"}, ["src/b.ts:1: // find_me"]),
        ({"pattern": "find", "files": "*.py"}, ["a.py:2: def find_me():"]),
        ({"pattern": "find_me", "files": "src/**/*.{js,ts}"}, ["src/b.ts:1: // find_me"]),
        ({"pattern": "find_me", "path": "src"}, ["src/b.ts:1: // find_me"]),
        ({"pattern": "find_me", "path": "a.py"}, ["a.py:2: def find_me():"]),
        ({"pattern": "find_me", "path": ".git"}, [".git/config:1: find_me"]),
        ({"pattern": "absent"}, ["[No line matches in the 2 files searched.]"]),
    ],
)
async def test_matching_lines_come_with_their_places(caller, arguments, expected):
    assert (await caller.call(file_search.tool, **arguments)).split("\n") == expected


async def test_an_expression_that_explodes_elsewhere_is_answered_while_the_loop_goes_on(caller):
    (caller.workspace / "evil.txt").write_text("x" * 4_000_000 + "\n" + "a" * 4_000_000)
    async with asyncio.timeout(60):
        for pattern in ("(x+x+)+y", "(a|a)*b", "(a*)*$x"):
            assert "No line matches" in await caller.call(file_search.tool, pattern=pattern)


async def test_a_search_that_takes_too_long_stops_and_says_so(caller, monkeypatch):
    monkeypatch.setattr(file_search, "MAX_SECONDS", 0)
    answer = await caller.call(file_search.tool, pattern="find_me")
    assert answer == "[Stopped: the search took longer than 0 s. Narrow the path, the files or the pattern.]"


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(a)\1", "((a{1000}){1000}){1000}"])
async def test_what_is_no_expression_is_refused_with_the_reason(caller, pattern):
    with pytest.raises(ToolFailed, match="The pattern is not a regular expression: "):
        await caller.call(file_search.tool, pattern=pattern)


async def test_many_matches_are_cut_and_said_to_be(caller):
    (caller.workspace / "many.txt").write_text("hit\n" * 1000)
    lines = (await caller.call(file_search.tool, pattern="hit")).split("\n")
    assert lines[199] == "many.txt:200: hit"
    assert lines[200:] == [
        "[Stopped: there are more than 200 matching lines. Narrow the path, the files or the pattern.]"
    ]


async def test_of_a_line_without_end_what_lies_around_the_match_is_shown(caller):
    (caller.workspace / "line.js").write_text("x" * 3_000_000 + "needle" + "y" * 3_000_000)
    answer = await caller.call(file_search.tool, pattern="needle")
    assert answer == f"line.js:1: ...{'x' * 50}needle{'y' * 144}..."


async def test_binary_files_are_left_out(caller):
    (caller.workspace / "image.png").write_bytes(b"\0find_me")
    assert "image.png" not in await caller.call(file_search.tool, pattern="find_me")
