"""Profiles are the agents that a newcomer meets first: each must be complete, and safe to spawn as it stands."""

import dataclasses
import re
from pathlib import Path

import pytest

from agents.profiles import Profile, UnknownProfile, load_profile, profile_names, read_profile

PROMISED = {"assistant", "coder", "researcher", "writer", "analyst", "ops", "translator", "support", "tutor"}
BUILT_IN_TOOLS = {
    "file_read",
    "file_write",
    "file_edit",
    "file_list",
    "file_search",
    "web_fetch",
    "web_search",
    "shell",
}
BUILT_IN_TOOLS |= {"calculator", "current_time", "memory_store", "memory_recall", "agent_ask"}

every_profile = pytest.mark.parametrize(
    "profile", [load_profile(name) for name in profile_names()], ids=lambda p: p.name
)

A_PROFILE = 'description = "A pirate."\ntemperature = 0.5\ntools = ["shell"]\nsystem_prompt = """\nArr.\n"""\n'


@pytest.fixture
def read(tmp_path: Path):
    """Reads a profile from its text."""

    def from_text(text: str) -> Profile:
        path = tmp_path / "pirate.toml"
        path.write_text(text)
        return read_profile(path)

    return from_text


def test_the_promised_profiles_are_there():
    assert set(profile_names()) >= PROMISED
    assert list(profile_names()) == sorted(profile_names())


@every_profile
def test_the_name_can_be_an_agents_name(profile: Profile):
    assert re.fullmatch(r"[a-z][a-z-]{0,63}", profile.name)


@every_profile
def test_the_description_is_one_sentence(profile: Profile):
    assert re.fullmatch(r"An? [^.!?\n]{20,118}\.", profile.description)


@every_profile
def test_the_prompt_says_who_it_is_and_forbids_to_make_things_up(profile: Profile):
    assert profile.system_prompt.startswith("You are a")
    assert profile.system_prompt == profile.system_prompt.strip()
    assert 80 <= len(profile.system_prompt.split()) <= 250
    assert re.search(r"\b(invent(ion)?|make (it )?up)", profile.system_prompt)


@every_profile
def test_the_prompt_stands_without_tools(profile: Profile):
    named = [tool for tool in BUILT_IN_TOOLS if "_" in tool and tool in profile.system_prompt]
    assert named == [], "the prompt names a tool that the agent may not have"


@every_profile
def test_the_tools_are_built_in_ones_and_each_is_named_once(profile: Profile):
    assert set(profile.tools) <= BUILT_IN_TOOLS
    assert len(set(profile.tools)) == len(profile.tools)


@every_profile
def test_no_profile_brings_the_shell(profile: Profile):
    assert "shell" not in profile.tools


@every_profile
def test_the_temperature_is_one_that_providers_take(profile: Profile):
    assert profile.temperature is None or 0 <= profile.temperature <= 1


def test_the_coder_can_work_on_files_and_the_researcher_on_the_web():
    assert {"file_read", "file_write", "file_edit", "file_list", "file_search"} <= set(load_profile("coder").tools)
    assert {"web_search", "web_fetch", "memory_store", "memory_recall"} <= set(load_profile("researcher").tools)


def test_prompts_and_descriptions_are_not_shared():
    profiles = [load_profile(name) for name in profile_names()]
    assert len({p.system_prompt for p in profiles}) == len({p.description for p in profiles}) == len(profiles)


@pytest.mark.parametrize("name", ["codr", "Coder", "", "../profiles/coder", "__init__"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str):
    with pytest.raises(UnknownProfile) as refused:
        load_profile(name)
    assert repr(name) in str(refused.value)
    assert all(known in str(refused.value) for known in profile_names())


def test_a_profile_takes_its_name_from_its_file_and_cannot_be_changed(read):
    profile = read(A_PROFILE)
    assert profile == Profile("pirate", "A pirate.", "Arr.", temperature=0.5, tools=("shell",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        profile.name = "parrot"


def test_temperature_and_tools_may_be_left_out(read):
    profile = read(A_PROFILE.replace("temperature = 0.5\n", "").replace('tools = ["shell"]\n', ""))
    assert (profile.temperature, profile.tools) == (None, ())


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("tools =", "tool =", "pirate.toml: unknown key 'tool'"),
        ('description = "A pirate."', "", "pirate.toml: description missing"),
        ("0.5", '"hot"', "pirate.toml: temperature must be of type float, not str"),
        ('["shell"]', '"shell"', "pirate.toml: tools must be of type list, not str"),
        ("tools = [", "tools = [[", "pirate.toml: "),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_its_place(read, right: str, wrong: str, message: str):
    assert right in A_PROFILE
    with pytest.raises(ValueError, match=re.escape(message)):
        read(A_PROFILE.replace(right, wrong))
