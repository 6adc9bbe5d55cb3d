"""The adapters to River: its own checks of an estimator, and the same figures as our own loop."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Hashable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from river import checks, compose, conf, evaluate, metrics, preprocessing

from llm_as_rnn.catalogue import METHODS, REFERENCES, build
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.errors import GivenUpWarning, TaskError, UsageError
from llm_as_rnn.core.fields import Field, Label, Number
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.core.settings import LATER, Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.river import LLMClassifier, LLMRegressor
from llm_as_rnn.runs.walk import walk
from llm_as_rnn.streams.learner import Learner

pd: Any = pytest.importorskip("pandas")

ESTIMATORS = [
    estimator(**params) for estimator in (LLMClassifier, LLMRegressor) for params in estimator._unit_test_params()
]


def every_check() -> Iterator[Any]:
    """Give River's checks of each estimator: all that has a growing context or memory on one data set each.

    They take seconds on each, so that the other data sets are long; so is how memory grows for an estimator after the
    first of a method, as they keep the same, and all of full history. The rest is tried on all.
    """
    seen = set()
    for estimator in ESTIMATORS:
        for number, check in enumerate(checks.yield_checks(estimator)):
            name, kind = check.__name__, type(estimator).__name__
            tried = (estimator.method, name, "" if name == "check_bounded_memory_growth" else kind)
            long = estimator.method == "full_history"
            long |= tried in seen and (estimator.method != "repeat_last" or not tried[2])
            seen.add(tried)
            label = f"{kind}-{estimator.method}-{number}-{name}"
            yield pytest.param(estimator, check, id=label, marks=[pytest.mark.long] if long else [])


CHECKS = list(every_check())


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_rivers_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator.clone())


def test_river_skips_none_of_its_checks() -> None:
    assert all(not estimator._unit_test_skips() for estimator in ESTIMATORS)
    assert len(CHECKS) > 100


COLOURS = ("red", "green", "blue")
LABEL = Label("colour", options=COLOURS)
NUMBER = Number("height", low=-100, high=100, decimals=1)


accuracy: Any = metrics.Accuracy
mae: Any = metrics.MAE
cross_entropy: Any = metrics.CrossEntropy


def a_task(field: Field) -> Task:
    sections = (MemorySection("Notes", "anything"),)
    return Task("t", "t", "Answer.", "{{ a }} and {{ b }}", "{{ a }}, {{ b }}", (field,), sections)


def by_prompt(request: Request) -> str:
    """Answer by a hash of all that the model is shown: whatever was learned, and when, changes what comes."""
    mark = zlib.crc32(request.prompt.encode())
    if request.role == "predict":
        return COLOURS[mark % 3] if "colour" in request.prompt else f"{mark % 90}.5"
    if request.role == "update":
        return "\n".join(
            f"## {name}\n- {mark}" for name in ("Notes", "Patterns", "Corrections") if name in request.prompt
        )
    if request.role == "summarise":
        return f"summary: {mark}"
    return f"correct: no\nmissed: {mark}\nwhy: {mark}\nsuggestion: {mark}"


def rows(field: Field, count: int = 30) -> list[tuple[dict[Hashable, Any], Any]]:
    # Every fourth record is the same as one before: which prediction an outcome belongs to must still be known.
    xs: list[dict[Hashable, Any]] = [{"a": t - t % 4 // 3, "b": "w" * (t % 5 - t % 4 // 3)} for t in range(count)]
    ys = [COLOURS[t * t % 7 % 3] if isinstance(field, Label) else float(t * t % 37) for t in range(count)]
    return list(zip(xs, ys, strict=True))


def our_loop(task: Task, method: str, delay: int) -> list[StepRecord]:
    name = task.answer[0].name
    steps = tuple(
        Step(Observation("stream", t, {str(key): value for key, value in x.items()}), {name: y})
        for t, (x, y) in enumerate(rows(task.answer[0]))
    )
    records: list[StepRecord] = []
    settings = Settings("line", "completion", "separate", budget=64, rule="auto")
    settings = msgspec.structs.replace(settings, **dict.fromkeys(LATER, True))
    built = build(method, task, settings, Prompts())
    engine = ScriptedEngine(by_prompt)
    sequence = Sequence(SequenceInfo("stream"), steps)
    asyncio.run(drive_walk(walk(built, sequence, task, delay=delay), engine, records.append))
    return sorted(records, key=lambda record: record.t)


@pytest.mark.parametrize("delay", [0, 1, 3, 40])
@pytest.mark.parametrize("method", [*METHODS, "recurrent:rewrite", *REFERENCES])
@pytest.mark.parametrize("field", [LABEL, NUMBER], ids=["label", "number"])
def test_progressive_validation_gives_the_figures_of_our_own_loop(field: Field, method: str, delay: int) -> None:
    task = a_task(field)
    records = our_loop(task, method, delay)
    adapter, metric = (LLMClassifier, accuracy()) if field is LABEL else (LLMRegressor, mae())
    model = adapter(task, method=method, engine=ScriptedEngine(by_prompt), form="line", style="completion", budget=64)
    reported = list(
        evaluate.iter_progressive_val_score(
            rows(field), model, metric, delay=delay or None, step=1, yield_predictions=True
        )
    )
    answered = [
        record.prediction[field.name] for record in sorted(records, key=lambda record: record.t) if record.prediction
    ]
    assert [report["Prediction"] for report in reported] == answered
    key = "accuracy" if field is LABEL else "abs_error"
    scores = [record.scores[f"{field.name}.{key}"] for record in records]
    assert metric.get() == pytest.approx(sum(scores) / len(scores))
    assert method in (*REFERENCES, "advised") or len(set(map(str, answered))) > 1


def test_labels_are_learned_as_they_come_and_keep_their_types() -> None:
    model = LLMClassifier(method="repeat_last", engine=ScriptedEngine(by_prompt))
    assert model.predict_one({"a": 1}) is None
    for label in (True, "True", 3, "", "two\nlines"):
        model.learn_one({"a": 1}, label)
        assert model.predict_one({"a": 1}) == label
        assert type(model.predict_one({"a": 1})) is type(label)


def test_an_answer_that_stands_for_no_label_seen_is_a_failure() -> None:
    model = LLMClassifier(method="zero_shot", engine=ScriptedEngine(lambda request: "another"), form="line")
    model.learn_one({"a": 1}, "red")
    assert model.predict_one({"a": 1}) == "red"
    assert model.failures == 1


def test_a_copy_goes_on_from_what_was_learned_and_apart() -> None:
    model = LLMRegressor(low=0, high=9, engine=ScriptedEngine(by_prompt), form="line", budget=64)
    model.learn_one({"a": 1}, 3.0)
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    assert copied.learner.memory == model.learner.memory
    model.learn_one({"a": 2}, 4.0)
    assert copied.learner.memory != model.learner.memory


def test_close_keeps_what_was_learned() -> None:
    model = LLMRegressor(low=0, high=9, engine=ScriptedEngine(by_prompt), form="line", budget=64)
    model.learn_one({"a": 1}, 3.0)
    before = model.learner.memory
    model.close()
    assert model.learner.memory == before


def test_an_outcome_finds_its_prediction_although_numbers_are_missing_or_numpys() -> None:
    calls: list[str] = []

    def count(request: Request) -> str:
        calls.append(request.role)
        return by_prompt(request)

    model = LLMRegressor(method="zero_shot", engine=ScriptedEngine(count), form="line", low=0, high=99)
    x = {"a": float("nan"), "b": np.float64(2.5), ("c", 1): np.bool_(True)}
    model.predict_one(x)
    model.learn_one(dict(reversed(x.items())), 1.0)
    assert calls == ["predict"]
    assert not model.learner.waiting


def test_in_pipelines() -> None:
    model = LLMRegressor(low=0, high=99, engine=ScriptedEngine(by_prompt), form="line", budget=64)
    chosen = compose.Select("a") | model
    data = rows(NUMBER, 8)
    evaluate.progressive_val_score(data, chosen, mae(), delay=2)
    assert not model.learner.waiting
    scaled = preprocessing.StandardScaler() | LLMClassifier(engine=ScriptedEngine(by_prompt), form="line", budget=64)
    score = evaluate.progressive_val_score(((({"a": x["a"]}), y) for x, y in rows(LABEL, 8)), scaled, accuracy())
    assert 0 <= score.get() <= 1


def test_a_task_with_other_answers_is_refused() -> None:
    with pytest.raises(TaskError, match="exactly one label"):
        LLMClassifier("weather", engine=ScriptedEngine(by_prompt)).predict_one({})
    with pytest.raises(TaskError, match="exactly one number"):
        LLMRegressor(a_task(LABEL), engine=ScriptedEngine(by_prompt)).learn_one({"a": 1, "b": 2}, 3)


def test_a_task_can_change_while_its_sections_stay(weather: Task) -> None:
    with Learner(a_task(LABEL), engine=ScriptedEngine(by_prompt), form="line", budget=64) as learner:
        p = learner.predict_one({"a": 1, "b": 2})
        learner.learn_one(p.id, {"colour": "red"})
        before = learner.memory
        wider = msgspec.structs.replace(LABEL, options=(*COLOURS, "grey"))
        learner.change_task(a_task(wider))
        assert learner.memory == before
        p = learner.predict_one({"a": 2, "b": 2})
        assert learner.learn_one(p.id, {"colour": "grey"}).fate == "learned"
        with pytest.raises(UsageError, match="other sections"):
            learner.change_task(weather)


def test_without_river_the_adapter_names_what_to_install() -> None:
    code = """
