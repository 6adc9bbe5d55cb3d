"""What summaries say of methods beside each other: the best reference, what the model adds, the strongest baseline."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.estimates import Gain, PairedDifference
from llm_as_rnn.metrics.summary import MethodSummary, Score, summarise
from tests.metrics.steps import call, step

ACCURACY = "sky.accuracy"
MODEL: dict[str, Any] = {"calls": (call(),)}
FREE: dict[str, Any] = {"believed": {"sky": {"low": 0.5, "high": 0.5}}}
ADVISED: dict[str, Any] = {"believed": {"sky": {"memory": 0.5, "high": 0.5}}}


def journal(**tracks: tuple[dict[str, Any], list[float]]) -> list[StepRecord]:
    """Give methods with the same scores in each of eight sequences, but for one step in each that none is right at."""
    return [
        step(method=name, sequence=f"s{number}", t=t, scores={ACCURACY: score, "high.abs_error": 4 - score}, **what)
        for name, (what, scores) in tracks.items()
        for number in range(8)
        for t, score in enumerate([*scores, 0.0])
    ]


RUN = journal(
    zero=(MODEL, [0.0, 0.0, 1.0]),
    history=(MODEL, [0.0, 1.0, 1.0]),
    memory=({**MODEL, "memory_tokens": 5}, [1.0, 1.0, 1.0]),
    advised=(ADVISED, [1.0, 1.0, 1.0]),
    low=({}, [0.0, 0.0, 0.0]),
    high=({}, [0.0, 1.0, 1.0]),
    free=(FREE, [0.0, 0.0, 1.0]),
)


def told(weather: Task, records: list[StepRecord], metric: str = "sky.accuracy") -> dict[str, Score]:
    return {one.method: one.scores[metric] for one in summarise(weather, records)}


def test_who_is_what_follows_from_what_they_did(weather: Task) -> None:
    summaries = summarise(weather, RUN)

    def those(trait: str) -> list[str]:
        return [one.method for one in summaries if getattr(one, trait) is True]

    assert those("is_baseline") == ["zero", "history"]
    assert those("is_reference") == ["low", "high", "free"]
    assert those("by_advice") == ["advised"]


def test_every_method_stands_against_the_best_reference_of_the_field(weather: Task) -> None:
    scores = told(weather, RUN)
    for method, mean in (("zero", -0.25), ("history", 0.0), ("memory", 0.25), ("advised", 0.25)):
        found = scores[method].beyond_reference
        assert isinstance(found, PairedDifference)
        assert (found.mean, found.other, found.steps, found.sequences) == (mean, "high", 32, 8)
        assert found.interval is not None
        assert found.p is not None
    assert all(scores[method].beyond_reference is UNSET for method in ("low", "high", "free"))
    errors = told(weather, RUN, "high.mae")["memory"].beyond_reference
    assert isinstance(errors, PairedDifference)
    assert (errors.mean, errors.other) == (-0.25, "high"), "of an error the best is the least"


def test_what_the_model_adds_is_advice_less_advice_that_is_free(weather: Task) -> None:
    scores = told(weather, RUN)
    found = scores["advised"].model_adds
    assert isinstance(found, PairedDifference)
    assert (found.mean, found.other) == (0.5, "free")
    assert found.interval is not None
    assert all(score.model_adds is UNSET for method, score in scores.items() if method != "advised")


def test_p_values_are_corrected_for_all_differences_of_the_run(weather: Task) -> None:
    found = told(weather, RUN)["advised"].model_adds
    assert isinstance(found, PairedDifference)
    # Two metrics of four methods against the reference, and of one against free advice. Two of them have p = 1.
    assert found.p == 2 / 2**8
    assert found.p_holm == 10 * 2 / 2**8


def test_gains_are_over_the_strongest_baseline_and_only_of_those_who_are_none(weather: Task) -> None:
    scores = told(weather, RUN)
    for method in ("memory", "advised"):
        found = scores[method].gain
        assert isinstance(found, Gain)
        assert (found.strongest, found.value) == ("history", 0.5)
        assert found.interval is not None
    assert all(scores[method].gain is UNSET for method in ("zero", "history", "low", "high", "free"))


def test_steps_without_an_answer_count_in_differences(weather: Task) -> None:
    records = journal(memory=({**MODEL, "memory_tokens": 5, "prediction": None}, [0.0]), high=({}, [1.0]))
    found = told(weather, records)["memory"].beyond_reference
    assert isinstance(found, PairedDifference)
    assert (found.mean, found.steps) == (-0.5, 16)


def test_a_method_alone_has_nothing_beside_it(weather: Task) -> None:
    (summary,) = summarise(weather, journal(memory=({**MODEL, "memory_tokens": 5}, [1.0])))
    assert isinstance(summary, MethodSummary)
    for score in summary.scores.values():
        assert (score.beyond_reference, score.model_adds, score.gain) == (UNSET, UNSET, UNSET)
