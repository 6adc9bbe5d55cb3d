"""What says how far predictions can be trusted stands around every method, and changes nothing else."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.catalogue import METHODS, REFERENCES, build
from llm_as_rnn.cli.lines import shown
from llm_as_rnn.core.chances import full
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import Label, Number
from llm_as_rnn.core.files import sealed, unsealed
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, Prediction, SequenceInfo, Status
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.earlier import EarlierSteps
from llm_as_rnn.runs.journal import read_journal
from llm_as_rnn.runs.walk import walk
from llm_as_rnn.runs.writing import Journal
from llm_as_rnn.service.scoring import scored
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.saved import FORMAT, read_saved
from llm_as_rnn.testing.stage import EXAMPLES
from llm_as_rnn.trust.abstention import chance, withholds
from llm_as_rnn.trust.assured import Assured
from tests.core.stage import no_answer
from tests.helpers import Answer, by_hand, good_answer

WEATHER = load_task("weather")
DAY = {"date": "May 1", "sky": "rain", "high": 11.0, "low": 7.0, "precipitation": 3.0, "wind": 2.0}
SAYS = ("interval", "among", "chance", "abstained")


def walked(method: Any, sequence: Sequence, task: Any, form: str, **how: Any) -> tuple[list[StepRecord], list[Any]]:
    records: list[StepRecord] = []
    engine = ScriptedEngine(good_answer(form))  # type: ignore[arg-type]
    asyncio.run(drive_walk(walk(method, sequence, task, **how), engine, records.append))
    return records, engine.requests


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("name", [*METHODS, *REFERENCES])
def test_it_changes_no_answer_no_memory_and_no_call(name: str, delay: int) -> None:
    task, sequences = EXAMPLES[0]
    settings = Settings("line", budget=80, feedback="scorecard")
    assured = build(name, task, settings, Prompts())
    assert isinstance(assured, Assured)
    alone = build(name, task, settings, Prompts()).method  # type: ignore[attr-defined]
    records, asked = walked(assured, sequences[0], task, "line", delay=delay)
    plain, asked_alone = walked(alone, sequences[0], task, "line", delay=delay)
    assert asked == asked_alone
    nothing: dict[str, Any] = {"interval": {}, "among": {}, "chance": {}, "abstained": ()}
    assert [msgspec.structs.replace(record, **nothing) for record in records] == plain
    answered = [record for record in records if record.prediction]
    assert answered and all(record.interval and record.among and record.chance for record in answered)


def steps_of(method: Any, pairs: list[tuple[Any, Any]], answer: Answer = no_answer) -> tuple[list[Prediction], Any]:
    """Have a method live through observations and outcomes."""
    state, made = method.start(SequenceInfo("s")), []
    for t, (fields, target) in enumerate(pairs):
        x = Observation("s", t, fields)
        made.append(by_hand(method.predict(state, x), answer))
        state = by_hand(method.learn(state, x, made[-1], target), answer).state
    return made, state


def days(number: int) -> list[tuple[Any, Any]]:
    skies = ("rain", "rain", "rain", "sun")
    return [
        ({**DAY, "sky": skies[t % 4], "high": 10.0 + t % 3}, {"sky": skies[(t + 1) % 4], "high": 10.0 + (t + 1) % 3})
        for t in range(number)
    ]


def reference(name: str = "repeat_last", **settings: Any) -> Any:
    return build(name, WEATHER, Settings(**settings), Prompts())


def test_a_prediction_says_how_far_it_can_be_trusted() -> None:
    made, state = steps_of(reference(), days(40))
    sky, high = WEATHER.answer
    assert isinstance(sky, Label) and isinstance(high, Number)
    assert made[0].interval == {"high": (high.low, high.high)}
    assert set(made[0].among["sky"]) == set(sky.options)
    assert made[0].chance == {"sky": 0.5}
    low, top = made[-1].interval["high"]
    assert top - low <= 6 and low <= float((made[-1].values or {})["high"]) <= top  # type: ignore[arg-type]
    assert set(made[-1].among["sky"]) == {"rain", "sun"}
    right = sum((one.values or {})["sky"] == y["sky"] for one, (_, y) in zip(made, days(40), strict=True))
    before = right - ((made[-1].values or {})["sky"] == days(40)[-1][1]["sky"])
    assert made[-1].chance["sky"] == pytest.approx((before + 0.5) / 40)
    assert len(msgspec.json.encode(state.assurance)) < 1500, "what is kept has an end"


def test_what_is_kept_does_not_grow() -> None:
    short, long = (steps_of(reference(), days(number))[1] for number in (60, 240))
    assert len(msgspec.json.encode(long.assurance)) <= len(msgspec.json.encode(short.assurance)) + 20


def test_a_distribution_is_gone_by_where_there_is_one() -> None:
    made, _ = steps_of(reference("free_advice"), days(30))
    spread = full(WEATHER.answer[0].options, made[-1].distribution["sky"])
    assert made[-1].chance["sky"] == spread[str((made[-1].values or {})["sky"])]
    assert list(made[-1].among["sky"]) == sorted(spread, key=lambda sky: -spread[sky])[: len(made[-1].among["sky"])]


def test_what_did_not_answer_says_everything_and_learns_nothing() -> None:
    method = build("zero_shot", WEATHER, Settings("line"), Prompts())
    made, state = steps_of(method, days(3), lambda request: "no idea")
    assert [prediction.status for prediction in made] == [Status.INVALID] * 3
    sky, high = WEATHER.answer
    assert isinstance(high, Number)
    for prediction in made:
        assert prediction.interval == {"high": (high.low, high.high)}
        assert set(prediction.among["sky"]) == set(sky.options)
        assert prediction.chance == {"sky": 0.0}
        assert prediction.abstained == ()
    assert state.assurance == {}
    careful = build("zero_shot", WEATHER, Settings("line", abstain_above=0.9, abstain_wider=60), Prompts())
    held, _ = steps_of(careful, days(1), lambda request: "no idea")
    assert held[0].abstained == ("sky", "high"), "nobody may act on it"


def test_library_pipe_service_and_report_agree_on_what_a_failure_says(tmp_path: Path) -> None:
    engine, path = ScriptedEngine(lambda request: "no idea"), tmp_path / "state.json"
    target: dict[str, Any] = {"sky": "sun", "high": 44.0}
    with Learner("weather", method="zero_shot", form="line", engine=engine) as learner:
        made = learner.predict_one(DAY, id="early").prediction
        learner.save(path)
    assert made.status is Status.INVALID
    line = shown("early", made)
    assert (line["interval"], line["chance"]) == ({"high": (-20.0, 45.0)}, {"sky": 0.0})
    assert set(line["among"]["sky"]) == set(WEATHER.answer[0].options)
    covered = {name: figures for name, figures in scored(WEATHER, made, target).items() if name.endswith("covered")}
    assert covered == {"sky.covered": (1, 1.0), "high.covered": (1, 1.0)}
    plain = msgspec.json.decode(unsealed(path.read_bytes()))
    for waiting in plain["stream"]["waiting"]:
        for name in ("interval", "among", "chance"):
            del waiting["prediction"][name]  # as an earlier version left it
    path.write_bytes(sealed(msgspec.json.encode(plain)))
    with Learner.load(path, engine=engine) as learner:
        learner.learn_one("early", target)
        assert learner.predict_one(DAY).prediction.interval == made.interval


def test_failures_buy_no_misses_of_the_answers_between_them() -> None:
    """What is said of an answer is the same, however many steps without one stood before it."""

    def answered(request: Any) -> str:
        return "sun, 12.0"

    method = build("zero_shot", WEATHER, Settings("line"), Prompts())
    state = apart = method.start(SequenceInfo("s"))
    for t in range(60):
        high = 12.0 + (t * 7 % 5) * (3 if t > 40 else 1)
        x, target = Observation("s", t, DAY), {"sky": "sun" if t % 4 else "rain", "high": high}
        for _ in range(3):
            failed = by_hand(method.predict(state, x), lambda request: "no idea")
            assert failed.status is Status.INVALID
            state = by_hand(method.learn(state, x, failed, target), no_answer).state
        made, alone = (by_hand(method.predict(one, x), answered) for one in (state, apart))
        assert made == alone
        state, apart = (
            by_hand(method.learn(one, x, said, target), no_answer).state
            for one, said in ((state, made), (apart, alone))
        )
    assert state.assurance == apart.assurance


def test_a_journal_whose_failures_say_nothing_is_gone_on_with() -> None:
    """As earlier versions wrote it."""
    task, sequences = EXAMPLES[0]
    method, answers = build("zero_shot", task, Settings("line"), Prompts()), good_answer("line")
    turns = iter(range(1000))
    engine = ScriptedEngine(lambda request: "no idea" if next(turns) % 3 else answers(request))
    whole: list[StepRecord] = []
    asyncio.run(drive_walk(walk(method, sequences[0], task), engine, whole.append))
    failed = [record for record in whole if record.prediction is None]
    assert failed and len(failed) < len(whole)
    assert all(record.interval and record.among and record.chance for record in failed)
    nothing: dict[str, Any] = {"interval": {}, "among": {}, "chance": {}}
    cut = len(whole) - 1
    past = [r if r.prediction else msgspec.structs.replace(r, **nothing) for r in whole[:cut]]
    turns = iter(range(sum(len(record.calls) for record in past), 1000))
    rest: list[StepRecord] = []
    asyncio.run(drive_walk(walk(method, sequences[0], task, past), engine, rest.append))
    plain = [msgspec.structs.replace(record, calls=()) for record in (*rest, *whole[cut:])]
    assert plain[0] == plain[1]


def test_an_outcome_of_one_field_teaches_of_that_alone() -> None:
    _, state = steps_of(reference(), [(DAY, {"high": 12.0}), (DAY, None)])
    assert set(state.assurance) == {"high"}
    assert state.assurance["high"].tracker.steps == 1


def test_late_outcomes_are_held_against_what_was_said_then() -> None:
    method = reference()
    _, state = steps_of(method, days(30))
    xs = [Observation("s", 30 + t, {**DAY, "high": 12.0}) for t in range(4)]
    made = [by_hand(method.predict(state, x), no_answer) for x in xs]
    assert len({one.interval["high"] for one in made}) == 1
    for x, one in reversed(list(zip(xs, made, strict=True))):
        before = state.assurance["high"].tracker.balance
        state = by_hand(method.learn(state, x, one, {"sky": "sun", "high": 30.0}), no_answer).state
        assert state.assurance["high"].tracker.balance == pytest.approx(before + 0.9)
    assert by_hand(method.predict(state, xs[0]), no_answer).interval["high"] != made[0].interval["high"]


# --- no answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "held_back"), [(0.45, ("sky",)), (0.55, ())])
def test_a_label_is_held_back_where_no_answer_costs_less(cost: float, held_back: tuple[str, ...]) -> None:
    made, _ = steps_of(reference(abstain_above=cost), days(1))
    assert made[0].chance["sky"] == 0.5
    assert made[0].abstained == held_back
    assert made[0].values == {"sky": "rain", "high": 10.0}, "the answer is there all the same"


def test_a_number_is_held_back_where_its_interval_is_too_wide() -> None:
    made, _ = steps_of(reference(abstain_wider=8), days(40))
    for one in made:
        low, high = one.interval["high"]
        assert one.abstained == (("high",) if high - low > 8 else ())
    assert made[0].abstained and not made[-1].abstained


def test_without_a_cost_nothing_is_held_back() -> None:
    made, _ = steps_of(reference(), days(5))
    assert not any(one.abstained for one in made)
    assert not withholds(0.01, None, None, None) and not withholds(None, (0.0, 1e300), None, None)


def test_chows_rule_costs_least_of_all_thresholds() -> None:
    chances = [0.05 + 0.1 * place for place in range(10)]

    def cost(limit: float, of_none: float) -> float:
        return sum(of_none if withholds(one, None, limit, None) else 1 - one for one in chances)

    for of_none in (0.12, 0.34, 0.5, 0.78):
        assert cost(of_none, of_none) == min(cost(limit / 100, of_none) for limit in range(1, 100))


def test_a_chance_is_that_of_the_answer() -> None:
    assert chance("Sun", {"rain": 0.4, "sun": 0.6}, 9, 9) == 0.6
    assert chance(("gout", "flu"), {"flu": 0.4, "gout": 0.5}, 0, 0) == 0.5
    assert chance("fog", {"rain": 1.0}, 0, 0) == 0.0
    assert chance("fog", {}, 3, 9) == 0.35


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"coverage": 1.0}, r"coverage must lie between 0.5 and 0.99, not 1 \(correct --coverage\)"),
        ({"coverage": "much"}, r"coverage must be a number, not 'much'"),
        ({"abstain_above": 1}, r"abstain_above must lie between 0 and 1, not 1 \(correct --abstain-above\)"),
        ({"abstain_above": float("nan")}, r"abstain_above must lie between 0 and 1, not nan"),
        ({"abstain_wider": 0}, r"abstain_wider must be above 0, not 0 \(correct --abstain-wider\)"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(named: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        Learner("weather", method="repeat_last", **named)


# --- saved ------------------------------------------------------------------------------------------------------------


def test_what_is_known_is_saved_and_gone_on_with(tmp_path: Path) -> None:
    whole, cut = (Learner("weather", method="repeat_last", abstain_wider=5) for _ in range(2))
    learn = partial(learned, days(40))
    learn(whole, 0, 40)
    learn(cut, 0, 20)
    cut.save(tmp_path / "state.json")
    with Learner.load(tmp_path / "state.json") as again:
        learn(again, 20, 40)
        assert again.stream == whole.stream
        assert again.predict_one(DAY) == whole.predict_one(DAY)


def learned(pairs: list[tuple[Any, Any]], learner: Learner, first: int, last: int) -> None:
    for fields, target in pairs[first:last]:
        learner.learn_one(learner.predict_one(fields).id, target)


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_a_learner_of_an_earlier_format_goes_on_and_begins_to_say_it(tmp_path: Path, policy: str) -> None:
    path = tmp_path / "state.json"
    with Learner("weather", method="repeat_last", policy=policy) as learner:
        learner.predict_one(DAY, id="early")
        learned(days(20), learner, 0, 20)
        learner.save(path)
    plain = msgspec.json.decode(unsealed(path.read_bytes()))
    plain["format"] = 3
    for name in ("coverage", "abstain_above", "abstain_wider"):
        del plain["choices"][name]
    stream = plain["stream"]
    stream["state"] = stream["state"]["own"]
    for lesson in stream["lessons"]:
        if "before" in lesson:
            lesson["before"] = lesson["before"]["own"]
    assert any("before" in lesson for lesson in stream["lessons"]) == (policy == "replay")
    for waiting in (*stream["waiting"], *(lesson["waiting"] for lesson in stream["lessons"])):
        for name in SAYS:
            del waiting["prediction"][name]
    path.write_bytes(sealed(msgspec.json.encode(plain)))
    assert read_saved(path).choices["coverage"] == 0.9
    with Learner.load(path) as learner:
        assert learner.stream.state.assurance == {}
        assert learner.learn_one("early", {"sky": "sun", "high": 12.0}).again == (20 if policy == "replay" else 0)
        learned(days(30), learner, 0, 30)
        low, high = learner.predict_one(DAY).prediction.interval["high"]
        assert high - low < 8
        learner.save(path)
    assert read_saved(path).format == FORMAT


def test_a_journal_keeps_what_was_said_and_one_of_an_earlier_format_leaves_it_out(tmp_path: Path) -> None:
    task, sequences = EXAMPLES[0]
    method = build("free_advice", task, Settings(abstain_wider=5, abstain_above=0.01), Prompts())
    records, _ = walked(method, sequences[0], task, "line")
    assert all(getattr(record, name) for record in records for name in SAYS)
    with Journal(tmp_path / "steps.jsonl") as journal:
        for record in records:
            journal.append(record)
    assert read_journal(tmp_path / "steps.jsonl") == records
    earlier = EarlierSteps()
    for record in records:
        line = earlier.line(record)
        assert not any(name in msgspec.json.decode(line) for name in SAYS)
        assert earlier.record(line) == earlier.kept(record)
