"""What the code of a memory of cases achieves on the probes: a stand-in follows the case that it is shown last."""

from __future__ import annotations

import asyncio
import re
from statistics import fmean

from llm_as_rnn.catalogue import build
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.probes import LABELS, changing, few_marks, load
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.walk import walk

STEPS = 24


def last_case_shown(request: Request) -> str:
    shown = re.findall(f"{ARROW}({'|'.join(LABELS)})$", request.prompt, re.MULTILINE)
    return shown[-1] if shown else LABELS[0]


def test_a_change_of_everything_is_noticed_before_each_case_has_missed_twice() -> None:
    """Were each case to miss twice first, 0.34 of the last third would be right."""
    task = load_task("probe-drift")
    records: list[StepRecord] = []
    engine = ScriptedEngine(last_case_shown)
    settings = Settings("line", "completion", budget=128, feedback="auto")
    for sequence in load("probe-drift", few_marks, changing, Selection(20, STEPS)):
        method = build("recurrent:cases", task, settings, Prompts())
        asyncio.run(drive_walk(walk(method, sequence, task), engine, records.append))
    late = [record.prediction == record.target for record in records if record.t >= 2 * STEPS // 3]
    assert fmean(late) > 0.45