import sys
sys.modules["river"] = None
try:
    import llm_as_rnn.river
except Exception as error:
    print(repr(error), error.hint)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("MissingExtraError")
    assert "llm-as-rnn[river]" in said


MISSING = [None, float("nan"), np.float64("nan"), np.datetime64("NaT", "s"), pd.NA, pd.NaT]


@pytest.mark.parametrize("y", MISSING, ids=[f"{type(y).__name__} {y}" for y in MISSING])
@pytest.mark.parametrize("kind", [LLMClassifier, LLMRegressor])
def test_a_missing_outcome_is_skipped_and_its_prediction_waits(kind: Any, y: Any) -> None:
    model = kind(method="repeat_last", engine=ScriptedEngine(by_prompt))
    model.learn_one({"a": 1}, 3)
    model.predict_one({"a": 2})
    before = model.learner.dump()
    model.learn_one({"a": 2}, y)
    assert model.learner.dump() == before
    assert len(model.learner.waiting) == 1
    model.learn_one({"a": 2}, 4)
    assert not model.learner.waiting
    assert model.predict_one({"a": 3}) == 4


@pytest.mark.parametrize("y", [[1, 2], {"a": 1}, {1, 2}, object(), np.array([1, 2]), float("inf"), b"red"])
@pytest.mark.parametrize("kind", [LLMClassifier, LLMRegressor])
def test_an_outcome_that_is_no_value_is_refused_in_one_line(kind: Any, y: Any) -> None:
    model = kind(method="repeat_last", engine=ScriptedEngine(by_prompt))
    model.learn_one({"a": 1}, 3)
    with pytest.raises(UsageError, match="the outcome") as caught:
        model.learn_one({"a": 2}, y)
    assert len(str(caught.value).splitlines()) == 1
    assert model.predict_one({"a": 3}) == 3


