"""`openfang` and `openfang help`: what there is, in a line each."""

import pytest
from django.core.management import get_commands, load_command_class

from openfang_site.cli import COMMANDS, overview
from tests.agents.command_line import Installation


def test_the_overview_lists_every_command_of_the_project_in_one_line_each():
    ours = {name for name, app in get_commands().items() if app in ("agents", "openfang_site")}
    assert set(COMMANDS) == ours | {"test"}
    for name in COMMANDS:
        assert f"\n  openfang {name} " in overview()


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"test"}))
def test_the_help_of_a_command_shows_its_own_options_alone(name, capsys):
    command = load_command_class(get_commands()[name], name)
    command.print_help("openfang", name)
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: openfang {name} [-h]")
    assert not {"--settings", "--pythonpath", "--traceback", "--verbosity"} & set(shown.replace("]", " ").split())


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_without_a_command_it_shows_the_overview_even_where_nothing_works(words, tmp_path):
    (tmp_path / "file").touch()
    shown = Installation(tmp_path / "file" / "data").openfang(*words)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, overview() + "\n", "")


def test_djangos_own_commands_are_a_word_away(tmp_path):
    assert "createsuperuser" in Installation(tmp_path).openfang("help", "--all").stdout


def test_an_unknown_command_is_one_line(tmp_path):
    message = Installation(tmp_path).refusal("strat")
    assert message == "There is no command 'strat'; openfang help lists what there is."
