from pathlib import Path

import pytest

from agents.errors import ToolFailed
from agents.tools import file_list
from tests.agents.tool_parts import Caller


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    caller = Caller(tmp_path)
    for path in (
        "README.md",
        "src/main.py",
        "src/app/view.py",
        "src/app/page.ts",
        ".git/config",
        "node_modules/x/y.py",
    ):
        (caller.workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (caller.workspace / path).write_text("1234")
    return caller


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [".git/", "README.md (4)", "node_modules/", "src/"]),
        ({"path": "."}, [".git/", "README.md (4)", "node_modules/", "src/"]),
        ({"path": "src"}, ["src/app/", "src/main.py (4)"]),
        ({"path": "./src/", "pattern": "**/*.py"}, ["src/app/view.py (4)", "src/main.py (4)"]),
        ({"pattern": "**/*.py"}, ["src/app/view.py (4)", "src/main.py (4)"]),
        ({"pattern": "src/*/*.{py,ts}"}, ["src/app/page.ts (4)", "src/app/view.py (4)"]),
        ({"pattern": "src/ma?n.py"}, ["src/main.py (4)"]),
        ({"path": ".git"}, [".git/config (4)"]),
        ({"path": "README.md"}, ["README.md (4)"]),
        ({"pattern": "*.rb"}, ["[Nothing in the workspace matches *.rb.]"]),
        ({"pattern": "a[b"}, ["[Nothing in the workspace matches a[b.]"]),
    ],
)
async def test_files_are_listed_by_folder_and_pattern(caller, arguments, expected):
    assert (await caller.call(file_list.tool, **arguments)).split("\n") == expected


async def test_a_long_list_is_cut_and_says_so(caller):
    for number in range(600):
        (caller.workspace / f"src/f{number:03}").touch()
    lines = (await caller.call(file_list.tool, path="src", pattern="f*")).split("\n")
    assert lines[499] == "src/f499 (0)"
    assert lines[500:] == ["[There are more: these are the first 500. Narrow the path or the pattern.]"]


async def test_folders_without_end_are_not_followed_to_the_bottom(caller):
    (caller.workspace / ("deep/" * 100)).mkdir(parents=True)
    lines = (await caller.call(file_list.tool, pattern="**/*")).split("\n")
    assert max(line.count("deep/") for line in lines) == 32


@pytest.mark.parametrize("pattern", ["a{b", "a}b"])
async def test_a_broken_pattern_is_refused(caller, pattern):
    with pytest.raises(ToolFailed, match="is not a pattern"):
        await caller.call(file_list.tool, pattern=pattern)


async def test_a_folder_that_is_not_there_is_named(caller):
    with pytest.raises(ToolFailed, match="docs does not exist"):
        await caller.call(file_list.tool, path="docs")