def test_a_number_that_is_none_is_refused_in_one_line() -> None:
    model = LLMRegressor(method="repeat_last", engine=ScriptedEngine(by_prompt))
    with pytest.raises(UsageError, match="must be a number"):
        model.learn_one({"a": 1}, "much")


@pytest.mark.parametrize("label", [np.int64(3), np.str_("red"), np.bool_(True), "x\ud800", "\ufeffred"])
def test_labels_of_other_libraries_come_back_as_they_were(label: Any) -> None:
    model = LLMClassifier(method="repeat_last", engine=ScriptedEngine(by_prompt))
    model.learn_one({"a": 1}, "other")
    model.learn_one({"a": 1}, label)
    assert model.predict_one({"a": 1}) is label


@pytest.mark.parametrize(
    "labels",
    [
        ("Yes", "yes", "YES", "'yes'", "yes (2)"),
        ("\ud800", "?", "\udfff"),
        ("Straße", "STRASSE"),
        (True, "true", "TRUE"),
        ("caf\u00e9", "cafe\u0301", "a - b", "a -> b", "a,  b", "a, b"),
    ],
)
def test_labels_that_an_answer_would_not_tell_apart_get_texts_that_it_does(labels: tuple[Any, ...]) -> None:
    model = LLMClassifier(method="repeat_last", engine=ScriptedEngine(by_prompt))
    for label in (*labels, *labels):
        model.learn_one({"a": 1}, label)
        assert model.predict_one({"a": 1}) is label
    named = LLMClassifier(labels=labels, method="repeat_last", engine=ScriptedEngine(by_prompt))
    for label in reversed(labels):
        named.learn_one({"a": 1}, label)
        assert named.predict_one({"a": 1}) is label


