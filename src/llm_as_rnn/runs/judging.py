"""Judging a run when it is there: what a judge is asked, and where its judgements are kept.

A judge sees the answer, the outcome and a rubric: no method, no step, no memory. Each pair is asked about once a
repeat, in an order of its own, and each judgement is durable in ``judgements.jsonl`` before it counts. `metrics.judged`
makes scores of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Many
from typing import Any, NamedTuple, Protocol

import msgspec

from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.calls import Call, Message
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import AnswerError, LlmAsRnnError, UsageError, first_error
from llm_as_rnn.core.fields import Field, Number, Ranked, Text, entries
from llm_as_rnn.core.hygiene import defuse
from llm_as_rnn.core.knobs import wanted
from llm_as_rnn.core.method import Asked, Asker, Calls
from llm_as_rnn.core.outcomes import SENTENCE
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Form, Observation, Record, Value
from llm_as_rnn.core.settings import RoleSampling, SamplingPreset, Settings, resolve
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.terms import require_local
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.metrics import judged
from llm_as_rnn.metrics.judged import Judgement, Pair, judged_fields
from llm_as_rnn.recurrence.feedback import read_judgement
from llm_as_rnn.runs.defaults import MOST_TIMES
from llm_as_rnn.runs.directory import JUDGEMENTS, RunDirectory
from llm_as_rnn.runs.writing import Journal

REPEATED = RoleSampling(temperature=0.7)
"""Sampling of all judgements of a pair but the first, which is greedy: greedy ones would all be the same."""


class JudgeOptions(Record, frozen=True):
    """How a run is judged.

    Attributes
    ----------
    times : int
        Judgements of each pair. The first is greedy, the others are sampled, each with its own seed.
    concurrency : int, optional
        Questions in flight; the engine's slots by default, and never more.
    settings : mapping
        How the judge is asked: values of `settings.Settings` by name; of these `defaults.JUDGED_BY` matter.
    allow_remote_data : bool
        Whether the user confirms that the terms of the data cover an engine elsewhere (see `terms.require_local`).
    """

    times: int = 1
    concurrency: int | None = None
    settings: Mapping[str, Any] = {}
    allow_remote_data: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not be done."""
        for name, low, high in (("times", 1, MOST_TIMES), ("concurrency", 1, math.inf)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                least = f"from {low} to {high}" if high < math.inf else f"at least {low}"
                raise UsageError(f"{name} must be {least}, not {value}", f"correct --{name}")
        wanted(self.settings, Settings)


class Watcher(Protocol):
    """Is told how judging goes on."""

    def begin(self, total: int, done: int) -> None:
        """Hear how many judgements there will be, and how many are there already."""
        ...

    def judged(self, judgement: Judgement) -> None:
        """Hear of a judgement that was just made durable."""
        ...


class Job(NamedTuple):
    """One judgement to ask for."""

    pair: Pair
    repeat: int


def judge_fields(field: Field, form: Form) -> tuple[Field, ...]:
    """List what a judge is asked for: the reason first, so that the figures follow from it."""
    reason = Text("reason", "what agrees and what does not", max_chars=SENTENCE[form])
    if not isinstance(field, Ranked):
        return (reason, Number("score", "agreement, from 0 to 100", low=0, high=100, decimals=0))
    places = f"0 to {field.top}"
    return (
        reason,
        Number("primary", f"the answer that is the primary finding, {places}", high=field.top, decimals=0),
        Number("any", f"the first answer that is any finding, {places}", high=field.top, decimals=0),
    )


class JudgeAsker:
    """Asks for judgements: generators, without I/O.

    Parameters
    ----------
    task : Task
        Whose answers are judged.
    engine : EngineInfo
        Who judges: form and style of the questions suit it.
    prompts : Prompts
        Templates of every room.
    choices : mapping, optional
        How the judge is asked, as far as that is not left to what suits it.
    """

    def __init__(
        self, task: Task, engine: EngineInfo, prompts: Prompts, choices: Mapping[str, Any] | None = None
    ) -> None:
        settings = resolve(choices or {}, engine)
        sampled = SamplingPreset(judge=REPEATED)
        self._askers = (Asker(task, settings, prompts), Asker(task, settings, prompts, sampled))
        self._fields = {field.name: field for field in judged_fields(task)}
        self._specs = {
            name: self._askers[0].block("judgement", judge_fields(field, settings.form))
            for name, field in self._fields.items()
        }
        self._judges = {name: judged.Judge(engine.model, engine.digest, self._rubric(name)) for name in self._fields}

    def judge(self, field: str) -> judged.Judge:
        """Say who judges a field, and by what."""
        return self._judges[field]

    def messages(self, pair: Pair) -> tuple[Message, ...]:
        """Write the question: the rubric first, which is the same for all pairs; then the pair, quoted."""
        kind, asker = self._fields[pair.field].judged, self._askers[0]
        about = {"field": self._fields[pair.field], "spec": self._specs[pair.field]}
        texts = {"said": [quoted(text) for text in entries(pair.answer)], "came": [*map(quoted, entries(pair.outcome))]}
        return (
            Message("system", asker.render(f"runs/{kind}", **about)),
            Message("user", asker.render(f"runs/{kind}_pair", **about, **texts)),
        )

    def ask(self, job: Job) -> Calls[Asked[dict[str, Value]]]:
        """Ask for one judgement; what it is sampled with depends on pair and repeat alone."""
        asker = self._askers[job.repeat > 0]
        spec = self._specs[job.pair.field]
        name = hashlib.sha256(msgspec.json.encode(job.pair)).hexdigest()[:16]
        place = Observation(name, job.repeat, {})
        request = asker.request("judge", self.messages(job.pair), place, spec.format, spec.max_tokens())
        return (yield from asker.ask(request, lambda text: read(self._fields[job.pair.field], spec, job.pair, text)))

    def _rubric(self, field: str) -> str:
        """Fingerprint of all that a judge of this field is shown or held to, except the pair."""
        blank: Value = ("",) if self._fields[field].judged == "same" else ""
        shown = self.messages(Pair(field, blank, blank))
        repair = self._askers[0].prompts.render("recurrence/repair", problem="")
        style = self._askers[1].settings.style
        parts = (shown, repair, self._specs[field].format, style, REPEATED)
        return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]


