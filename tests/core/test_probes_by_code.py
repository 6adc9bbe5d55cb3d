"""What the code of a memory of cases achieves on the probes: a stand-in follows the case that it is shown last."""

from __future__ import annotations

import asyncio
import re
from statistics import fmean

import pytest

from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.probes import LABELS, Order, Outcomes, changing, few_marks, growing_marks, lasting, load, noisy
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.method import Settings
from llm_as_rnn.methods import build
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import Request, StepRecord
from llm_as_rnn.recurrence.notes import ARROW
from llm_as_rnn.runs.loop import run_sequence
from llm_as_rnn.task import load_task

STEPS = 24


def last_case_shown(request: Request) -> str:
    shown = re.findall(f"{ARROW}({'|'.join(LABELS)})$", request.prompt, re.MULTILINE)
    return shown[-1] if shown else LABELS[0]


def records_of(probe: str, order: Order, outcomes: Outcomes) -> list[StepRecord]:
    task = load_task(probe)
    records: list[StepRecord] = []
    engine = ScriptedEngine(last_case_shown)
    settings = Settings("line", "completion", budget=128, feedback="auto")
    for sequence in load(probe, order, outcomes, Selection(20, STEPS)):
        method = build("recurrent:cases", task, settings, Prompts())
        asyncio.run(run_sequence(method, sequence, task, engine, [], records.append))
    return records


def share_right(records: list[StepRecord], first: int) -> float:
    return fmean(record.prediction == record.target for record in records if record.t >= first)


@pytest.mark.parametrize(
    ("probe", "order", "outcomes", "enough"),
    [("probe-noise", few_marks, noisy, 0.65), ("probe-recall", growing_marks, lasting, 0.72)],
)
def test_it_is_found_out_that_the_mark_tells_and_the_thing_does_not(
    probe: str, order: Order, outcomes: Outcomes, enough: float
) -> None:
    """Were all words to tell the same, 0.56 and 0.70 of the latter half would be right."""
    assert share_right(records_of(probe, order, outcomes), first=STEPS // 2) > enough


def test_a_change_of_everything_is_noticed_before_each_case_has_missed_twice() -> None:
    """Were each case to miss twice first, 0.4 of the last third would be right."""
    assert share_right(records_of("probe-drift", few_marks, changing), first=2 * STEPS // 3) > 0.6