def test_what_stands_for_labels_not_seen_is_none_of_those_seen() -> None:
    model = LLMClassifier(labels=("Another",), method="zero_shot", engine=ScriptedEngine(by_prompt))
    assert [option.casefold() for option in model.learner.task.answer[0].options] == ["another", "none of them"]


def test_a_missing_value_among_the_labels_is_refused() -> None:
    with pytest.raises(UsageError, match="no label"):
        LLMClassifier(labels=("a", None))


def test_features_come_in_by_the_one_door() -> None:
    x = {"a": pd.Timestamp("2024-05-31"), "b": pd.NA, "c": Decimal("1.5"), "d": "\ufeffred", "e": np.float32(0.5)}
    model = LLMRegressor(method="repeat_last", engine=ScriptedEngine(by_prompt))
    model.predict_one(x)
    (waiting,) = model.learner.waiting
    assert waiting.observation.fields == {"record": "a 2024-05-31T00:00:00, c 1.5, d red, e 0.5"}
    with pytest.raises(UsageError, match="'f' is infinite"):
        model.predict_one({"f": float("inf")})


def test_a_classifier_says_how_likely_each_label_is() -> None:
    labels = ("no", True, 3)
    one = LLMClassifier(labels=labels, method="repeat_last", engine=ScriptedEngine(lambda request: ""))
    assert one.predict_proba_one({"x": 1}) == {"no": 0.5, True: 0.25, 3: 0.25}, "nothing is known yet"
    silent = LLMClassifier(labels=labels, method="zero_shot", engine=ScriptedEngine(lambda request: ""))
    assert silent.predict_proba_one({"x": 1}) == dict.fromkeys(labels, pytest.approx(1 / 3))
    silent.close()
    other = LLMClassifier(labels=labels, method="free_advice", engine=ScriptedEngine(lambda request: ""))
    for estimator in (one, other):
        for t in range(12):
            estimator.learn_one({"x": t % 2}, True)
        chances = estimator.predict_proba_one({"x": 1})
        assert list(chances) == list(labels)
        assert sum(chances.values()) == pytest.approx(1)
        assert max(chances, key=lambda label: chances[label]) is True is estimator.predict_one({"x": 1})
        assert chances[True] > 0.8
        estimator.close()
    assert LLMClassifier().predict_proba_one({"x": 1}) == {}


def test_a_regressor_gives_an_interval_as_rivers_own_do() -> None:
    one = LLMRegressor(low=0, high=40, method="repeat_last", engine=ScriptedEngine(lambda request: ""))
    first = one.predict_one({"x": 1}, with_interval=True)
    assert (first.lower, first.upper) == (0.0, 40.0)
    for t in range(30):
        one.learn_one({"x": t}, 10.0 + t % 2)
    later = one.predict_one({"x": 31}, with_interval=True)
    assert isinstance(later, conf.Interval)
    assert one.predict_one({"x": 31}) in later
    assert later.width < 10
    silent = LLMRegressor(low=0, high=40, method="zero_shot", engine=ScriptedEngine(lambda request: ""))
    assert silent.predict_one({"x": 1}, with_interval=True).width == 40
    for estimator in (one, silent):
        estimator.close()


