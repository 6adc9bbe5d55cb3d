"""Methods that go by advice: in a stream and in a run, with late outcomes, resumed, and when the model fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from llm_as_rnn.baselines.references import MajoritySoFar, RepeatLast
from llm_as_rnn.catalogue import advisers, build, references
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import EngineError, RunError
from llm_as_rnn.core.fields import Number, Ranked
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, Prediction, SequenceInfo, Status, Target
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import execute
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.trust.advised import Advised, Recorded
from tests.core.stage import no_answer
from tests.helpers import by_hand, content, good_answer, make, run_options
from tests.runs.test_execute import INFO, Watch, answer

WEATHER = load_task("weather")
DAY = {"date": "May 1", "sky": "rain", "high": 11.0, "low": 7.0, "precipitation": 3.0, "wind": 2.0}
OUTCOME: dict[str, Any] = {"sky": "sun", "high": 13.5}
OPTIONS = run_options("weather", ("recurrent", "advised"), sequences=2, steps=6, budget=60, feedback="scorecard")


def of(method: str, records: list[StepRecord]) -> list[StepRecord]:
    return [record for record in records if record.method == method]


def run(
    out: Path, options: Any = OPTIONS, answerer: Callable[[Request], Any] = answer, **how: Any
) -> tuple[RunInfo, ScriptedEngine]:
    engine = ScriptedEngine(answerer, INFO)
    watcher = Watch(crash_after=how.pop("crash_after", None))
    doing = execute(options, engine, RunDirectory(out), resume=how.pop("resume", False), watcher=watcher, **how)
    return asyncio.run(doing), engine


def with_settings(options: Any, **settings: Any) -> Any:
    return msgspec.structs.replace(options, settings={**options.settings, **settings})


def test_who_advises_suits_the_task(weather: Task) -> None:
    assert advisers("advised", weather, Settings()) == (
        "recurrent",
        "repeat_last",
        "majority",
        "nearest_case",
        "linear",
    )
    assert advisers("free_advice", load_task("sp500"), Settings())[-1] == "zero"
    assert set(advisers("free_advice", weather, Settings())) == set(references(weather)) - {"free_advice"}


def test_it_is_believed_who_is_right(weather: Task) -> None:
    task, prompts = weather, Prompts()
    method = Advised("two", task, [kind(task, Settings(), prompts) for kind in (MajoritySoFar, RepeatLast)])
    state = method.start(SequenceInfo("s"))
    for t in range(40):
        fields = {**DAY, "sky": ("rain", "sun")[t % 2], "high": 10.0 + t % 2}
        x = Observation("s", t, fields)
        y: Target = {"sky": str(fields["sky"]), "high": 10.0 + t % 2}
        prediction = by_hand(method.predict(state, x), no_answer)
        assert sum(prediction.distribution["sky"].values()) == pytest.approx(1, abs=1e-3)
        state = by_hand(method.learn(state, x, prediction, y), no_answer).state
    assert prediction.values == y
    assert prediction.believed["sky"]["repeat_last"] > 0.7
    assert prediction.believed["high"]["repeat_last"] > 0.9
    assert [said.status for said in prediction.advisers] == [Status.OK, Status.OK]
    assert msgspec.json.decode(msgspec.json.encode(state), type=method.state_type) == state


def test_in_a_run_advice_asks_nothing_again(tmp_path: Path) -> None:
    _, engine = run(tmp_path / "both")
    _, alone = run(tmp_path / "alone", msgspec.structs.replace(OPTIONS, methods=("recurrent",)))
    assert len(engine.requests) == len(alone.requests)
    records = content(tmp_path / "both")
    by_step = {(record.method, record.sequence, record.t): record for record in records}
    for record in of("advised", records):
        assert not record.calls
        assert set(record.believed["sky"]) == {"recurrent", "repeat_last", "majority", "nearest_case", "linear"}
        assert sum(record.believed["high"].values()) == pytest.approx(1)
        own = by_step["recurrent", record.sequence, record.t]
        assert record.t or record.prediction is None or own.prediction is not None
    scores = msgspec.json.decode((tmp_path / "both/scores.json").read_bytes())
    assert {"advised", "free_advice"} <= {row["method"] for row in scores["methods"]}
    references_are = {summary.method: summary.is_reference for summary in summarise(WEATHER, records)}
    told = [references_are[name] for name in ("advised", "free_advice", "recurrent")]
    assert told == [False, True, False]


def test_the_model_without_its_memory_is_heard_where_asked_for(tmp_path: Path) -> None:
    """A memory that says the wrong thing costs little then: who is right without it comes to be believed."""

    def misled(request: Request) -> Any:
        if request.role != "predict":
            return answer(request)
        led = "Seen so far" in request.prompt
        return " fog, -9.0" if led else " sun, 25.0"

    options = run_options(
        "weather", ("zero_shot", "recurrent", "advised"), sequences=1, steps=30, feedback="scorecard", bare=True
    )
    run(tmp_path / "bare", options, misled)
    records = content(tmp_path / "bare")
    assert not any(record.calls for record in of("advised", records))
    last = of("advised", records)[-1]
    assert set(last.believed["high"]) >= {"recurrent", "zero_shot"}
    errors = {name: sum(r.scores["high.abs_error"] for r in of(name, records)) for name in options.methods}
    assert errors["recurrent"] > 1.3 * errors["zero_shot"]
    assert errors["advised"] < errors["zero_shot"]
    run(tmp_path / "own", msgspec.structs.replace(options, methods=("advised",)), misled)
    own = of("advised", content(tmp_path / "own"))
    assert [record.prediction for record in own] == [record.prediction for record in of("advised", records)]
    assert all(len(record.calls) > 1 for record in own)


def test_alone_it_asks_for_itself_and_comes_to_the_same(tmp_path: Path) -> None:
    run(tmp_path / "both")
    run(tmp_path / "one", msgspec.structs.replace(OPTIONS, methods=("advised",)))
    both, one = (of("advised", content(tmp_path / name)) for name in ("both", "one"))
    assert [record.prediction for record in both] == [record.prediction for record in one]
    assert [record.believed for record in both] == [record.believed for record in one]
    assert all(record.calls and record.memory_after for record in one)


def test_where_it_is_carried_on_a_sequence_begins_with_what_the_one_before_showed(tmp_path: Path) -> None:
    run(tmp_path / "anew")
    run(tmp_path / "carried", with_settings(OPTIONS, carry=True))
    for name in ("advised", "free_advice"):
        anew, carried = (of(name, content(tmp_path / which)) for which in ("anew", "carried"))
        steps = {(record.sequence, record.t): record for record in carried}
        first, second = dict.fromkeys(record.sequence for record in RunDirectory(tmp_path / "carried").records())
        assert [r for r in anew if r.sequence == first] == [r for r in carried if r.sequence == first]
        last, begun = steps[first, 5], steps[second, 0]
        moved = {
            name: abs(begun.believed["high"][name] - last.believed["high"][name]) for name in last.believed["high"]
        }
        assert len(set(begun.believed["high"].values())) > 1  # nobody is believed like all others any more
        assert max(moved.values()) < 0.5
        (alike,) = {round(weight, 9) for r in anew if r.t == 0 for weight in r.believed["high"].values() if weight}
        # The mean has nothing to go by yet; all others are believed alike.
        assert alike == round(1 / (len(last.believed["high"]) - 1), 9)
    recurrent = [of("recurrent", content(tmp_path / which)) for which in ("anew", "carried")]
    assert recurrent[0] == recurrent[1]  # whoever takes no advice begins as ever


def test_how_far_an_answer_can_be_trusted_is_carried_on_too(tmp_path: Path) -> None:
    options = msgspec.structs.replace(with_settings(OPTIONS, carry=True), methods=("advised",), sequences=3)
    run(tmp_path / "run", options)
    widths = [
        r.interval["high"][1] - r.interval["high"][0] for r in of("advised", RunDirectory(tmp_path / "run").records())
    ]
    field = WEATHER.answer[1]
    assert isinstance(field, Number)
    assert widths[5] == field.high - field.low  # five outcomes are too few to say anything
    assert widths[17] < widths[5]  # seventeen are not, in whatever sequence they came


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("crash_after", [3, 30, 75])
def test_a_resumed_run_ends_like_an_uninterrupted_one(
    tmp_path: Path, delay: int, crash_after: int, *, carry: bool
) -> None:
    options = msgspec.structs.replace(with_settings(OPTIONS, carry=carry), delay=delay, concurrency=1)
    run(tmp_path / "whole", options)
    with pytest.raises(RunError, match="a crash"):
        run(tmp_path / "cut", options, crash_after=crash_after)
    run(tmp_path / "cut", options, resume=True)
    whole, cut = (RunDirectory(tmp_path / name).records() for name in ("whole", "cut"))
    assert [(r.method, r.t, r.prediction, r.believed) for r in whole] == [
        (r.method, r.t, r.prediction, r.believed) for r in cut
    ]


def test_what_was_advised_by_a_failed_step_is_done_anew(tmp_path: Path) -> None:
    def sometimes(request: Request) -> Any:
        if len(engine_asked) == 4:
            engine_asked.append(request)
            raise EngineError("away")
        engine_asked.append(request)
        return answer(request)

    engine_asked: list[Request] = []
    run(tmp_path / "run", answerer=sometimes)
    failed = [record for record in content(tmp_path / "run") if record.status is Status.ENGINE_ERROR]
    assert [record.method for record in failed] == ["recurrent"]
    run(tmp_path / "run", resume=True, retry_failed=True)
    run(tmp_path / "whole")
    again, whole = (RunDirectory(tmp_path / name).records() for name in ("run", "whole"))
    assert [(r.method, r.prediction, r.believed) for r in again] == [
        (r.method, r.prediction, r.believed) for r in whole
    ]


def test_an_answer_is_rounded_within_its_range() -> None:
    number = Number("high", low=1.2, high=2.8, decimals=0)
    task = msgspec.structs.replace(WEATHER, answer=(number,))
    method = build("free_advice", task, Settings(), Prompts())
    state = method.start(SequenceInfo("s"))
    for t, came in enumerate((2.8, 2.7, 1.3, 1.2, 1.2, 1.2)):
        x = Observation("s", t, {**DAY, "high": came})
        made = by_hand(method.predict(state, x), no_answer)
        assert made.status is Status.OK and made.values == {"high": 2.0}
        state = by_hand(method.learn(state, x, made, {"high": came}), no_answer).state


def test_an_entry_of_a_list_without_options_is_no_likelier_than_its_advisers_were_right() -> None:
    """What nobody named may come as well: what is told of those that were named does not add up to 1."""
    task = msgspec.structs.replace(WEATHER, answer=(Ranked("causes", top=2),))
    method, random = build("free_advice", task, Settings(), Prompts()), Random(3)
    state, told = method.start(SequenceInfo("s")), []
    for t in range(120):
        x = Observation("s", t, DAY)
        prediction = by_hand(method.predict(state, x), no_answer)
        target: Target = {"causes": ("flu",) if random.random() < 0.3 else (f"number {t}",)}
        right = prediction.values is not None and prediction.values["causes"][:1] == target["causes"]  # type: ignore[index]
        told.append((prediction.chance["causes"], right, sum(prediction.distribution.get("causes", {}).values())))
        state = by_hand(method.learn(state, x, prediction, target), no_answer).state
    chance, rightly, named = (sum(column) / 90 for column in zip(*told[30:], strict=True))
    assert abs(chance - rightly) < 0.1
    assert named < 0.6


def test_where_the_model_fails_the_references_answer() -> None:
    engine = ScriptedEngine(lambda request: Completion("", "error", error="away"))
    with Learner("weather", method="advised", engine=engine) as learner:
        made = learner.predict_one(DAY)
        assert made.prediction.status is Status.OK
        assert made.values == {"sky": "rain", "high": 11.0}  # majority has nothing to go by yet: its 12.5 is no advice
        assert made.prediction.advisers[0].status is Status.ENGINE_ERROR


def test_who_has_nothing_to_go_by_is_passed_over_unless_all_have_nothing() -> None:
    prompts = Prompts.with_folder(None)
    mean, last = (kind(WEATHER, Settings(), prompts) for kind in (MajoritySoFar, RepeatLast))
    both = Advised("both", WEATHER, [mean, last])
    begun, first = both.start(SequenceInfo("s")), Observation("s", 0, DAY)
    said = by_hand(both.predict(begun, first), no_answer)
    assert said.advisers[0].guessed == ("sky", "high")
    assert said.advisers[1].guessed == ()
    assert said.values == {"sky": "rain", "high": 11.0}
    state = by_hand(both.learn(begun, first, said, OUTCOME), no_answer).state
    told = by_hand(both.predict(state, Observation("s", 1, {**DAY, "high": 20.0})), no_answer)
    assert told.values is not None
    assert told.values["high"] == pytest.approx(16.75, abs=0.1), "now both are heard"
    alone = Advised("alone", WEATHER, [mean])
    guess = by_hand(alone.predict(alone.start(SequenceInfo("s")), first), no_answer)
    assert (guess.status, guess.values) == (Status.OK, {"sky": "drizzle", "high": 12.5})


def test_what_was_a_guess_stands_in_the_journal_and_is_passed_over_in_a_run(tmp_path: Path) -> None:
    run(tmp_path / "run", msgspec.structs.replace(OPTIONS, methods=("recurrent", "advised", "majority", "repeat_last")))
    records = RunDirectory(tmp_path / "run").records()
    assert [step.guessed for step in of("majority", records) if step.t < 2] == [("sky", "high"), ()] * 2
    assert not any(step.guessed for step in of("repeat_last", records))
    first = next(step for step in of("free_advice", records) if step.t == 0)
    assert first.prediction is not None
    assert first.prediction["high"] == first.observation["high"], "the others repeat today's"


@pytest.mark.parametrize("bare", [False, True])
def test_what_the_references_answered_in_an_outage_is_made_again_when_it_is_asked_again(*, bare: bool) -> None:
    away = True

    def sometimes(request: Request) -> Any:
        return Completion("", "error", error="down") if away else good_answer("json")(request)

    engine = ScriptedEngine(sometimes)
    with Learner("weather", engine=engine, bare=bare) as learner:
        first = learner.predict_one(DAY, id="a")
        assert (first.prediction.status, learner.stream.t) == (Status.OK, 1)
        assert "recurrent gave no answer: down" in first.prediction.problem
        assert ("zero_shot gave no answer: down" in first.prediction.problem) == bare
        away = False
        again = learner.predict_one(DAY, id="a")
        assert (again.prediction.problem, again.prediction.advisers[0].status) == ("", Status.OK)
        assert (again.observation, learner.stream.t, len(learner.waiting)) == (first.observation, 1, 1)
        asked = len(engine.requests)
        assert learner.predict_one(DAY, id="a") == again
        assert len(engine.requests) == asked
        assert learner.learn_one("a", OUTCOME).fate == "learned"


def test_a_stream_with_late_outcomes_is_saved_and_goes_on(tmp_path: Path) -> None:
    def steps(learner: Learner, first: int) -> list[Any]:
        made = [learner.predict_one({**DAY, "high": 10.0 + t}, id=t) for t in range(first, first + 3)]
        for t in (first + 1, first, first + 2):
            learner.learn_one(t, OUTCOME)
        return [(waiting.values, waiting.prediction.believed) for waiting in made]

    def learner(**how: Any) -> Learner:
        return Learner("weather", method="advised", engine=ScriptedEngine(good_answer("json")), **how)

    with learner() as one:
        whole = [*steps(one, 0), *steps(one, 3)]
        assert one.memory is not None
    with learner() as one:
        begun = steps(one, 0)
        one.save(tmp_path / "one.json")
    with Learner.load(tmp_path / "one.json", engine=ScriptedEngine(good_answer("json"))) as one:
        assert [*begun, *steps(one, 3)] == whole


def test_what_was_not_said_cannot_be_said_again() -> None:
    recorded = Recorded("recurrent", {})
    with pytest.raises(EngineError, match="has not predicted this step"):
        by_hand(recorded.predict(SequenceInfo("s"), Observation("s", 0, DAY)), no_answer)


def test_the_first_adviser_is_whose_memory_is_shown(weather: Task) -> None:
    method = make("advised", weather, budget=80)
    state = method.start(SequenceInfo("s"))
    memory = method.memory(state)
    assert memory is not None
    changed = msgspec.structs.replace(memory, version=7)
    assert method.memory(method.with_memory(state, changed)) == changed
    assert make("free_advice", weather).memory(make("free_advice", weather).start(SequenceInfo("s"))) is None


def test_a_run_from_before_guesses_were_told_goes_on_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_then(record: StepRecord) -> StepRecord:
        return msgspec.structs.replace(record, guessed=())

    def told(*said: Any, guessed: Any, **more: Any) -> Prediction:
        return Prediction(*said, **more)

    # Then advice heard guesses, and no record told of them.
    with monkeypatch.context() as patch:
        patch.setattr("llm_as_rnn.baselines.references.Prediction", told)
        run(tmp_path / "run")
    whole = content(tmp_path / "run")
    assert not any(record.guessed for record in whole)
    journal = tmp_path / "run" / "steps.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-4]))
    run(tmp_path / "run", resume=True)
    assert list(map(as_then, content(tmp_path / "run"))) == whole
