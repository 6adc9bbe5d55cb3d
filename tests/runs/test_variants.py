"""One method several times in a run, with settings of its own: its name says which, and everything goes by that."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.catalogue import advisers, asks_model, build, own_settings, require_method
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import SpecMismatchError, UsageError
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import load_task
from llm_as_rnn.core.variants import OF_THE_RUN, read_variant
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.forecast import forecast
from llm_as_rnn.streams.learner import Learner
from tests.helpers import content, run_options
from tests.runs.test_execute import answer, go

SMALL, LARGE = "recurrent:budget=60", "recurrent:budget=90"
WANTED: dict[str, Any] = {
    "task": "weather", "sequences": 2, "steps": 5, "budget": 75, "feedback": "scorecard", "rule": "rewrite"
}  # fmt: skip
TWO = run_options(**WANTED, methods=("zero_shot", SMALL, LARGE, "advised:budget=60"))


def test_each_has_its_own_budget_and_all_see_the_same_steps(tmp_path: Path) -> None:
    def wordy(request: Request) -> str:
        return answer(request).replace("- none", "\n".join(f"- {n} days of rain" for n in range(99)))

    assert go(tmp_path / "run", TWO, answerer=wordy).status == "finished"
    records = content(tmp_path / "run")
    sizes = {name: [step.memory_tokens or 0 for step in records if step.method == name] for name in (SMALL, LARGE)}
    assert 0 < max(sizes[SMALL]) <= 60 < max(sizes[LARGE]) <= 90
    seen = {name: [(s.sequence, s.t, s.observation) for s in records if s.method == name] for name in (SMALL, LARGE)}
    assert sorted(seen[SMALL], key=str) == sorted(seen[LARGE], key=str)


def test_advice_hears_the_one_with_its_settings_and_asks_nobody_again(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def counted(request: Request) -> str:
        asked[request.role] += 1
        return answer(request)

    go(tmp_path / "run", TWO, answerer=counted)
    records = content(tmp_path / "run")
    told = [step for step in records if step.method == "advised:budget=60"]
    assert all(not step.calls for step in told)
    assert all(SMALL in weights for step in told for weights in step.believed.values())
    # Two of them predict and update, and one predicts alone, at ten steps; a rehearsal asks an engine of its own.
    assert asked["predict"] == 30
    assert asked["update"] == 20


def test_a_run_goes_on_where_it_stopped_and_refuses_other_settings(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    go(whole, TWO)
    with pytest.raises(Exception, match="a crash"):
        go(tmp_path / "run", TWO, crash_after=13)
    go(tmp_path / "run", TWO, resume=True)
    assert content(tmp_path / "run") == content(whole)
    other = run_options(**WANTED, methods=("zero_shot", SMALL, "recurrent:budget=91", "advised:budget=60"))
    with pytest.raises(SpecMismatchError, match="methods was"):
        go(tmp_path / "run", other, resume=True)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("recurrent:budget=0", "budget must be at least 1, not 0"),
        ("recurrent:budget=many", "budget must be a whole number, not 'many'"),
        ("recurrent:watch=perhaps", "watch must be true or false"),
        ("recurrent:form=xml", "form must be one of json, line"),
        ("recurrent:bugdet=64", "cannot have a bugdet of its own: there is no such setting"),
        ("recurrent:seed=1", "cannot have a seed of its own: all methods of a run have the same"),
        ("recurrent:budget=64:budget=65", "names budget twice"),
        ("recurrent:nonsense:budget=64", "no update rule 'nonsense'"),
        ("zero_shot:delta:budget=64", "there is no method 'zero_shot:delta:budget=64'"),
        ("nearest_case:budget=64", "nearest_case is a reference, and has no settings"),
        ("nobody:budget=64", "there is no method 'nobody:budget=64'"),
    ],
)
def test_what_a_name_cannot_say_is_refused_in_one_line(name: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_method(name)
    assert says in refused.value.message
    assert refused.value.hint


def test_a_budget_that_does_not_fit_the_model_is_refused_before_the_run(tmp_path: Path) -> None:
    options = run_options(**WANTED, methods=("recurrent:budget=100000",))
    with pytest.raises(UsageError, match="needs a larger context window"):
        go(tmp_path / "run", options)
    options = run_options(**WANTED, methods=("recurrent", "recurrent:budget=2"))
    with pytest.raises(UsageError, match="more than the budget of 2"):
        go(tmp_path / "run", options)
    assert not (tmp_path / "run").exists()


def test_what_follows_from_a_form_follows_from_its_own() -> None:
    run = Settings(form="line", layout="separate", rule="cases")
    own = own_settings("recurrent:form=json", run)
    assert (own.form, own.layout, own.rule) == ("json", "chained", "cases")
    assert own_settings("recurrent:feedback=judge", run).rule == "rewrite"
    assert own_settings("recurrent:form=json:layout=separate:rule=delta", run).rule == "delta"
    assert own_settings("recurrent:delta:form=json", run).layout == "chained"
    assert own_settings("recurrent", run) is run


def test_a_stream_has_its_settings_by_their_own_options() -> None:
    with pytest.raises(UsageError, match="a stream has one method"):
        Learner("weather", method="recurrent:budget=64", model="scripted:none.jsonl")


def test_advisers_have_what_is_its_own_but_how_advice_is_taken() -> None:
    task = load_task("weather")
    assert advisers("advised:bare=on:budget=64", task, Settings())[:2] == ("recurrent:budget=64", "zero_shot:budget=64")
    assert advisers("advised:abstain_above=0.2", task, Settings())[0] == "recurrent"
    assert not asks_model("free_advice")
    assert asks_model("advised:budget=64")


def test_it_is_called_as_it_stands_in_the_run() -> None:
    for name in (SMALL, "recurrent:delta:budget=60", "advised:budget=60", "full_history:form=json"):
        assert build(name, load_task("weather"), Settings(), Prompts()).name == name


def test_a_forecast_knows_them(tmp_path: Path) -> None:
    engine = ScriptedEngine(answer, EngineInfo("scripted:test", form="line", style="completion"))
    told = asyncio.run(forecast(TWO, engine, 2))
    assert [one.method for one in told.methods] == ["zero_shot", SMALL, LARGE]
    assert not RunDirectory(tmp_path / "run").holds_run


VALUES = {
    name: st.sampled_from(knob.choices)
    if knob.choices
    else {int: st.integers(knob.least or 0, 10**6), bool: st.booleans()}.get(knob.type)
    for name, knob in knobs(Settings).items()
    if name not in OF_THE_RUN
}


@given(st.fixed_dictionaries({}, optional={name: values for name, values in VALUES.items() if values is not None}))
def test_a_name_says_what_it_was_made_of(choices: dict[str, object]) -> None:
    words = [
        f"{name}={'on' if value is True else 'off' if value is False else value}" for name, value in choices.items()
    ]
    name = ":".join(["recurrent", *words])
    assert dict(read_variant(name).choices) == choices
    assert read_variant(name).like("recurrent") == name
    assert read_variant(name).plain == "recurrent"
