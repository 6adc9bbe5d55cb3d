"""Lines of steps: nothing twice, nothing that follows from the rest, and nothing lost."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Call, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.files import unsealed
from llm_as_rnn.core.records import Feedback, Memory, Section, Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from llm_as_rnn.runs.journal import STEPS, read_journal
from llm_as_rnn.runs.lines import parts, places, texts
from llm_as_rnn.runs.walk import walk
from llm_as_rnn.runs.writing import whole
from tests.helpers import make, run_options
from tests.runs.test_execute import Watch
from tests.runs.test_walk import by_hand

TEXTS = st.sampled_from(["", "rain", "fog", "a case -> rain", "stop", "é\n"])
ITEMS = st.lists(TEXTS, max_size=4).map(tuple)
SECTIONS = st.lists(st.builds(Section, st.sampled_from(["Patterns", "Corrections"]), ITEMS), max_size=2).map(tuple)
MEMORIES = st.none() | st.builds(Memory, SECTIONS, st.integers(0, 3), st.none() | st.integers(0, 9))
CALLS = st.builds(
    Call,
    TEXTS,
    st.sampled_from(["stop", "length"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.none() | st.integers(0, 2),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 1),
    TEXTS,
    st.integers(0, 1),
    role=st.sampled_from(["predict", "update"]),
)
VALUES = st.none() | st.dictionaries(TEXTS, st.floats(0, 1) | TEXTS, max_size=2)


@st.composite
def some_steps(draw: Any) -> list[StepRecord]:
    """Give steps of two sequences, whose memories go on from each other or do not."""
    counts = {"s": 0, "r": 0}
    left: dict[str, Memory | None] = {}
    steps: list[StepRecord] = []
    for sequence in draw(st.lists(st.sampled_from("sr"), max_size=6)):
        before = draw(st.just(left.get(sequence)) | MEMORIES)
        after = draw(st.just(before) | MEMORIES)
        calls = tuple(draw(st.lists(CALLS, max_size=3)))
        names = tuple((f"{place:016x}", "f" * 16)[: draw(st.integers(1, 2))] for place in range(len(calls)))
        step = StepRecord(
            "m",
            sequence,
            counts[sequence],
            {"x": draw(TEXTS)},
            draw(VALUES),
            draw(VALUES),
            draw(st.sampled_from(Status)),
            draw(TEXTS),
            draw(st.none() | st.integers(0, 3)),
            before,
            after,
            draw(st.none() | st.integers(0, 9)),
            Update("kept", draw(TEXTS), draw(TEXTS)),
            draw(st.none() | st.builds(Feedback, TEXTS, TEXTS, ITEMS)),
            calls,
            draw(st.dictionaries(TEXTS, st.floats(0, 1), max_size=2)),
            draw(TEXTS),
            draw(ITEMS),
            draw(MEMORIES),
            draw(st.none() | st.builds(Update, st.just("accepted"), TEXTS, TEXTS)),
            draw(st.dictionaries(TEXTS, st.integers(0, 9), max_size=2)),
            draw(ITEMS),
            names if draw(st.booleans()) else (),
            when=draw(TEXTS),
        )
        counts[sequence] += 1
        left[sequence] = after
        steps.append(step)
    return steps


@given(some_steps())
def test_whatever_steps_hold_is_read_again(steps: list[StepRecord]) -> None:
    content = whole(steps, STEPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llm_as_rnn.runs.journal.opened", lambda path: nullcontext(BytesIO(content)))
        assert read_journal(Path("steps.jsonl")) == steps


@given(st.lists(st.sampled_from("abcde"), max_size=8), st.lists(st.sampled_from("abcdefg"), max_size=8))
def test_texts_by_their_places_are_the_same_texts(known: list[str], wanted: list[str]) -> None:
    said = parts(wanted, places(known))
    assert texts(said, known) == tuple(wanted)
    assert {part for part in said if isinstance(part, str)} == set(wanted) - set(known)


def entries(content: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(unsealed(line)) for line in content.splitlines()[1:]]


def step(t: int, before: Memory, after: Memory, **other: Any) -> StepRecord:
    values: dict[str, Any] = {
        "observation": {"x": 1}, "target": {"y": 2.0}, "prediction": {"y": 2.0}, "status": Status.OK,
        "raw": " 2.0", "memory_version": before.version, "memory_tokens": after.tokens, "feedback": None,
        "calls": (Call(" 2.0", "stop", 7, 3, None, 0.0, 0, role="predict"),), "scores": {},
    }  # fmt: skip
    values |= {"update": Update("kept", "known"), **other}
    return StepRecord(method="m", sequence="s", t=t, memory_before=before, memory_after=after, **values)


def test_a_line_says_what_is_new_and_nothing_else() -> None:
    first = Memory((Section("Patterns", ("rain", "fog", "sun")),), 4, 9)
    second = Memory((Section("Patterns", ("rain", "sun", "snow")),), 5, 11)
    shortened = Memory((Section("Patterns", ("rain", "sun")),), 6, 8)
    steps = [step(0, first, first), step(1, first, second), step(2, second, second), step(3, shortened, shortened)]
    lines = entries(whole(steps, STEPS))
    usual = {"method", "sequence", "t", "observation", "update", "target", "prediction", "calls"}
    assert [set(line) - usual for line in lines] == [{"memory_before"}, {"memory_change"}, set(), {"memory_before"}]
    assert lines[1]["memory_change"] == {"items": [[0, 2, "snow"]], "tokens": 11}
    assert lines[0]["calls"] == [{"role": "predict", "text": " 2.0", "prompt_tokens": 7, "completion_tokens": 3}]
    late = entries(whole([step(0, first, second, memory_version=2, raw=" 2")], STEPS))[0]
    assert (late["memory_version"], late["raw"]) == (2, " 2"), "what does not follow is written"


def nearest(request: Request) -> str:
    """Answer as the case does that was shown last."""
    *shown, _ = [line for line in request.messages[-1].content.splitlines() if line.strip()]
    return " " + shown[-1].rpartition(" -> ")[2] if shown else " red"


def test_a_run_of_cases_takes_less_than_half_of_what_it_took(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    options = run_options("probe-recall", methods=("recurrent:cases",), sequences=1, steps=60, budget=256, form="line")
    engine = ScriptedEngine(nearest, EngineInfo("scripted", context_window=4096))
    asyncio.run(execute(options, engine, directory, resume=False, watcher=Watch()))
    steps = [step for step in read_journal(directory.journal) if step.method == "recurrent:cases"]
    assert len({step.memory_version for step in steps}) > 10
    sizes = [sum(len(line) for line in whole(steps, STEPS, version).splitlines()[1:]) for version in (2, 3)]
    assert 2 * sizes[1] < sizes[0], "and that is without the figures that no model was shown"
    prompts = directory.prompts_file.stat().st_size
    assert prompts < 2 * sizes[1], "prompts have most of their lines in common"


@pytest.mark.parametrize(
    ("feedback", "rule", "kept"),
    [("scorecard", "cases", False), ("scorecard", "rewrite", True), ("model+scorecard", "cases", True)],
)
def test_feedback_is_kept_where_a_model_had_to_do_with_it(
    feedback: str, rule: str, kept: bool, weather: Task, days: list[Sequence]
) -> None:
    method = make(f"recurrent:{rule}", weather, form="line", budget=300, feedback=feedback)
    records, _, _ = by_hand(walk(method, days[0], weather))
    assert [record.feedback is not None for record in records] == [kept] * len(records)
