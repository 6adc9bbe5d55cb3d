"""Our own time a step where notes are cases: python benchmarks/cases.py [--steps N] [--budgets B,B] [TABLE.jsonl].

The rules append, cases and hybrid on a stand-in for a model, with memories that are full from the start: of a made-up
stream of phrases, of Seattle's weather, of the probe of marks, of a table of intents (the task `intents`)
where one is named; then of notes as long as a book, and of short ones where what is observed is as long as a book.
Tokens are words and line ends; answering and counting are not in the figures. Printed are the cases that the memory
held, the mean milliseconds of a prediction and of what is learned from its outcome, and a digest of everything asked
and remembered: where it is the same, so is what was done.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from llm_as_rnn.cases import recall
from llm_as_rnn.cases.case import case
from llm_as_rnn.catalogue import build
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.fields import ARROW, Label
from llm_as_rnn.core.kept import Kept
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Memory, Observation, Section, SequenceInfo
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import MemorySection, Task, load_task
from llm_as_rnn.datasets.base import Selection, Step
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.engines.scripted import count_words
from llm_as_rnn.recurrence.cell import Recurrent, RecurrentState
from llm_as_rnn.recurrence.memory import tidy_items

T = TypeVar("T")

RULES = ("append", "cases", "hybrid")
BUDGETS = (300, 1_000, 3_000, 10_000)
FRAMES = (
    "what is another word for < {} > that I could use here ?",
    "give me a word that says the opposite of < {} > please",
    "tell me what the word < {} > means in plain language",
    "how would I use < {} > in a sentence of my own ?",
    "which word sounds the same as < {} > but is written otherwise ?",
    "I have never heard of < {} > , what does it stand for ?",
)
OPTIONS = ("synonym", "antonym", "definition", "sentence", "homophone")
LONG = 300_000


class Stream(NamedTuple):
    """A task, and the steps of one sequence."""

    task: Task
    steps: list[Step]


class Times(NamedTuple):
    """What was measured: cases in the memory, milliseconds of the two halves of a step, and a digest."""

    held: int
    predict: float
    learn: float
    digest: str


def phrases(steps: int, chars: int = 0, since: int = 0) -> Stream:
    """Make up phrases about words that nobody knows; with ``chars``, as long as that from a step on."""
    chance = random.Random(0)  # noqa: S311 - a repeatable choice, not a secret
    task = Task(
        name="phrases",
        title="Phrases",
        instructions="Say what a user wants to know of a word.",
        observation="{{ question }}",
        line="{{ question }}",
        answer=(Label("intent", options=OPTIONS),),
        memory=(MemorySection("Phrases", "which phrases ask for what"),),
    )
    made = []
    for t in range(steps):
        kind = chance.randrange(len(FRAMES))
        words = [
            "".join(chance.choices("bdfgklmnprstaeiou", k=6)) for _ in range(max(chars // 7, 1) if t >= since else 1)
        ]
        question = FRAMES[kind].format(" ".join(words))
        made.append(Step(Observation("made-up", t, {"question": question}), {"intent": OPTIONS[kind % len(OPTIONS)]}))
    return Stream(task, made)


def shipped(name: str, steps: int) -> Stream:
    """Give the steps of one sequence of a shipped dataset."""
    return Stream(load_task(name), list(DATASETS[name].load(Selection(1, steps))[0].steps))


def table(path: Path, steps: int) -> Stream:
    """Give the steps of all sequences of a table of intents, one after the other."""
    task = load_task("intents")
    read = read_table(path, task)
    cut = read.cut(Selection(read.count("development"), read.longest("development")))
    every = [step for sequence in cut for step in sequence.steps]
    numbered = (
        msgspec.structs.replace(step, observation=msgspec.structs.replace(step.observation, sequence="all", t=t))
        for t, step in enumerate(every)
    )
    return Stream(task, list(numbered)[:steps])


def stand_in(task: Task) -> Callable[[Request], str]:
    """Give a model that follows the case it is shown last, and knows no way to consolidate."""
    shown = re.compile(f"{re.escape(ARROW)}(.+)$", re.MULTILINE)
    spec = task.spec("line")

    def answer(request: Request) -> str:
        if request.role != "predict":
            return "\n".join(f"## {section.name}\n- nothing to say" for section in task.memory)
        found = shown.findall(request.prompt)
        first = {field.name: field.options[0] if field.options else 9.0 for field in task.answer}
        return str(found[-1]) if found else spec.show(first)

    return answer


class Clock:
    """Runs computations by hand, and counts the time that is theirs."""

    def __init__(self, answer: Callable[[Request], str]) -> None:
        self.answer = answer
        self.asked = hashlib.sha256()
        self.seconds = 0.0

    def run(self, calls: Callable[[], Calls[T]]) -> T:
        """Run one to its end."""
        completion: Completion | None = None
        generator: Calls[T] | None = None
        while True:
            begun = time.process_time()
            try:
                if generator is None:
                    generator = calls()
                request = next(generator) if completion is None else generator.send(completion)
            except StopIteration as end:
                self.seconds += time.process_time() - begun
                value: T = end.value
                return value
            self.seconds += time.process_time() - begun
            completion = self._completion(request)

    def _completion(self, request: Request) -> Completion:
        self.asked.update(request.prompt.encode())
        if request.role == "count":
            return Completion("", prompt_tokens=count_words(request.messages[0].content))
        return Completion(self.answer(request))


def full(task: Task, steps: Iterator[Step], budget: int, state: RecurrentState) -> RecurrentState:
    """Give a state whose memory is full of cases of the first steps."""
    first, *rest = state.memory.sections
    items: tuple[str, ...] = ()
    for step in steps:
        more = tidy_items([*items, case(task, step.observation, step.target or {}, SequenceInfo("s"))])
        if count_words(str(Memory((Section(first.name, more), *rest)))) > budget:
            break
        items = more
        state = msgspec.structs.replace(state, now=step.observation.t)
    return msgspec.structs.replace(state, memory=Memory((Section(first.name, items), *rest)))


def forget() -> None:
    """Drop what earlier measurements left to be found again."""
    for known in gc.get_objects():
        if isinstance(known, Kept):
            known.clear()
    recall._memories.clear()  # noqa: SLF001 - a benchmark begins with nothing known


def measure(stream: Stream, rule: str, budget: int, steps: int) -> Times:
    """Run some steps on a memory that is full."""
    settings = Settings("line", "completion", budget=budget, feedback="auto", recall=4)
    method = build(f"recurrent:{rule}", stream.task, settings, Prompts())
    assert isinstance(method, Recurrent)
    forget()
    rest = iter(stream.steps)
    state = full(stream.task, rest, budget, method.start(SequenceInfo("s")))
    held = sum(len(section.items) for section in state.memory.sections)
    predicting, learning = Clock(stand_in(stream.task)), Clock(stand_in(stream.task))
    done = 0
    for step in list(rest)[:steps]:
        prediction = predicting.run(lambda s=state, x=step.observation: method.predict(s, x))  # type: ignore[misc]
        learned = learning.run(
            lambda s=state, x=step.observation, p=prediction, y=step.target: method.learn(s, x, p, y)  # type: ignore[misc]
        )
        state = learned.state
        done += 1
    predicting.asked.update(learning.asked.digest())
    predicting.asked.update(msgspec.json.encode(state))
    each = 1000 / max(done, 1)
    return Times(held, predicting.seconds * each, learning.seconds * each, predicting.asked.hexdigest()[:10])


def main(arguments: list[str]) -> None:
    """Print a line for each stream, rule and budget."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--only", default="")
    parser.add_argument("table", type=Path, nargs="?")
    given = parser.parse_args(arguments)
    budgets = [int(budget) for budget in given.budgets.split(",")]
    streams: dict[str, Callable[[], tuple[Stream, list[int]]]] = {
        "phrases": lambda: (phrases(1_200), budgets),
        "weather": lambda: (shipped("weather", 700), budgets),
        "probe-recall": lambda: (shipped("probe-recall", 2_000), budgets),
        "table": lambda: (table(given.table, 1_200), budgets),
        "books": lambda: (phrases(6, LONG), [3 * LONG // 7 + 50]),
        "long steps": lambda: (phrases(304, LONG, 160), [3_000]),
    }
    print(f"{'stream':14} {'rule':8} {'budget':>7} {'cases':>5} {'predict ms':>11} {'learn ms':>10}  digest")
    for name, make in streams.items():
        if (name == "table" and given.table is None) or (given.only and name not in given.only.split(",")):
            continue
        stream, sizes = make()
        for rule in given.rules.split(","):
            for budget in sizes:
                found = measure(stream, rule, budget, given.steps)
                print(
                    f"{name:14} {rule:8} {budget:7} {found.held:5} {found.predict:11.1f} {found.learn:10.1f}"
                    f"  {found.digest}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
