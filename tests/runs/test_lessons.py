"""A second memory, of lessons: sequences that have ended teach those after them, and nobody else."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest

from llm_as_rnn.catalogue import METHODS, build
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.errors import EngineUnavailableError
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Form, Memory, Observation, Prediction, Section, SequenceInfo, Status
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.scripted import ScriptedEngine, count_words
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.recurrence.lessons import Lessons
from llm_as_rnn.recurrence.notes import Credit
from llm_as_rnn.report.html import render_report
from llm_as_rnn.runs.executors import Cast, InProcess
from llm_as_rnn.runs.loop import run_all
from llm_as_rnn.runs.versions import LESSONS, lessons
from tests.core.stage import OPTIONS, UNKNOWN, Stage, no_answer, size
from tests.helpers import by_hand, good_answer

SHARED = 60
RULES: list[str] = ["cases", "hybrid", "append", "rewrite", "delta"]


@pytest.fixture
def recall() -> Task:
    return load_task("probe-recall")


def streams(sequences: int = 3, steps: int = 6) -> list[Sequence]:
    """Each sequence has marks and goods of its own, and one that all of them share."""
    goods = ("tea", "rice", "coal")
    return [
        Sequence(
            SequenceInfo(f"s{n}"),
            tuple(
                Step(
                    Observation(f"s{n}", t, {"thing": "a box", "mark": "shared" if t % 3 == 0 else f"only{n}x{t}"}),
                    {"content": "silk" if t % 3 == 0 else goods[(n + t) % 3]},
                )
                for t in range(steps)
            ),
        )
        for n in range(sequences)
    ]


def answer(form: Form) -> Any:
    good = good_answer(form)

    def answering(request: Request) -> str:
        right = "silk" if "shared" in request.prompt.splitlines()[-1] else "tea"
        text = str(good(request)) if request.role != "predict" else right
        return text.replace("Patterns", "Associations").replace('"section": "Associations", ', "")

    return answering


def going(task: Task, method: Method, engine: Any, records: list[StepRecord]) -> Any:
    executor = InProcess(engine)
    executor.begin(Cast(task, [method], {}))

    async def keep(record: StepRecord) -> None:
        records.append(record)

    return partial(executor.go, keep=keep, hear=lambda request: None)


def run(task: Task, rule: str, past: Any = (), engine: Any = None, **updating: Any) -> tuple[list[StepRecord], Any]:
    engine = engine or ScriptedEngine(answer("line"))
    settings = Settings(
        form="line",
        style="completion",
        budget=80,
        feedback="auto",
        rule=rule,
        **{"shared": SHARED, **updating},
    )
    method = build("recurrent", task, settings, Prompts())
    records = list(past)
    failed = asyncio.run(run_all([method], streams(), going(task, method, engine, records), past, concurrency=4))
    return records, failed


@pytest.mark.parametrize("rule", RULES)
def test_lessons_come_from_sequences_that_ended_earlier(recall: Task, rule: str) -> None:
    engine = ScriptedEngine(answer("line"))
    records, failed = run(recall, rule, engine=engine)
    assert not failed
    assert [(r.sequence, r.t) for r in records] == [(f"s{n}", t) for n in range(3) for t in range(6)]
    asked = [request.prompt for request in engine.requests if request.role == "predict"]
    for place, prompt in enumerate(asked):
        assert not any(f"only{later}x" in prompt for later in range(place // 6 + 1, 3))
    assert [record.lessons is not None for record in records] == [record.t == 5 for record in records]
    assert all(count_words(str(r.lessons)) <= SHARED for r in records if r.lessons)
    assert all(record.taught is not None for record in records if record.lessons)


def test_cases_of_an_earlier_sequence_answer_a_later_one(recall: Task) -> None:
    engine = ScriptedEngine(answer("line"))
    records, _ = run(recall, "cases", engine=engine)
    second = next(request for request in engine.requests if "only1x" in request.prompt)
    assert "From earlier sequences" in second.prompt
    assert "a box marked shared -> silk" in second.prompt
    # What the lessons hold is not written into the sequence's own memory again.
    assert all("shared" not in str(record.memory_after) for record in records if record.sequence != "s0")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cut", [1, 5, 6, 7, 12, 17])
def test_a_resumed_run_ends_like_an_uninterrupted_one(recall: Task, rule: str, cut: int) -> None:
    def timeless(records: list[StepRecord]) -> list[StepRecord]:
        def plain(record: StepRecord) -> StepRecord:
            calls = tuple(msgspec.structs.replace(call, seconds=0.0) for call in record.calls)
            return msgspec.structs.replace(record, calls=calls)

        return [plain(record) for record in records]

    whole, _ = run(recall, rule)
    resumed, _ = run(recall, rule, past=whole[:cut])
    assert timeless(resumed) == timeless(whole)


def test_after_a_lost_engine_later_sequences_wait(recall: Task) -> None:
    def dying(request: Request) -> str:
        if "only1x4" in request.prompt:
            raise EngineUnavailableError("no server")
        return str(answer("line")(request))

    records, failed = run(recall, "cases", engine=ScriptedEngine(dying))
    assert set(failed) == {"recurrent/s1", "recurrent/s2"}
    assert {record.sequence for record in records} == {"s0", "s1"}


def test_nothing_is_shared_unless_asked_for(recall: Task) -> None:
    engine = ScriptedEngine(answer("line"))
    records, _ = run(recall, "cases", engine=engine, shared=0)
    assert not any(record.lessons for record in records)
    assert not any("From earlier sequences" in request.prompt for request in engine.requests)


def test_methods_without_lessons_run_as_ever(recall: Task) -> None:
    settings = Settings(form="line", budget=80, shared=SHARED)
    for name in METHODS:
        method = build(name, recall, settings, Prompts())
        records: list[StepRecord] = []
        engine = ScriptedEngine(answer("line"))
        failed = asyncio.run(run_all([method], streams(), going(recall, method, engine, records), [], concurrency=2))
        assert not failed
        assert len(records) == 18


@pytest.mark.parametrize("rule", ["cases", "rewrite"])
def test_what_each_sequence_left_can_be_read(recall: Task, rule: str) -> None:
    records, _ = run(recall, rule)
    left = lessons(records)
    assert set(left) == {("recurrent", LESSONS)}
    events = left["recurrent", LESSONS]
    assert [event.memory for event in events] == [record.lessons for record in records if record.lessons]
    assert [event.reason.partition(":")[0] for event in events] == ["after s0", "after s1", "after s2"]
    changed = [event.memory.version for event in events if event.changed]
    assert changed == list(range(1, len(changed) + 1))
    assert all(event.outcome == ("accepted" if event.changed else "kept") for event in events)
    assert lessons(run(recall, rule, shared=0)[0]) == {}


def test_the_report_shows_them_and_a_run_without_has_no_such_part(recall: Task) -> None:
    records, _ = run(recall, "cases")
    page = render_report(recall, {}, records, summarise(recall, records), lessons(records))
    assert "Lessons" in page
    assert "a box marked shared -&gt; silk" in page.split('id="lessons"')[1].split("</section>")[0]
    assert 'id="lessons"' not in render_report(recall, {}, records, summarise(recall, records))


def stage_of(notes: dict[str, Credit], *, shared: int, taught: dict[str, Credit] | None = None) -> tuple[Any, Any]:
    """Give a method that keeps cases, and a state that holds notes after a sequence, beside earlier lessons."""
    stage = Stage("cases", budget=200, shared=shared)
    known = taught or {}
    before = Lessons(Memory((Section("Notes", tuple(known) or (UNKNOWN,)),)), known)
    state = stage.method.start_with(SequenceInfo("next"), before)
    held = Memory((Section("Notes", tuple(notes)),))
    return stage.method, msgspec.structs.replace(state, memory=held, ledger={**state.ledger, **notes})


def left_by(method: Any, state: Any) -> Lessons:
    found, _ = by_hand(method.conclude(state, Observation("next", 9, {"seen": "x"})), no_answer)
    assert isinstance(found, Lessons)
    return found


@pytest.mark.parametrize("notes", [3, 4, 5])
def test_what_proved_itself_most_is_carried_over_and_never_driven_out_by_less(notes: int) -> None:
    proved = {f"case w{n} q{n} z{n} -> {OPTIONS[n % 3]}": Credit(helped=6 - n) for n in range(6)}
    method, state = stage_of(proved, shared=size(*list(proved)[:notes]))
    assert left_by(method, state).memory.sections[0].items == tuple(proved)[:notes]


def test_a_note_that_did_harm_is_no_lesson() -> None:
    proved = {"case w q -> sun": Credit(helped=2), "case z y -> rain": Credit(helped=1, hurt=4)}
    assert left_by(*stage_of(proved, shared=100)).memory.sections[0].items == ("case w q -> sun",)


def test_credits_of_lessons_are_counted_over_all_sequences() -> None:
    note, other = "case w q -> sun", "case z y -> rain"
    method, state = stage_of({}, shared=100, taught={note: Credit(helped=7, hurt=1), other: Credit(helped=2)})
    said = Prediction({"sky": "sun"}, Status.OK)
    x = Observation("next", 0, {"seen": "case w q"})
    after = by_hand(method.learn(state, x, said, {"sky": "sun"}), no_answer).state
    assert left_by(method, after).ledger == {note: Credit(helped=8, hurt=1), other: Credit(helped=2)}
