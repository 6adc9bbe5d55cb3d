"""The summary at a run's end: who won, whether that may be chance, what it cost, and what to try next."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.metrics.estimates import Interval, PairedDifference
from llm_as_rnn.metrics.summary import MethodSummary, Score
from llm_as_rnn.report.words import FEWEST, in_short
from llm_as_rnn.runs.directory import RunInfo
from llm_as_rnn.runs.spec import RunSpec

TASK = load_task("probe-recall")  # one field: content


def info(status: Any = "finished", split: Any = "development", budget: int = 100, form: Any = "line") -> RunInfo:
    settings = Settings(budget=budget, form=form)
    spec = RunSpec("probe-recall", "d", "m", "", ("recurrent",), 4, 10, split, "", settings)
    return RunInfo(spec, TASK, EngineInfo("m"), status, seconds=180.0)


def method(name: str, accuracy: float, beyond: PairedDifference | None = None, **more: Any) -> MethodSummary:
    score = Score(accuracy, None, 40, UNSET if beyond is None else beyond)
    calls = 0.0 if beyond is None else 1.0
    kept: dict[str, Any] = {
        "method": name, "sequences": 4, "steps": 40, "scored": 40, "scores": {"content.accuracy": score},
        "self_correction": {}, "statuses": {one.value: 0 for one in Status}, "failed": 0, "updates": {}, "calls": calls,
        "prompt_tokens": 100.0 * calls, "completion_tokens": 5.0 * calls, "cached_tokens": 50.0 * calls,
        "cached_share": 0.5, "seconds": 2.0 * calls, "retries": 0, "memory_tokens": None,
    }  # fmt: skip
    return MethodSummary(**{**kept, **more})


def beyond(mean: float, low: float, high: float, p: float | None = None, sequences: int = 4) -> PairedDifference:
    return PairedDifference(mean, Interval(low, high), 40, sequences, "nearest_case", p)


REFERENCE = method("nearest_case", 0.6)


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (beyond(0.2, 0.1, 0.3, 0.01), "recurrent has 0.80, better than nearest_case (no model) by 0.20 [+0.10, +0.30]"),
        (beyond(0.2, -0.1, 0.5), "(no model) by 0.20 [~0.10, +0.50], which may be chance"),
        (beyond(0.2, 0.0, 0.5), "(no model) by 0.20 [0.00, +0.50], which may be chance"),
        (beyond(0.2, 0.001, 0.5), "(no model) by 0.20 [+0.00, +0.50]"),
        (beyond(0.2, 0.1, 0.3, 0.25), "by 0.20 [+0.10, +0.30], which so few sequences cannot prove (p 0.25)"),
        (beyond(-0.2, -0.3, -0.1, 0.01), "nearest_case is better by 0.20 without a model [~0.30, ~0.10]"),
        (beyond(0.001, -0.1, 0.1), "recurrent has 0.80, as nearest_case has without a model [~0.10, +0.10]"),
    ],
)  # fmt: skip
def test_who_won_is_said_with_what_may_be_chance(difference: PairedDifference, said: str) -> None:
    (line, *_) = in_short(info(), [method("recurrent", 0.8, difference), REFERENCE])
    assert line.startswith("content accuracy: ")
    assert line.replace("\N{MINUS SIGN}", "~").endswith(said)


def test_errors_in_a_small_unit_are_not_told_as_equal() -> None:
    task = msgspec.structs.replace(load_task("weather"), answer=(Number("rate", low=0.0, high=0.1, decimals=4),))
    score = Score(0.0031, None, 40, PairedDifference(-0.0008, Interval(-0.0011, -0.0004), 40, 6, "repeat_last", 0.03))
    ours = method("recurrent", 0.0, beyond(0.1, 0.0, 0.2), scores={"rate.mae": score})
    free = method("repeat_last", 0.0, scores={"rate.mae": Score(0.0039, None, 40)})
    said = in_short(msgspec.structs.replace(info(), task=task), [ours, free])[0]
    assert "recurrent has 0.0031, better than repeat_last (no model) by 0.0008" in said
    assert "0.0011" in said


def test_a_difference_without_an_interval_may_be_chance() -> None:
    difference = PairedDifference(0.2, None, 40, 2, "nearest_case", 0.5)
    (line, *_) = in_short(info(), [method("recurrent", 0.8, difference), REFERENCE])
    assert line.endswith("better than nearest_case (no model) by 0.20, which may be chance")


def chance(*summaries: MethodSummary) -> list[str]:
    return [line for line in in_short(info(), summaries) if line.startswith("chance: ")]


def test_too_few_sequences_to_tell_any_difference_are_said_to_be() -> None:
    def one(sequences: int, steps: int = 400) -> PairedDifference:
        return PairedDifference(0.2, Interval(0.1, 0.3), steps, sequences, "nearest_case", 0.9)

    a, b = (method(name, 0.8, one(6)) for name in ("recurrent", "zero_shot"))
    assert chance(a, REFERENCE) == [], "six can"
    (said,) = chance(a, b, REFERENCE)
    assert said.startswith("chance: 6 sequences are too few to tell any of 2 differences from it, however large")
    assert said.endswith("(p 0.062 at best): it takes 7")
    (said,) = chance(method("recurrent", 0.8, one(5)), REFERENCE)
    assert (
        said
        == "chance: 5 sequences are too few to tell a difference from it, however large (p 0.062 at best): it takes 6"
    )
    (said,) = chance(method("recurrent", 0.8, one(1, 60)), REFERENCE)
    assert said.startswith("chance: one sequence of 60 known outcomes is too short to tell a difference from it")
    assert chance(method("recurrent", 0.8, one(1, 78)), REFERENCE) == []
    untested = PairedDifference(0.2, None, 20, 1, "nearest_case")
    assert chance(method("recurrent", 0.8, untested), REFERENCE) == []


def test_without_a_model_the_best_reference_is_named() -> None:
    lines = in_short(info(), [method("majority", 0.4), REFERENCE])
    assert lines == ["content accuracy: nearest_case is best with 0.60"]


def test_a_run_without_steps_says_nothing() -> None:
    assert in_short(info(), []) == []


def test_the_cost_is_that_of_all_methods_and_in_money_where_a_price_is_known() -> None:
    ahead = beyond(0.2, 0.1, 0.3, 0.01)
    summaries = [method("recurrent", 0.8, ahead), method("zero_shot", 0.7, ahead), REFERENCE]
    cost = "cost: 80 calls, 8,000 tokens read, 50% of them from the engine's cache, 400 written, in 3 min"
    assert cost in in_short(info(), summaries)
    price = Price(prompt=1e3, completion=1e4, cached=0.0)
    assert f"{cost}, 8 by the prices given" in in_short(info(), summaries, price)


def advice(told: RunInfo, *summaries: MethodSummary) -> list[str]:
    return [line.removeprefix("next: ") for line in in_short(told, summaries) if line.startswith("next: ")]


def test_a_sure_lead_is_to_be_seen_on_held_out_data() -> None:
    best = method("recurrent", 0.8, beyond(0.2, 0.1, 0.3, 0.01))
    assert "--split held_out" in advice(info(), best, REFERENCE)[0]
    assert advice(info(split="held_out"), best, REFERENCE) == []


def test_an_unsure_lead_asks_for_as_many_sequences_as_would_tell() -> None:
    (said,) = advice(info(), method("recurrent", 0.8, beyond(0.1, -0.2, 0.4)), REFERENCE)
    assert said.startswith("about 36 sequences would tell recurrent's lead from chance")
    (said,) = advice(info(), method("recurrent", 0.8, beyond(0.2, 0.1, 0.3, 0.25)), REFERENCE)
    assert said.startswith(f"about {FEWEST} sequences")
    many = [method(f"m{number}", 0.8, beyond(0.2, 0.1, 0.3, 0.25)) for number in range(40)]
    assert advice(info(), *many, REFERENCE)[0].startswith("about 11 sequences"), "40 differences take eleven"
    (said,) = advice(info(), method("recurrent", 0.8, beyond(0.001, -0.5, 0.5)), REFERENCE)
    assert said.startswith("a larger model"), "so many sequences nobody has"


def test_who_is_behind_is_told_of_what_costs_nothing() -> None:
    (said,) = advice(info(), method("recurrent", 0.4, beyond(-0.2, -0.3, -0.1)), REFERENCE)
    assert "nearest_case alone, which costs nothing" in said


def test_advice_that_is_behind_could_be_carried_on_where_there_are_sequences_to_learn_from() -> None:
    behind = beyond(-0.2, -0.3, -0.1)
    advised = method("advised", 0.4, behind, calls=0.0, by_advice=True)
    said = advice(info(), advised, REFERENCE)
    assert said[0].startswith("advised:carry=true as one more method (--methods, --resume): it asks no model")
    (named, _) = advice(info(), method("advised:budget=64", 0.4, behind, calls=0.0, by_advice=True), REFERENCE)
    assert named.startswith("advised:budget=64:carry=true as one more")
    carried = method("advised:carry=true", 0.3, behind, calls=0.0, by_advice=True)
    for none in (
        [advised, carried],
        [msgspec.structs.replace(advised, sequences=1)],
        [method("recurrent", 0.4, behind)],
    ):
        assert not any("carry" in one for one in advice(info(), *none, REFERENCE))


def test_what_is_broken_comes_first() -> None:
    failing = method("recurrent", 0.4, beyond(-0.2, -0.3, -0.1), failed=20, memory_tokens=95)
    said = advice(info("interrupted"), failing, REFERENCE)
    assert len(said) == 2
    assert "--resume" in said[0]
    assert said[1].startswith("20 of 40 answers of recurrent could not be used")
    assert "--form json" in said[1]


def test_where_calls_failed_no_form_of_answers_is_blamed() -> None:
    failing = method("recurrent", 0.0, beyond(-0.2, -0.3, -0.1), failed=40)
    run = msgspec.structs.replace(info("failed"), reasons={"the prompt is too long": 40})
    said = advice(run, failing, REFERENCE)
    assert "--retry-failed" in said[0]
    assert not any("--form" in line or "not complete" in line for line in said)


def test_a_full_memory_is_given_room() -> None:
    full = method("recurrent:budget=40", 0.8, beyond(0.2, 0.1, 0.3, 0.01), memory_tokens=38)
    assert "--budget 80" in advice(info(split="held_out"), full, REFERENCE)[0]
    roomy = method("recurrent", 0.8, beyond(0.2, 0.1, 0.3, 0.01), memory_tokens=38)
    assert advice(info(split="held_out"), roomy, REFERENCE) == []


FLOATS = st.floats(-1e300, 1e300)


@given(FLOATS, FLOATS, FLOATS, st.none() | st.floats(0, 1), st.integers(1, 50))
def test_any_difference_can_be_told(mean: float, low: float, high: float, p: float | None, sequences: int) -> None:
    found = beyond(mean, min(low, high), max(low, high), p, sequences)
    for line in in_short(info(), [method("recurrent", 0.5, found), REFERENCE]):
        assert "\n" not in line
        assert "nan" not in line
