"""A journal as a run on the weather task writes it, made up, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.calls import Call, Message, Role
from llm_as_rnn.core.records import Feedback, Memory, Section, Status, Update, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.runs.asked import Prompts

MODEL_METHODS = ("zero_shot", "full_history", "memprompt", "recurrent")
REFERENCES = ("repeat_last", "majority")
METHODS = (*MODEL_METHODS, *REFERENCES)

RUN: dict[str, Any] = {
    "spec": {
        "task": "weather",
        "model": "llamacpp:smollm2-135m",
        "methods": list(METHODS),
        "sequences": 4,
        "steps": 12,
        "settings": {
            "budget": 160,
            "seed": 0,
            "form": "line",
            "style": "completion",
            "layout": "chained",
            "feedback": "model",
            "rule": "rewrite",
            "sampling": "greedy",
        },
    },
    "status": "finished",
    "engine": {"model": "smollm2-135m-q8_0", "digest": "sha256:5a1395716f7913741cc51d98", "context_window": 8192},
    "versions": {"llm-as-rnn": "0.1.0", "python": "3.11.7"},
    "started": "2026-03-02T09:30:00+00:00",
    "seconds": 412.7,
}
"""What run.json holds."""

SKIES = ("drizzle", "fog", "rain", "snow", "sun")
SKILL = {"zero_shot": 0.35, "full_history": 0.5, "memprompt": 0.5, "repeat_last": 0.6, "majority": 0.55}
NOTHING = "Nothing is known yet."
START = (("Patterns", (NOTHING,)), ("Recent days", (NOTHING,)), ("Corrections", (NOTHING,)))


class Day(NamedTuple):
    """A day's record and the next day's outcome."""

    observation: dict[str, Any]
    target: dict[str, Value]


def weather_journal(
    methods: Sequence[str] = METHODS, sequences: int = 4, steps: int = 12, seed: int = 0
) -> list[StepRecord]:
    """Make up every step of a run: failures, kept and rolled-back updates and late outcomes included."""
    task = load_task("weather")
    days = {f"days-{index:02}": _days(_rng(seed, index), steps) for index in range(sequences)}
    return [
        step
        for method in methods
        for sequence, records in days.items()
        for step in _track(task, method, sequence, records, _rng(seed, method, sequence))
    ]


def trusting(records: Sequence[StepRecord]) -> list[StepRecord]:
    """Give the same steps as predictions that also say how far they can be trusted; every fifth is held back."""
    return [_trusting(record) if record.prediction else record for record in records]


def _trusting(record: StepRecord) -> StepRecord:
    rng = _rng(record.method, record.sequence, record.t)
    said, high = str((record.prediction or {})["sky"]), (record.prediction or {})["high"]
    assert isinstance(high, float)
    chance = round(rng.uniform(0.3, 0.9), 3)
    other = SKIES[(SKIES.index(said) + 1) % len(SKIES)]
    model = {said: round(rng.uniform(0.4, 1.0), 3)} if rng.random() < 0.8 else {other: 0.7, said: 0.2}
    width = rng.uniform(2, 8)
    return msgspec.structs.replace(
        record,
        distribution={"sky": {said: chance}},
        chance={"sky": chance},
        among={"sky": (said, other)},
        interval={"high": (round(high - width, 1), round(high + width, 1))},
        abstained=("sky",) if record.t % 5 == 4 else (),
        guessed=("sky",) if record.t % 5 == 2 else (),
        calls=tuple(msgspec.structs.replace(call, chances={"sky": model}) for call in record.calls),
    )


def late(records: Sequence[StepRecord], delay: int) -> list[StepRecord]:
    """Give the same steps as a run writes them whose outcomes come so late: predicted with earlier memories."""
    before = {(record.method, record.sequence, record.t): record.memory_before for record in records}
    found = []
    for record in records:
        memory = before[record.method, record.sequence, max(record.t - delay + 1, 0)]
        found.append(msgspec.structs.replace(record, memory_version=memory.version if memory else None))
    return found


def weather_prompts(records: Sequence[StepRecord]) -> Prompts:
    """Give what the model was asked at these steps."""
    shown = [message for record in records for message in _asked(record.observation, record.memory_before)]
    return Prompts({message.digest: message for message in shown})


def _asked(observation: dict[str, Any], memory: Memory | None) -> tuple[Message, ...]:
    known = f"Forecast the weather.\n{memory}" if memory else "Forecast the weather."
    return Message("system", known), Message("user", f"{observation['date']}, {observation['sky']} ->")


def _rng(*parts: object) -> random.Random:
    return random.Random("/".join(map(str, parts)))


def _days(rng: random.Random, steps: int) -> list[Day]:
    sky, high = "rain", 9.0
    days: list[Day] = []
    for t in range(steps):
        seen = {
            "date": f"2013-{1 + t // 28:02}-{1 + t % 28:02}",
            "sky": sky,
            "high": round(high, 1),
            "low": round(high - rng.uniform(3, 8), 1),
            "precipitation": round(rng.uniform(0, 12), 1) if sky == "rain" else 0.0,
            "wind": round(rng.uniform(1, 6), 1),
        }
        sky = sky if rng.random() < 0.6 else rng.choice(SKIES)
        high += rng.uniform(-3, 3.3)
        days.append(Day(seen, {"sky": sky, "high": round(high, 1)}))
    return days


def _track(task: Task, method: str, sequence: str, days: list[Day], rng: random.Random) -> list[StepRecord]:
    memory = Memory(tuple(Section(*section) for section in START), 0, 24) if method.startswith("recurrent") else None
    records: list[StepRecord] = []
    for t, day in enumerate(days):
        record = _step(task, method, sequence, t, day, memory, rng)
        memory = record.memory_after
        records.append(record)
    return records


def _step(
    task: Task, method: str, sequence: str, t: int, day: Day, memory: Memory | None, rng: random.Random
) -> StepRecord:
    draw = rng.random()
    reference = method in REFERENCES
    status = Status.INVALID if draw < 0.04 else Status.REPAIRED if draw < 0.08 else Status.OK
    status = Status.OK if reference else status
    prediction = _prediction(method, t, day, rng) if status.answered else None
    raw = f" {prediction['sky']}, {prediction['high']}" if prediction else " It will be nice tomorrow, I think"
    after, update = _update(memory, t, day, rng)
    target = None if t % 11 == 10 else day.target
    calls = () if reference else _calls(raw, status, after, rng)
    return StepRecord(
        method=method,
        sequence=sequence,
        t=t,
        observation=day.observation,
        target=target,
        prediction=prediction,
        status=status,
        raw=raw,
        memory_version=memory.version if memory else None,
        memory_before=memory,
        memory_after=after,
        memory_tokens=after.tokens if after else None,
        update=update,
        feedback=_feedback(prediction, target) if memory else None,
        calls=calls,
        scores=step_scores(task, prediction, target),
        problem="" if status is Status.OK else "sky must be one of drizzle, fog, rain, snow, sun, not 'It will be'",
        notes=("2 oldest pairs dropped",) if method == "full_history" and t > 8 else (),
        recalled=_recalled(prediction, t) if memory else (),
        asked=(tuple(message.digest for message in _asked(day.observation, memory)),) * len(calls),
    )


def _recalled(prediction: dict[str, Value] | None, t: int) -> tuple[str, ...]:
    """Show a case once more that is followed, in part or not at all, and before it a note that is none."""
    said = prediction or {"sky": "sun", "high": 1.0}
    high = said["high"] if t % 2 else 99.0
    return ("watch the wind", f"a day -> {said['sky'] if t % 3 else 'snow'}, {high}")[: t + 1]


def _prediction(method: str, t: int, day: Day, rng: random.Random) -> dict[str, Value]:
    skill = SKILL.get(method, 0.4 + min(t, 15) * 0.02)
    sky = day.target["sky"] if rng.random() < skill else rng.choice(SKIES)
    high = day.target["high"]
    assert isinstance(high, float)
    return {"sky": sky, "high": round(high + rng.gauss(0.8, 4 * (1 - skill)), 1)}


def _feedback(prediction: dict[str, Value] | None, target: dict[str, Value] | None) -> Feedback | None:
    if target is None:
        return None
    answer = prediction or {}
    lines = [f"{name}: {value}; the answer was {answer.get(name, 'not usable')}" for name, value in target.items()]
    lines += ["missed: the front from the west", "why: the wind had turned", "suggestion: watch the wind"]
    return Feedback("model", remarks=tuple(lines), fields={"correct": "no"})


def _update(memory: Memory | None, t: int, day: Day, rng: random.Random) -> tuple[Memory | None, Update]:
    if memory is None:
        return None, Update("skipped", "this method does not learn")
    draw = rng.random()
    if draw < 0.1:
        return memory, Update("kept", "over_budget: not even one sentence of it fits")
    if draw < 0.15:
        return memory, Update("rolled_back", "the new memory lost every pattern")
    sky = str(day.target["sky"])
    sections = {section.name: list(section.items) for section in memory.sections}
    patterns = [item for item in sections["Patterns"] if not item.startswith(f"after {sky}") and item != NOTHING]
    patterns.append(f"after {sky} often comes {rng.choice(SKIES)}, {rng.randint(1, 5)} of {rng.randint(5, 9)} times")
    recent = [*sections["Recent days"], f"{day.observation['date']}: {sky}, high {day.target['high']}"][-4:]
    fixed = [f"highs were forecast {rng.uniform(0.5, 3):.1f} too low on average; add that when the sky is {sky}"]
    after = {"Patterns": patterns, "Recent days": [i for i in recent if i != NOTHING], "Corrections": fixed}
    tokens = sum(len(item) // 4 + 3 for items in after.values() for item in items)
    made = tuple(Section(name, tuple(items)) for name, items in after.items())
    return Memory(made, memory.version + 1, tokens), Update("accepted", "compressed" if draw > 0.9 else "as written")


def _calls(raw: str, status: Status, memory: Memory | None, rng: random.Random) -> tuple[Call, ...]:
    texts: list[tuple[Role, str]] = [("predict", raw)]
    if status is not Status.OK:
        texts.insert(0, ("predict", " It will be nice tomorrow, I think"))
    if memory:
        lines = [f"## {section.name}\n" + "\n".join(f"- {i}" for i in section.items) for section in memory.sections]
        texts.append(("reflect", "correct: no\nmissed: the front from the west\nsuggestion: watch the wind"))
        texts.append(("update", "\n".join(lines)))
    return tuple(
        Call(text, "stop", rng.randint(150, 600), rng.randint(4, 60), rng.randint(0, 150), rng.random(), 0, role=role)
        for role, text in texts
    )