@pytest.mark.parametrize("number", [24, 25, 40])
def test_labels_that_a_distribution_does_not_name_share_what_is_left_of_it(number: int) -> None:
    labels = tuple(f"label {place}" for place in range(number))
    model = LLMClassifier(labels=labels, method="majority", engine=ScriptedEngine(lambda request: ""))
    chance, loss = np.random.default_rng(1), cross_entropy()
    for t in range(150):
        y, said = labels[chance.integers(number)], model.predict_proba_one({"t": t})
        assert len(said) == number
        assert sum(said.values()) == pytest.approx(1)
        assert min(said.values()) > 0
        loss.update(y, said)
        model.learn_one({"t": t}, y)
    assert loss.get() < np.log(number) + 0.5


VERBS: Any = {
    "answer": lambda model, x: model.predict_one(x),
    "chances": lambda model, x: model.predict_proba_one(x),
    "interval": lambda model, x: model.predict_one(x, with_interval=True),
}


@pytest.mark.parametrize("verbs", [("answer", "chances"), ("chances", "answer"), ("interval", "answer")])
def test_two_verbs_about_an_event_make_one_prediction(verbs: tuple[str, str]) -> None:
    asked: list[str] = []

    def answer(request: Request) -> str:
        asked.append(request.role)
        return "red" if "interval" not in verbs else "5.5"

    kind = LLMRegressor if "interval" in verbs else LLMClassifier
    with_range: Any = {"low": 0, "high": 99} if kind is LLMRegressor else {"labels": COLOURS}
    model = kind(method="zero_shot", engine=ScriptedEngine(answer), form="line", max_waiting=5, **with_range)
    for t in range(20):
        x = {"a": t % 3}
        for verb in verbs:
            VERBS[verb](model, x)
        model.learn_one(x, COLOURS[t % 3] if kind is LLMClassifier else float(t))
    assert (model.learner.stream.t, model.learner.waiting, len(asked)) == (20, (), 20)


def test_events_with_equal_features_are_told_apart_by_how_often_a_verb_was_used() -> None:
    model = LLMClassifier(labels=COLOURS, method="majority", engine=ScriptedEngine(by_prompt))
    x = {"a": 1}
    for verb in ("answer", "chances", "answer", "answer", "chances", "chances"):
        VERBS[verb](model, x)
    assert len(model.learner.waiting) == 3, "three events wait for an outcome each"
    for left in (2, 1, 0):
        model.learn_one(x, "red")
        assert len(model.learner.waiting) == left
    VERBS["answer"](model, x)
    model.learn_one({"a": 2}, "green")
    said = VERBS["chances"](model, x)
    assert said["green"] > min(said.values()), "what was learned since has its say in a new prediction"
    assert len(model.learner.waiting) == 2


def test_predictions_that_were_given_up_are_not_taken_for_an_event() -> None:
    model = LLMClassifier(labels=COLOURS, method="majority", engine=ScriptedEngine(by_prompt), max_waiting=2)
    with pytest.warns(GivenUpWarning):
        for a in range(4):
            model.predict_one({"a": a})
        model.predict_proba_one({"a": 0})
    assert [waiting.id for waiting in model.learner.waiting] == ["#3", "#4"]
    model.predict_proba_one({"a": 3})
    assert model.learner.stream.t == 5


def test_an_outcome_finds_its_prediction_where_the_task_says_what_is_missing() -> None:
    table = {"outcome": {"value": "bikes"}, "missing": ["n/a"]}
    task = Task.forecast("How many bikes?", low=0, high=9, data=table)
    model = LLMRegressor(task, method="repeat_last", engine=ScriptedEngine(by_prompt))
    x = {"rain": "n/a", "wind": 3}
    model.predict_one(x)
    model.predict_one(x, with_interval=True)
    model.learn_one(x, 4)
    assert (model.learner.stream.t, model.learner.waiting) == (1, ())
