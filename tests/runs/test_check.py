"""The leakage check passes on what is shipped, and finds each kind of leak where one is planted on purpose."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from llm_as_rnn.baselines.history import FullHistory, HistoryState, ZeroShot
from llm_as_rnn.catalogue import METHODS, REFERENCES, advisers
from llm_as_rnn.core.calls import AnswerFormat, Message
from llm_as_rnn.core.errors import TaskError, UsageError
from llm_as_rnn.core.fields import Label, Ranked, Text
from llm_as_rnn.core.method import Calls, Learned
from llm_as_rnn.core.prompts import Prompts, shipped_prompts
from llm_as_rnn.core.records import Form, Observation, Prediction, Target
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.registry import DATASETS, dataset
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.leakage.check import EVERY_METHOD, Factory, Leak, Look, _Runs, _watch, check, examine, plant
from llm_as_rnn.leakage.foresight import foreknown
from llm_as_rnn.runs.walk import walk

PROMPTS = Prompts()
LAYOUTS = ("chained", "separate")


@pytest.fixture(scope="module")
def weeks() -> list[Sequence]:
    """Give enough real weather for a comparison: 24 steps."""
    return dataset("weather").load(Selection(sequences=2, steps=12))


@pytest.fixture(scope="module")
def few() -> list[Sequence]:
    """Give what every method needs to learn, keep and look again: three steps of two sequences."""
    return shortened(dataset("weather").load(Selection(sequences=2, steps=12)))


def shortened(sequences: list[Sequence], steps: int = 3) -> list[Sequence]:
    return [msgspec.structs.replace(sequence, steps=sequence.steps[:steps]) for sequence in sequences]


def with_fields(sequences: list[Sequence], more: Callable[[Sequence, int], Mapping[str, Any]]) -> list[Sequence]:
    """Add fields to every observation, as a careless dataset would."""

    def step(sequence: Sequence, i: int) -> Any:
        x = sequence.steps[i].observation
        fields = {**x.fields, **more(sequence, i)}
        return msgspec.structs.replace(sequence.steps[i], observation=msgspec.structs.replace(x, fields=fields))

    return [
        Sequence(sequence.info, tuple(step(sequence, i) for i in range(len(sequence.steps)))) for sequence in sequences
    ]


def found(leaks: list[Leak]) -> set[tuple[str, str, str, int]]:
    return {(leak.kind, leak.method, leak.field, leak.t) for leak in leaks}


def sees(secret: Callable[[Observation], str]) -> Factory:
    """Build a method that adds a text of its own to every prompt."""

    class Cheat(ZeroShot):
        name = "cheat"

        def _messages(self, state: HistoryState, observation: Observation, dropped: int) -> tuple[Message, ...]:
            messages = super()._messages(state, observation, dropped)
            return (*messages, Message("user", f"Psst: {secret(observation)}."))

    return Cheat


# --- what is clean --------------------------------------------------------------------------------------------------


def test_shipped_methods_do_not_leak_in_any_form_or_layout(weather: Task, weeks: list[Sequence]) -> None:
    report = examine(weather, weeks, PROMPTS)
    assert report.leaks == ()
    assert report.steps == 24
    looked = {key for key, requests in report.requests.items() if requests >= 24}
    # Who takes advice is shown no more than these.
    alone = [name for name in METHODS if not advisers(name, weather, Settings())]
    assert looked == {(name, form, layout) for name in alone for form in ("json", "line") for layout in LAYOUTS}
    assert {name for name, _, _ in report.requests} == {*METHODS, *REFERENCES} - {"advised", "free_advice"}


def test_settings_that_a_method_does_not_read_are_left_out_and_no_request_of_it_is_missed(
    weather: Task, few: list[Sequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> dict[str, list[bytes]]:
        seen: dict[str, list[bytes]] = {}

        def search(looks: list[Look], *arguments: Any, **named: Any) -> list[Leak]:
            for look in looks:
                seen.setdefault(look.method, []).append(msgspec.json.encode(look.request))
            return []

        with monkeypatch.context() as patch:
            patch.setattr("llm_as_rnn.leakage.check._search", search)
            assert check(weather, shortened(few[:1], 2), PROMPTS) == []
        return seen

    searched = asked()
    monkeypatch.setattr(_Runs, "tell_nothing_new", lambda *_: False)
    every = asked()
    assert {name: set(requests) for name, requests in searched.items()} == {
        name: set(requests) for name, requests in every.items()
    }
    assert len(searched["recurrent"]) == len(every["recurrent"])
    assert all(len(searched[name]) < len(every[name]) / 3 for name in every if name != "recurrent")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("weather", "probe-recall") else [pytest.mark.long])
        for name in sorted(name for name, entry in DATASETS.items() if entry.from_folder is None)
    ],
)
@pytest.mark.parametrize("steps", [3, pytest.param(12, marks=pytest.mark.long)])
def test_shipped_data_is_clean(name: str, steps: int) -> None:
    """Three steps of a sequence show what is asked; notes that are merged, and dropped again, take more."""
    missing = dataset(name).ready()
    if missing:
        pytest.skip(missing)
    task, data = load_task(name), dataset(name).load(Selection(sequences=2, steps=12))
    assert check(task, data, PROMPTS, {}) == []
    assert check(task, shortened(data, steps), PROMPTS) == []


def test_other_kinds_of_answers_are_checked_as_well(weather: Task, few: list[Sequence]) -> None:
    answer = (*weather.answer, Ranked("items", top=3), Text("story"))
    task = msgspec.structs.replace(weather, answer=answer)
    more: dict[str, Any] = {"items": ("a", "b"), "story": "it went well"}
    data = [
        msgspec.structs.replace(
            sequence,
            steps=tuple(
                msgspec.structs.replace(step, target={**(step.target or {}), **more}) for step in sequence.steps
            ),
        )
        for sequence in few
    ]
    assert check(task, data, PROMPTS) == []


def test_outcomes_that_never_came_are_no_leak(weather: Task, few: list[Sequence]) -> None:
    sequence = few[0]
    steps = (msgspec.structs.replace(sequence.steps[0], target=None), *sequence.steps[1:])
    assert check(weather, [msgspec.structs.replace(sequence, steps=steps)], PROMPTS) == []


def test_it_runs_where_an_event_loop_runs(weather: Task, days: list[Sequence]) -> None:
    async def inside() -> list[Leak]:
        return check(weather, days, PROMPTS, {"zero_shot": METHODS["zero_shot"]})

    assert asyncio.run(inside()) == []


def test_every_outcome_and_observation_has_a_canary_of_its_own(weather: Task, days: list[Sequence]) -> None:
    planted = plant(weather, days, "line")
    kinds = [canary.what for canary in planted.canaries.values()]
    steps = sum(len(sequence.steps) for sequence in days)
    assert (kinds.count("outcome"), kinds.count("observation")) == (2 * steps, steps)
    assert len(set(planted.canaries.values())) == len(planted.canaries)


@pytest.mark.parametrize("name", ["full_history", "memprompt", "recurrent"])
@pytest.mark.parametrize("form", ["json", "line"])
def test_what_was_learned_is_in_the_requests_that_are_searched(
    weather: Task, days: list[Sequence], name: str, form: Form
) -> None:
    """Otherwise nothing that a state carries too early could be found."""
    planted = plant(weather, days, form)
    settings = Settings(form=form)
    looks, learns = asyncio.run(_watch(METHODS[name](planted.task, settings, PROMPTS), name, settings, planted))
    assert learns
    last = [look.request.prompt for look in looks if not look.learning][-1]
    told = [planted.canaries[number] for number in re.findall(r"\d{9}", last) if number in planted.canaries]
    assert {canary.name for canary in told} >= {"sky", "high"}


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_the_loop_itself_reveals_each_outcome_after_its_prediction(
    weather: Task, days: list[Sequence], delay: int
) -> None:
    planted = plant(weather, days, "line")
    method = FullHistory(planted.task, Settings(form="line"), PROMPTS)
    engine = ScriptedEngine(lambda request: " rain, 9.5")
    records: list[StepRecord] = []
    asyncio.run(drive_walk(walk(method, planted.sequences[0], planted.task, delay=delay), engine, records.append))
    assert len(engine.requests) == len(records) == len(planted.sequences[0].steps)
    for t, request in enumerate(engine.requests):
        past = set(range(t + 1 - max(delay, 1)))
        seen = [planted.canaries[number] for number in re.findall(r"\d{9}", request.prompt)]
        assert {canary.t for canary in seen if canary.what == "outcome"} == past
        assert {canary.t for canary in seen if canary.what == "observation"} == past | {t}


# --- leaks in the data ----------------------------------------------------------------------------------------------


def test_a_field_that_holds_the_outcome_is_found(weather: Task, weeks: list[Sequence]) -> None:
    data = with_fields(weeks, lambda sequence, i: {"label": (sequence.steps[i].target or {})["sky"]})
    leaks = check(weather, data, PROMPTS, {"full_history": FullHistory})
    assert found(leaks) == {("outcome_in_observation", EVERY_METHOD, "label", 0)}


def test_a_text_that_holds_the_outcome_is_found(weather: Task, weeks: list[Sequence]) -> None:
    data = with_fields(weeks, lambda sequence, i: {"note": f"Reached {(sequence.steps[i].target or {})['high']} then."})
    leaks = check(weather, data, PROMPTS, {"zero_shot": ZeroShot})
    assert found(leaks) == {("outcome_in_observation", EVERY_METHOD, "note", 0)}


@pytest.mark.parametrize(
    "options", [("<=50K", ">50K"), ("A-", "A", "A+"), ("+", "-"), ("C", "C++", "C#"), ("1.0", "1"), ("up", "not up")]
)
def test_labels_that_signs_alone_tell_apart_are_found(options: tuple[str, ...], weeks: list[Sequence]) -> None:
    task = Task.classify("Which one?", labels=options)
    (name,) = (field.name for field in task.answer)
    outcomes = [options[(i * i + i // 3) % len(options)] for i in range(24)]
    labelled = [
        msgspec.structs.replace(step, target={name: outcome})
        for step, outcome in zip((step for week in weeks for step in week.steps), outcomes, strict=True)
    ]
    data = [msgspec.structs.replace(weeks[0], steps=tuple(labelled))]
    assert foreknown(task, data) == []
    data = with_fields(data, lambda sequence, i: {"note": f"it was: {outcomes[i]}, they say"})
    assert [(fact.name, fact.hits) for fact in foreknown(task, data)] == [("note", 24)]


@pytest.mark.parametrize("options", [("<=50K", ">50K"), ("high risk", "low risk")])
def test_a_method_that_knows_labels_with_something_in_common_is_found(
    weather: Task, weeks: list[Sequence], options: tuple[str, str]
) -> None:
    task = msgspec.structs.replace(weather, answer=(Label("income", options=options),))
    outcomes = {(week.info.id, i): options[(i * i + i // 3) % 2] for week in weeks for i in range(len(week.steps))}
    data = [
        msgspec.structs.replace(
            week,
            steps=tuple(
                msgspec.structs.replace(step, target={"income": outcomes[week.info.id, i]})
                for i, step in enumerate(week.steps)
            ),
        )
        for week in weeks
    ]
    leaks = check(task, data, PROMPTS, {"cheat": sees(lambda x: outcomes[x.sequence, x.t])})
    assert {leak.kind for leak in leaks} == {"outcome_in_prompt"}


@pytest.mark.parametrize("scale", [1e-9, 1e22])
def test_very_small_and_large_numbers_are_found(weeks: list[Sequence], scale: float) -> None:
    task = Task.forecast("How much?", low=-100 * scale, high=100 * scale, unit="g", decimals=11)
    (name,) = (field.name for field in task.answer)
    values = [scale * (i * 7 % 11 + 0.5) for i in range(12)] * 2
    steps = tuple(
        msgspec.structs.replace(step, target={name: value})
        for step, value in zip(weeks[0].steps * 2, values, strict=True)
    )
    data = [msgspec.structs.replace(weeks[0], steps=steps)]
    (fact,) = foreknown(task, with_fields(data, lambda sequence, i: {"amount": values[i]}))
    assert fact.name == "amount"


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_a_row_of_the_future_is_found(weather: Task, ahead: int) -> None:
    def later(sequence: Sequence, i: int) -> dict[str, Any]:
        rows = [step.observation.fields for step in sequence.steps[i + ahead : i + ahead + 1]]
        return {f"next_{name}": row[name] for row in rows for name in ("sky", "high")}

    long = dataset("weather").load(Selection(sequences=2, steps=20))
    leaks = found(check(weather, with_fields(long, later), PROMPTS, {}))
    kind = ("outcome_in_observation", EVERY_METHOD)
    assert leaks == {(*kind, "next_sky", 0), (*kind, "next_high", 0)}


def test_what_is_known_by_rights_is_no_leak(weather: Task, weeks: list[Sequence]) -> None:
    def known(sequence: Sequence, i: int) -> dict[str, Any]:
        before = sequence.steps[max(i - 1, 0)].observation.fields
        return {"before": before["sky"], "names": "drizzle fog rain snow sun", "same": "sun", "n": i}

    assert check(weather, with_fields(weeks, known), PROMPTS, {}) == []


def test_outcomes_that_hardly_vary_tell_nothing_apart(weather: Task, weeks: list[Sequence]) -> None:
    data = [
        msgspec.structs.replace(
            sequence,
            steps=tuple(
                msgspec.structs.replace(step, target={"sky": "rain" if step == weeks[0].steps[6] else "sun"})
                for step in sequence.steps
            ),
        )
        for sequence in weeks
    ]
    constant = with_fields(data, lambda sequence, i: {"same": "sun"})
    assert check(weather, constant, PROMPTS, {}) == []
    told = with_fields(data, lambda sequence, i: {"same": (sequence.steps[i].target or {})["sky"]})
    assert found(check(weather, told, PROMPTS, {})) == {("outcome_in_observation", EVERY_METHOD, "same", 0)}


def test_outcomes_that_seldom_change_may_be_repeated(weather: Task, weeks: list[Sequence]) -> None:
    """Today's sky then equals tomorrow's nearly always, without knowing it."""

    def slow(sequence: Sequence) -> Sequence:
        skies = ["sun"] * 200 + ["rain"] * 200 + ["sun"] * 100
        steps = (
            msgspec.structs.replace(
                sequence.steps[0],
                observation=Observation(sequence.info.id, i, {**sequence.steps[0].observation.fields, "sky": today}),
                target={"sky": tomorrow, "high": 1.0},
            )
            for i, (today, tomorrow) in enumerate(pairwise(skies))
        )
        return Sequence(sequence.info, tuple(steps))

    assert check(weather, [slow(weeks[0])], PROMPTS, {}) == []


# --- leaks in methods -----------------------------------------------------------------------------------------------


def test_a_method_that_is_handed_the_outcomes_is_found(weather: Task, weeks: list[Sequence]) -> None:
    truth = {(s.info.id, step.observation.t): (step.target or {})["sky"] for s in weeks for step in s.steps}
    cheat = sees(lambda x: str(truth[x.sequence, x.t]))
    assert found(check(weather, weeks, PROMPTS, {"cheat": cheat})) == {("outcome_in_prompt", "cheat", "sky", 0)}


def test_a_method_that_peeks_at_one_outcome_is_found_at_its_step(weather: Task, weeks: list[Sequence]) -> None:
    targets = {
        (form, step.observation.sequence, step.observation.t): str((step.target or {})["sky"])
        for form in ("json", "line")
        for sequence in plant(weather, weeks, form).sequences
        for step in sequence.steps
    }
    cheat = sees(lambda x: " ".join(targets[form, x.sequence, 3] for form in ("json", "line")) if x.t == 3 else "")
    leaks = check(weather, weeks, PROMPTS, {"cheat": cheat, "zero_shot": METHODS["zero_shot"]})
    assert ("outcome_in_prompt", "cheat", "sky", 3) in found(leaks)
    assert {leak.method for leak in leaks} == {"cheat"}


def test_a_method_that_knows_a_later_step_is_found(weather: Task, weeks: list[Sequence]) -> None:
    planted = {form: plant(weather, weeks, form) for form in ("json", "line")}
    rows = {(s.info.id, step.observation.t): step for s in planted["json"].sequences for step in s.steps}
    cheat = sees(lambda x: str(rows[x.sequence, 5].observation.fields) if x.t == 4 else "")
    leaks = check(weather, weeks, PROMPTS, {"cheat": cheat})
    assert ("future_in_prompt", "cheat", "observation", 4) in found(leaks)


def test_a_method_that_carries_one_sequence_into_another_is_found(weather: Task, weeks: list[Sequence]) -> None:
    class Mixing(FullHistory):
        """Keeps outcomes outside its state."""

        name = "mixing"

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.kept: list[str] = []

        def learn(
            self, state: HistoryState, observation: Observation, prediction: Prediction, target: Target | None
        ) -> Calls[Learned]:
            self.kept.append(str(target))
            return (yield from super().learn(state, observation, prediction, target))

        def _messages(self, state: HistoryState, observation: Observation, dropped: int) -> tuple[Message, ...]:
            return (*super()._messages(state, observation, dropped), Message("user", " ".join(self.kept[:1])))

    leaks = check(weather, weeks, PROMPTS, {"mixing": Mixing})
    assert found(leaks) == {("future_in_prompt", "mixing", field, 0) for field in ("sky", "high")}
    assert {leak.sequence for leak in leaks} == {weeks[1].info.id}


def test_an_answer_format_that_allows_the_outcome_alone_is_found(weather: Task, days: list[Sequence]) -> None:
    skies = {
        step.observation.t: str((step.target or {})["sky"])
        for step in plant(weather, days[:1], "line").sequences[0].steps
    }

    class Narrow(ZeroShot):
        name = "narrow"

        def predict(self, state: HistoryState, observation: Observation) -> Calls[Prediction]:
            messages, _ = yield from self._context(state, observation)
            narrow = AnswerFormat(choices=(skies[observation.t],))
            asked = yield from self.asker.ask(
                self.asker.request("predict", messages, observation, narrow, 9), self.asker.answer.read
            )
            return Prediction(asked.value, asked.status, asked.raw)

    leaks = check(weather, days[:1], PROMPTS, {"narrow": Narrow})
    assert found(leaks) == {("outcome_in_prompt", "narrow", "sky", 0)}
    assert "the answer's format" in leaks[0].where


# --- uneven fields, and a check that would be blind -----------------------------------------------------------------


def changed(name: str, old: str, new: str) -> Prompts:
    """Give the shipped templates, one of them changed."""
    sources = shipped_prompts()
    assert old in sources[name]
    return Prompts({**sources, name: sources[name].replace(old, new)})


def test_a_template_that_hides_a_field_from_some_methods_is_found(weather: Task, few: list[Sequence]) -> None:
    prompts = changed("baselines/history", "{{ observation }}", "{{ observation.split('wind')[0] }}")
    leaks = found(check(weather, few, prompts))
    names = ("zero_shot", "full_history", "memprompt", "streaming_icl")
    assert leaks == {("uneven_fields", name, "x_t", 0) for name in names}


def test_a_field_that_one_method_alone_sees_is_found(weather: Task, few: list[Sequence]) -> None:
    data = with_fields(few, lambda sequence, i: {"pressure": 1000.0 + i})
    cheat = sees(lambda x: f"pressure {x.fields['pressure']}")
    leaks = check(weather, data, PROMPTS, {**METHODS, "cheat": cheat})
    assert found(leaks) == {("uneven_fields", "cheat", "pressure", 0)}
    assert "predict, message 3, user" in leaks[0].where


@pytest.mark.long
def test_a_case_that_keeps_what_the_line_does_not_show_is_found(weather: Task, few: list[Sequence]) -> None:
    data = with_fields(few, lambda sequence, i: {"pressure": 1000.0 + i})
    even = msgspec.structs.replace(weather, case="{{ date }}: {{ sky }}")
    assert check(even, data, PROMPTS) == []
    uneven = msgspec.structs.replace(weather, case="{{ date }}: {{ sky }}, pressure {{ pressure }}")
    assert {(leak.kind, leak.field) for leak in check(uneven, data, PROMPTS)} == {("uneven_fields", "pressure")}


@pytest.mark.parametrize(
    ("name", "old", "methods"),
    [
        ("baselines/pair", "{{ outcome }}", ("full_history", "streaming_icl")),
        ("baselines/summarise", "{{ facts }}", ("memprompt",)),
    ],
)
def test_a_method_that_is_never_shown_the_outcome_is_found(
    weather: Task, few: list[Sequence], name: str, old: str, methods: tuple[str, ...]
) -> None:
    leaks = found(check(weather, few, changed(name, old, "")))
    assert leaks == {("outcome_not_seen", method, field, 0) for method in methods for field in ("sky", "high")}


def test_nothing_to_check_and_broken_templates_are_errors(weather: Task, days: list[Sequence]) -> None:
    with pytest.raises(UsageError, match="no step with an outcome"):
        check(weather, [], PROMPTS)
    with pytest.raises(UsageError, match="same name"):
        check(weather, [days[0], days[0]], PROMPTS)
    broken = msgspec.structs.replace(weather, line="{{ pressure }}")
    with pytest.raises(TaskError, match="pressure"):
        check(broken, days, PROMPTS)
