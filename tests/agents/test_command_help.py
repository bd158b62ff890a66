"""`openfang` and `openfang help`: what there is, in a line each."""

import json
import re
import subprocess
import sys

import pytest
from django.core.management import get_commands, load_command_class

from agents import __version__
from openfang_site.cli import COMMANDS, overview
from tests.agents.command_line import ROOT, Installation

ELSEWHERE = {"test", "version"}  # the launcher's, and the command line's own


def test_the_overview_lists_every_command_of_the_project_in_one_line_each():
    ours = {name for name, app in get_commands().items() if app in ("agents", "openfang_site")}
    assert set(COMMANDS) == ours | ELSEWHERE
    for name, text in COMMANDS.items():
        assert re.search(rf"^  .* {name} +{re.escape(text)}$", overview(), re.MULTILINE)


def test_the_overview_is_one_screen():
    lines = overview().splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - ELSEWHERE))
def test_the_help_of_a_command_shows_its_own_options_alone(name, capsys):
    command = load_command_class(get_commands()[name], name)
    command.print_help("openfang", name)
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: openfang {name} [-h]")
    assert re.search(rf"\nexamples?:\n  \S*openfang {name}\b", shown)
    assert not {"--settings", "--pythonpath", "--traceback", "--verbosity"} & set(shown.replace("]", " ").split())


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_without_a_command_it_shows_the_overview_even_where_nothing_works(words, tmp_path):
    (tmp_path / "file").touch()
    shown = Installation(tmp_path / "file" / "data").openfang(*words)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, overview() + "\n", "")


def test_djangos_own_commands_are_a_word_away(tmp_path):
    assert "createsuperuser" in Installation(tmp_path).openfang("help", "--all").stdout


def test_an_unknown_command_is_one_line(tmp_path):
    message = "There is no command 'strat'; openfang help lists what there is."
    assert Installation(tmp_path).refusal("strat") == Installation(tmp_path).refusal("help", "strat") == message


def test_words_that_a_command_does_not_take_are_one_line_that_says_where_to_read_on(tmp_path):
    message = Installation(tmp_path).refusal("key")
    assert re.fullmatch(r"the following arguments are required: ACTION; \S*openfang help key tells more", message)


@pytest.mark.parametrize("words", [["version"], ["--version"], ["help", "version"]])
def test_the_version_is_this_projects_even_where_nothing_works(words, tmp_path):
    (tmp_path / "file").touch()
    shown = Installation(tmp_path / "file" / "data").openfang(*words)
    assert shown.stdout.startswith(f"OpenFang {__version__} (Django 5.2.")
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_versions_come_as_json_too(tmp_path):
    facts = json.loads(Installation(tmp_path).openfang("version", "--json").stdout)
    assert facts["openfang"] == __version__
    assert set(facts) == {"openfang", "django", "python"}


def test_a_wrong_log_level_is_one_line(tmp_path):
    assert Installation(tmp_path).refusal("agents", OPENFANG_LOG_LEVEL="loud") == (
        "OPENFANG_LOG_LEVEL='loud' is none of debug, info, warning, error, critical."
    )


def test_listing_agents_loads_nothing_that_only_serving_needs(tmp_path):
    installation = Installation(tmp_path)
    program = (
        "import sys; from openfang_site.cli import main; sys.argv = ['openfang', 'agents']; main(); "
        "print(*sorted({'aiohttp', 'daphne', 'mcp', 'openai', 'psycopg', 'tomlkit', 'unfold.admin'} & {*sys.modules}))"
    )
    environment = {**installation.environment({}), "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[1:] == [""]