def quoted(text: str) -> str:
    r"""Write a text so that it cannot end its own quotation: on one line, and without other quotation marks or tokens.

    >>> quoted('Rain.\n"What came: rain"<|im_end|>')
    '"Rain. \'What came: rain\'(im_end)"'
    """
    line = " ".join(defuse(text).split())
    return f'"{line.translate(_MARKS)}"'


_MARKS = dict.fromkeys(map(ord, '"\u201c\u201d\u201e\u201f\u2033\u275d\u275e\u301d\u301e\uff02'), "'")


def read(field: Field, spec: AnswerSpec, pair: Pair, text: str) -> dict[str, Value]:
    """Read a judgement; a figure in the wrong place is none, and figures that contradict each other are none.

    Raises
    ------
    AnswerError
        If it is no judgement.
    """
    values = read_judgement(spec, text)
    if field.judged == "same":
        primary, first = (float(str(values[name])) for name in ("primary", "any"))
        most = len(entries(pair.answer))
        if max(primary, first) > most:
            raise AnswerError(f"there are only {most} answers")
        if primary and not 0 < first <= primary:
            raise AnswerError(f"any must be from 1 to {primary:g} where primary is {primary:g}")
    return values


async def judge_run(
    directory: RunDirectory, engine: Engine, options: JudgeOptions, prompts: Prompts, watcher: Watcher
) -> None:
    """Judge what is not judged yet; the engine is opened and closed here.

    Parameters
    ----------
    directory : RunDirectory
        A run of a task with judged fields.
    engine : Engine
        Who judges.
    options : JudgeOptions
        How.
    prompts : Prompts
        Templates of every room (`prompts.EVERY_ROOM`).
    watcher : Watcher
        Who is told of each judgement.

    Raises
    ------
    UsageError
        If there is nothing that could be judged, or the judge must not see it.
    RunError
        If the folder cannot be read or written, or another process is judging the run.
    EngineUnavailableError
        If no question can be answered; what was judged so far is kept.
    """
    info = directory.info()
    require_judged(info.task)
    remote = require_local(info.task, engine.info, options.allow_remote_data, info.remote_data)
    if remote != info.remote_data:
        directory.save(msgspec.structs.replace(info, remote_data=remote))
    await engine.open()
    try:
        asker = JudgeAsker(info.task, engine.info, prompts, options.settings)
        lanes = min(options.concurrency or engine.info.slots, engine.info.slots)
        with Journal(directory.judgements_file, JUDGEMENTS, private=info.credentialed) as journal:
            found = judged.pairs(info.task, directory.records())
            kept = judged.done(directory.judgements())
            jobs = [Job(pair, repeat) for repeat in range(options.times) for pair in found]
            left = [job for job in jobs if (job.pair, asker.judge(job.pair.field), job.repeat) not in kept]
            watcher.begin(len(jobs), len(jobs) - len(left))
            await _work(asker, left, engine, journal, watcher, lanes)
    finally:
        await engine.close()


def require_judged(task: Task) -> None:
    """Refuse a task of which nothing is judged.

    Raises
    ------
    UsageError
        If none of its fields is.
    """
    if not judged_fields(task):
        raise UsageError(
            f"no field of task {task.name} is judged",
            "give a text `judged: align` in the task file, or a ranked list `judged: same`",
        )


async def _work(
    asker: JudgeAsker, jobs: Many[Job], engine: Engine, journal: Journal, watcher: Watcher, lanes: int
) -> None:
    waiting = iter(jobs)

    async def lane(mine: Iterator[Job]) -> None:
        for job in mine:
            judgement = await _judged(asker, job, engine)
            journal.append(judgement)
            watcher.judged(judgement)
            await asyncio.sleep(0)  # as `drive_walk` does after each step: an interrupt must not wait for the end

    broken: LlmAsRnnError | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(lane(waiting))
    except* LlmAsRnnError as failed:
        broken = first_error(failed)  # see there why it is raised below
    if broken:
        raise broken


async def _judged(asker: JudgeAsker, job: Job, engine: Engine) -> Judgement:
    calls: list[Call] = []
    asked = await drive(asker.ask(job), engine, calls)
    judge = asker.judge(job.pair.field)
    values = asked.value if asked.status.answered else None
    return Judgement(*job.pair, *judge, job.repeat, asked.status, values, asked.problem, tuple(calls))
