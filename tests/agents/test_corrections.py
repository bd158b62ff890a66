"""What is learned of models that count more tokens in a prompt than we estimate."""

import logging
from collections.abc import Callable

import pytest

from agents.models import LanguageModel, Provider
from agents.snapshot import read_models
from agents.types import ModelSpec, PromptEstimate, ProviderSpec, Usage
from agents.usage import caps
from agents.usage.corrections import Corrections, keep

SCRIPTED = ProviderSpec("scripted", "Scripted", "openai", "http://127.0.0.1:9/v1")
MODEL = ModelSpec("model", SCRIPTED, context_window=100_000, max_output_tokens=10_000)
LONG = PromptEstimate(10_000)


class Learner:
    """A worker's corrections, with what it writes, and no pause between writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("agents.usage.corrections.PAUSE_SECONDS", 0)
        self._corrections = Corrections()
        self.written: list[Callable[[], None]] = []

    def learn(self, counted: int, *, times: int = 1, estimate: PromptEstimate = LONG) -> float:
        """Let a prompt of MODEL be counted so many times, and return the correction that was written last."""
        for _ in range(times):
            self._corrections.learn(MODEL, 1, estimate, counted, self.written.append)
        followed = self._corrections._followed.get(("scripted", "model"))
        return followed.shared if followed else 1.0


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    return Learner(monkeypatch)


def test_a_model_that_counts_twice_as_much_is_corrected_to_twice(learner: Learner):
    assert learner.learn(20_000, times=100) == 2.0
    assert len(learner.written) <= 20  # and nothing more, however many requests come
    assert learner.learn(20_000, times=1000) == 2.0
    assert len(learner.written) <= 20


def test_a_model_that_counts_less_is_not_corrected(learner: Learner):
    assert learner.learn(2_000, times=100) == 1.0
    assert learner.written == []


def test_no_correction_is_higher_than_four(learner: Learner):
    assert learner.learn(41_000, times=1000) == 4.0


@pytest.mark.parametrize("counted", [0, 41_001, 10**12])
def test_counts_that_cannot_be_teach_nothing(learner: Learner, counted: int):
    assert learner.learn(counted, times=100) == 1.0
    assert learner.learn(counted, times=100, estimate=PromptEstimate(300_000)) == 1.0  # beyond the context window


def test_images_and_short_prompts_teach_nothing(learner: Learner):
    assert learner.learn(20_000, times=100, estimate=PromptEstimate(10_000, images=1)) == 1.0
    assert learner.learn(100, times=100, estimate=PromptEstimate(50)) == 1.0


def test_a_single_odd_prompt_moves_little(learner: Learner):
    learner.learn(10_000, times=50)
    assert learner.learn(40_000) <= 1.5
    assert 1.0 <= learner.learn(10_000, times=500) <= 1.1


def test_a_correction_that_another_worker_found_is_taken_up(learner: Learner):
    learner.learn(10_000)
    found = ModelSpec("model", SCRIPTED, token_correction=3.0)
    learner._corrections.learn(found, 2, LONG, 30_000, learner.written.append)
    assert learner._corrections._followed["scripted", "model"].learned == 3.0
    # A run that began before has the old snapshot.
    learner._corrections.learn(MODEL, 1, LONG, 30_000, learner.written.append)
    assert learner._corrections._followed["scripted", "model"].learned == 3.0


@pytest.mark.django_db
def test_a_correction_is_kept_in_the_models_row_and_served_from_there():
    provider = Provider.objects.create(name="scripted", base_url="http://127.0.0.1:9/v1")
    LanguageModel.objects.create(provider=provider, name="model")
    assert [model.token_correction for model in read_models().values()] == [1.0]
    keep("scripted", "model", 1.5)
    assert [model.token_correction for model in read_models().values()] == [1.5]


@pytest.mark.parametrize(
    ("model", "reported", "kept"),
    [
        (MODEL, Usage(105_000, 10_500), Usage(105_000, 10_500)),  # some count a little beyond what they publish
        (MODEL, Usage(10**12, 10**12, 10**12, 10**12), Usage(110_000, 11_000, 110_000, 11_000)),
        (ModelSpec("unknown", SCRIPTED), Usage(10**12, 5), Usage(10_000_000, 5)),
        (ModelSpec("unknown", SCRIPTED), Usage(5, 10**12), Usage(5, 10_000_000)),
        (ModelSpec("windowed", SCRIPTED, context_window=1000), Usage(5, 10**12), Usage(5, 1100)),
    ],
)
def test_counts_are_capped_at_what_one_call_can_be(model: ModelSpec, reported: Usage, kept: Usage):
    assert caps.capped(reported, model) == kept


def test_the_first_cap_of_a_model_is_logged_and_no_other(caplog: pytest.LogCaptureFixture):
    caps._reported.clear()
    with caplog.at_level(logging.WARNING, "agents.usage.caps"):
        for _ in range(3):
            caps.capped(Usage(10**12, 7), MODEL)
    [line] = caplog.messages
    assert line.startswith("Scripted reports 1000000000000 prompt and 7 completion tokens for one call of model")
