"""How often a model follows a case that is right, by form: python benchmarks/forms.py TABLE.csv MODEL BUDGET STEPS.

The intents of `benchmarks/intents.py`, with memories as `benchmarks/retention.py` makes them (no model writes in them).
STEPS of each sequence, drawn by a seed from those after the fortieth, are asked about, where the memory's nearest case
has the right label: with the memory as it is kept, with the cases like the question last, and with the nearest one
shown once more, or several times, right before it; where that one has a blank, as it is or filled in.
The second figure is for those alone. This is how the form and `--echo` were chosen.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from itertools import groupby
from statistics import fmean

import retention
from following import items, nearest
from llm_as_rnn.cases.blanks import BLANK
from llm_as_rnn.cases.case import as_asked
from llm_as_rnn.cases.recall import Resemblance
from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.method import Asker
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Memory, Observation, Section
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.resolve import resolve

TASK = retention.INTENTS
SETTLED = 40
"""The step from which on memories are full."""

Form = Callable[[Memory, Resemblance, str], tuple[Memory, list[str]]]

FORMS: dict[str, Form] = {
    "as it is kept": lambda memory, _, __: (memory, []),
    "the nearest again": lambda memory, like, shown: (memory, again(like, shown)),
    "the nearest twice": lambda memory, like, shown: (memory, again(like, shown, 2)),
    "the nearest at the end, and again": lambda memory, like, shown: (
        at_the_end(memory, like.closest(shown, 1)),
        again(like, shown),
    ),
    "in order, the nearest again": lambda memory, like, shown: (ordered(memory, like, shown), again(like, shown)),
    "in order, again, a blank as it is": lambda memory, like, shown: (
        ordered(memory, like, shown),
        like.closest(shown, 1),
    ),
    "in order, twice": lambda memory, like, shown: (ordered(memory, like, shown), again(like, shown, 2)),
    "in order, three times": lambda memory, like, shown: (ordered(memory, like, shown), again(like, shown, 3)),
    "in order, three times, a blank as it is": lambda memory, like, shown: (
        ordered(memory, like, shown),
        like.closest(shown, 1) * 3,
    ),
}
"""What is shown as the memory, and which lines right before the question."""


def again(like: Resemblance, shown: str, echo: int = 1) -> list[str]:
    """Give the nearest case as often and in the form in which the recurrent method shows it again."""
    return [text for item in like.closest(shown, 1) for text in as_asked(item, shown, echo)]


def ordered(memory: Memory, like: Resemblance, shown: str) -> Memory:
    """Put the cases like a line last, the nearest at the very end."""
    return at_the_end(memory, [fit.key for fit in like.fits(shown, len(like.cases))])


def at_the_end(memory: Memory, last: list[str]) -> Memory:
    """Put some cases at the end of their section, in this order."""
    place = {item: number for number, item in enumerate(last)}
    sections = (Section(s.name, tuple(sorted(s.items, key=lambda i: place.get(i, -1)))) for s in memory.sections)
    return Memory(tuple(sections))


async def main(path: str, model: str, budget: int, steps: int) -> None:
    """Print a line for each form."""
    engine = resolve(model)
    await engine.open()
    try:
        retention.counted = engine.count_tokens
        known = await right_ones(path, budget, steps)
        held = fmean(len(items(record)) for record in known)
        print(f"{model}, budget {budget}: {len(known)} steps, {held:.1f} cases held")
        for name, form in FORMS.items():
            answers = [await follows(engine, record, form) for record in known]
            blanks = [right for right, record in zip(answers, known, strict=True) if has_blank(record)]
            print(f"  {name}: {fmean(answers):.2f} followed, {fmean(blanks or [0]):.2f} of {len(blanks)} with a blank")
    finally:
        await engine.close()


async def right_ones(path: str, budget: int, steps: int) -> list[StepRecord]:
    """Draw the steps whose nearest case is right."""
    records = await retention.run(TASK, retention.intents(path), budget, retention.FOLLOWED)
    records = [record for record in records if record.t >= SETTLED]
    records.sort(key=lambda record: (record.sequence, record.t))
    rng = random.Random(1)  # noqa: S311 - a repeatable choice, not a secret
    drawn = [r for _, group in groupby(records, lambda r: r.sequence) for r in rng.sample(list(group), steps)]
    return [record for record in drawn if nearest(TASK, record) == record.target]


def has_blank(record: StepRecord) -> bool:
    """Tell whether the memory's nearest case has a blank."""
    shown = TASK.show(Observation(record.sequence, record.t, record.observation), "line")
    return any(BLANK in item for item in Resemblance(items(record)).closest(shown, 1))


async def follows(engine: Engine, record: StepRecord, form: Form) -> bool:
    """Ask about a step in a form; tell whether the answer was right."""
    asker = Asker(TASK, Settings("line", "completion"), Prompts())
    observation = Observation(record.sequence, record.t, record.observation)
    shown = TASK.show(observation, "line")
    kept = items(record)
    memory, recalled = form(Memory((Section(TASK.memory[0].name, tuple(kept)),)), Resemblance(kept), shown)
    messages = (
        Message("system", asker.render("recurrence/system", memory=str(memory), lessons="")),
        Message("user", asker.render("recurrence/predict", observation=shown, recalled=recalled)),
    )
    request = asker.request("predict", messages, observation, asker.answer.format, asker.answer.max_tokens())
    completion = await engine.complete(request)
    return asker.answer.read(completion.text) == record.target


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
