"""`openfang chat`: a conversation in a terminal, and one answer for a script."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agents.command_line import CEILING, ROOT, Installation
from tests.agents.terminal import Terminal
from tests.live import Live
from tests.live.asking import closed_row, eventually
from tests.upstream import Upstream, Usage, calls, cuts, fails, says, stalls


def chat(live: Live, *words: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", "chat", *words],
        env={**live.env, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=CEILING,
        check=False,
    )


def terminal(live: Live, *words: str) -> Terminal:
    return Terminal([sys.executable, str(ROOT / "manage.py"), "chat", *words], live.env)


def messages(upstream: Upstream, request: int) -> list[Any]:
    return [(message["role"], message["content"]) for message in upstream.requests[request].body["messages"]]


class TestScripts:
    def test_a_message_is_answered_with_the_answer_alone(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(says("It is 4.\nSurely."))
        said = chat(live, "coder", "--message", "2 + 2?")
        assert (said.returncode, said.stdout, said.stderr) == (0, "It is 4.\nSurely.\n", "")
        assert messages(upstream, 0)[-1] == ("user", "2 + 2?")

    def test_a_text_on_the_standard_input_is_a_message(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(says("Two lines."))
        assert chat(live, "coder", stdin="one\ntwo\n").stdout == "Two lines.\n"
        assert messages(upstream, 0)[-1] == ("user", "one\ntwo\n")

    def test_what_goes_on_beside_the_answer_is_not_printed(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(calls("calculator", expression="2+2"), says("4"))
        assert chat(live, "handy", "--message", "2+2?").stdout == "4\n"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nobody", "--message", "x"], "No agent found for model 'openfang:nobody'"),
            (["coder", "--message", " "], "There is nothing to ask: the message is empty."),
            (["coder", "--message", "x", "--url", "http://["], "'http://[' is not the URL of a server"),
            (
                ["coder", "--message", "x", "--url", "http://127.0.0.1:9"],
                "No OpenFang server answers at http://127.0.0.1:9",
            ),
        ],
    )
    def test_what_is_wrong_is_one_clear_line(self, live: Live, words: list[str], message: str) -> None:
        said = chat(live, *words)
        assert (said.returncode, said.stdout) == (1, "")
        assert said.stderr.startswith(f"openfang: {message}")
        assert said.stderr.count("\n") == 1

    def test_an_answer_that_breaks_off_is_an_error(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(cuts("Half"))
        said = chat(live, "coder", "--message", "x")
        assert (said.returncode, said.stdout) == (1, "Half\n")
        assert said.stderr.startswith("openfang: ")

    def test_without_a_server_it_says_how_to_start_one(self, tmp_path: Path) -> None:
        assert (
            Installation(tmp_path)
            .refusal("chat", "coder", "--message", "x")
            .startswith("No server runs here. Start one")
        )


class TestKeys:
    def test_a_key_is_needed_where_there_are_keys(self, guarded: Live, upstream: Upstream) -> None:
        refused = chat(guarded, "coder", "--message", "x")
        assert refused.returncode == 1
        assert refused.stderr.endswith("Name a key with --key, or in OPENFANG_API_KEY.\n")
        upstream.turns(says("By option."), says("By variable."))
        assert chat(guarded, "coder", "--message", "x", "--key", guarded.keys["alice"]).stdout == "By option.\n"
        by_variable = chat(guarded, "coder", "--message", "x", OPENFANG_API_KEY=guarded.keys["alice"])
        assert by_variable.stdout == "By variable.\n"

    def test_a_key_for_other_agents_finds_none(self, guarded: Live) -> None:
        refused = chat(guarded, "coder", "--message", "x", "--key", guarded.keys["bob"])
        assert "No agent found for model 'openfang:coder'" in refused.stderr


class TestConversation:
    def test_it_remembers_what_was_said_and_ends_with_ctrl_d(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(says("Hello, Ada."), says("Ada."))
        with terminal(live, "coder") as screen:
            assert "coder: Writes code. (Ctrl-C stops an answer, Ctrl-D ends)\n" in screen.read_until("> ")
            screen.type("I am Ada.\n")
            assert "Hello, Ada.\n[" in screen.read_until("tokens")
            screen.read_until("> ")
            screen.type("Who am I?\n")
            screen.read_until("Ada.\n")
            screen.read_until("> ")
            screen.type("\x04")
            screen.read_to_end()
            assert screen.process.wait(CEILING) == 0
        assert messages(upstream, 1)[-3:] == [
            ("user", "I am Ada."),
            ("assistant", "Hello, Ada."),
            ("user", "Who am I?"),
        ]

    def test_tools_tokens_and_cost_are_told_beside_the_answer(self, live: Live, upstream: Upstream) -> None:
        used = Usage(prompt_tokens=100_000, completion_tokens=10_000)
        upstream.turns(calls("calculator", expression="2+2"), says("It is 4.", usage=used))
        with terminal(live, "handy") as screen:
            screen.read_until("> ")
            screen.type("2+2?\n")
            shown = screen.read_until("> ")
        assert '[calculator {"expression": "2+2"}]\n' in shown.replace('":"', '": "')
        assert "It is 4.\n[100,0" in shown
        assert "tokens, $0.2" in shown
        assert "\x1b[2m[calculator" in screen.seen

    def test_ctrl_c_stops_the_answer_on_the_server_too_and_not_the_program(
        self, live: Live, upstream: Upstream
    ) -> None:
        upstream.turns(stalls("The first words", then=" and more"), says("Anew."))
        with terminal(live, "listener") as screen:
            screen.read_until("> ")
            screen.type("A long story\n")
            screen.read_until("The first words")
            screen.type("\x03")
            screen.read_until("> ")
            row = closed_row(live, "agent_name = 'listener' AND status = 'cancelled'")
            assert row["status"] == "cancelled"
            screen.type("Again\n")
            screen.read_until("Anew.\n")
            # What was said before it was stopped was said.
            assert messages(upstream, 1)[-3:] == [
                ("user", "A long story"),
                ("assistant", "The first words"),
                ("user", "Again"),
            ]
            screen.read_until("> ")
            screen.type("forgotten")
            screen.read_until("forgotten")
            screen.insist("\x03", until="> ")
            screen.type("\x04")
            screen.read_to_end()
            assert screen.process.wait(CEILING) == 0

    def test_lines_that_are_pasted_are_one_message(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(says("Three lines."))
        with terminal(live, "coder") as screen:
            screen.read_until("> ")
            screen.type("one\ntwo\nthree\n")
            screen.read_until("Three lines.")
        assert messages(upstream, 0)[-1] == ("user", "one\ntwo\nthree")

    def test_an_answer_that_fails_does_not_end_the_conversation(self, live: Live, upstream: Upstream) -> None:
        upstream.turns(fails(400), says("Better."))
        with terminal(live, "coder") as screen:
            screen.read_until("> ")
            screen.type("first\n")
            screen.read_until("openfang: ")
            screen.read_until("> ")
            screen.type("second\n")
            screen.read_until("Better.")
        assert [text for role, text in messages(upstream, 1) if role == "user"] == ["second"]
        eventually(lambda: not live.usage("status = 'running'"))
