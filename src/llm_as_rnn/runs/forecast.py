"""What a run would take, before it is paid for: calls, tokens, money and time of each method.

The run is walked through with answers that are made up, so that every prompt is the one that a run would send but for
what the model would have written in it. A few steps are asked of the model itself, if that is wanted: they tell how
its tokens compare with the estimate, how long its answers are, and how long they take.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from statistics import fmean
from typing import NamedTuple

import msgspec

from llm_as_rnn.catalogue import advised, advisers, asks_model, build
from llm_as_rnn.core.alignment import beginning_of
from llm_as_rnn.core.calls import Call, Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.datasets.terms import require_local
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.filling import fill
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.runs.defaults import MEASURED
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Material, Options, gather, make_cast, make_spec
from llm_as_rnn.runs.journal import read_journal
from llm_as_rnn.runs.retry import before_failures, ties
from llm_as_rnn.runs.spec import RunSpec
from llm_as_rnn.runs.walk import walk
from llm_as_rnn.trust.advised import Recorded

WALKED = 3
"""Sequences that are walked through; the others are taken to be like them."""

_Said = dict[tuple[str, str, int], StepRecord]
"""What was said so far, by method, sequence and timestep."""

NOTE = "it often comes so again"
"""Stands for what a model writes of its own."""


class Forecast(NamedTuple):
    """What a method would take.

    Attributes
    ----------
    method : str
        Which.
    steps : int
        In all sequences, without those that were done before.
    calls, prompt, cached, completion : float
        Calls, and tokens that are read, that are read from a cache, and that are written.
    seconds : float or None
        Time on the engine, one call after the other; None where nothing was measured.
    """

    method: str
    steps: int
    calls: float
    prompt: float
    cached: float
    completion: float
    seconds: float | None

    def cost(self, price: Price) -> float:
        """Give what it would cost."""
        return price.of(self.prompt, self.cached, self.completion)


class Outlook(NamedTuple):
    """What a run would take.

    Attributes
    ----------
    spec : RunSpec
        The run.
    methods : list of Forecast
        Of those that ask the model.
    measured : int
        Calls to the model that were made to find out.
    slots : int
        Calls that are answered at the same time without taking each other's time: 1 on this machine.
    kept : int
        Steps of methods that ask the model which are in the run's folder already; they are in no forecast.
    """

    spec: RunSpec
    methods: list[Forecast]
    measured: int
    slots: int
    kept: int = 0


async def forecast(
    options: Options,
    engine: Engine,
    measure: int = MEASURED,
    directory: RunDirectory | None = None,
    *,
    retry_failed: bool = False,
) -> Outlook:
    """Say what a run would take, or what is left of one.

    Parameters
    ----------
    options : Options
        The run.
    engine : Engine
        Who would answer; opened, asked and closed here if anything is to be measured.
    measure : int
        Steps of one sequence that are asked of each method; 0 for no call at all.
    directory : RunDirectory, optional
        The run that would be gone on with; where it holds none, one would begin.
    retry_failed : bool
        As for `execute`.

    Raises
    ------
    LlmAsRnnError
        If the run could not be begun, or gone on with so.
    """
    found = gather(options)
    before = directory.info() if directory and directory.holds_run else None
    require_local(found.task, engine.info, options.allow_remote_data, before.remote_data if before else ())
    calls: dict[str, list[Call]] = {}
    asked: _Said = {}
    if measure:
        await engine.open()
    try:
        spec = _spec(options, found, engine.info, before, opened=bool(measure))
        kept = _kept(directory, found, spec, retry_failed=retry_failed) if directory and before else Counter()
        sequences = found.cut(spec.selection)
        whole = sum(len(one.steps) for one in sequences)
        # Advice takes what others of the run say, and asks nobody; alone it asks what its advisers ask.
        asking = [name for name in spec.methods if asks_model(name) and not _is_told(name, found.task, spec)]
        names = [name for name in asking if kept[name] < whole]
        in_turn = _in_turn(names, asking, found.task, spec)
        if measure:
            first = msgspec.structs.replace(sequences[0], steps=sequences[0].steps[:measure])
            for name in in_turn:
                calls[name] = await _calls(name, [first], found.task, spec, found.prompts, engine, asked)
    finally:
        if measure:
            await engine.close()
    made: dict[str, Forecast] = {}
    imagined: _Said = {}
    few = sequences[:WALKED]
    walked = sum(len(one.steps) for one in few)
    for name in in_turn:
        guessed = await _calls(name, few, found.task, spec, found.prompts, _Imagined(engine.info).engine, imagined)
        beginning = guessed[: len(calls.get(name, ()))]
        made[name] = _forecast(name, whole - kept[name], guessed, walked, calls.get(name, []), beginning)
    slots = engine.info.slots if engine.info.host else 1
    measured = sum(map(len, calls.values()))
    return Outlook(spec, [made[name] for name in names], measured, slots, sum(kept[name] for name in asking))


def _spec(options: Options, found: Material, info: EngineInfo, before: RunInfo | None, *, opened: bool) -> RunSpec:
    """Make the run's spec, and refuse to go on with one that was begun otherwise.

    What an engine that was not opened would say of itself now, it said when the run was begun.
    """
    known = info if opened or before is None else msgspec.structs.replace(before.engine, model=info.model)
    spec = make_spec(options, found.task, found.prompts, known, found.table, found.digest)
    if before is not None:
        spec = spec.as_begun(before.spec, options.named)
        spec.require_same(before.spec)
        spec.require_addable(before.spec, found.task)
    return spec


def _kept(directory: RunDirectory, found: Material, spec: RunSpec, *, retry_failed: bool) -> Counter[str]:
    """Count the steps of each method that a run that goes on would not do again."""
    steps = read_journal(directory.journal)
    if retry_failed:
        steps = before_failures(steps, *ties(make_cast(found.task, spec, found.prompts), spec.settings))
    return Counter(step.method for step in steps)


def _in_turn(names: Many[str], asking: Many[str], task: Task, spec: RunSpec) -> list[str]:
    """List who has to be walked through for some methods: they, and whose advice they take, who come before them."""
    heard = {adviser for name in names for adviser in _asked(name, task, spec)}
    needed = [name for name in asking if name in heard.union(names)]
    return sorted(needed, key=lambda name: bool(advisers(name, task, spec.settings)))


def _is_told(name: str, task: Task, spec: RunSpec) -> bool:
    asked = _asked(name, task, spec)
    return bool(asked) and set(asked) <= set(spec.methods)


def _asked(name: str, task: Task, spec: RunSpec) -> list[str]:
    """Name those who ask the model for the advice that a method takes."""
    return [adviser for adviser in advisers(name, task, spec.settings) if asks_model(adviser)]


async def _calls(
    name: str, sequences: Many[Sequence], task: Task, spec: RunSpec, prompts: Prompts, engine: Engine, said: _Said
) -> list[Call]:
    """Walk through sequences, and give the calls that were made; who gives advice in the run is not asked again."""
    heard = {one: Recorded(one, said) for one in _asked(name, task, spec) if one in spec.methods}
    method = advised(name, task, spec.settings, prompts, heard) if heard else build(name, task, spec.settings, prompts)
    made: list[Call] = []

    def keep(record: StepRecord) -> None:
        said[record.method, record.sequence, record.t] = record
        made.extend(record.calls)

    for sequence in sequences:
        await drive_walk(walk(method, sequence, task, delay=spec.delay), engine, keep)
    return made


class _Imagined:
    """Answers anything with something of the right form, and counts tokens as far as that can be estimated."""

    def __init__(self, info: EngineInfo) -> None:
        self.engine = ScriptedEngine(self._answer, msgspec.structs.replace(info, host=""))
        self._before: dict[str, str] = {}

    def _answer(self, request: Request) -> Completion:
        text = fill(request.answer, NOTE, 2)
        prompt = request.prompt
        tokens = max(estimate_tokens(prompt), 1)
        known = max((len(beginning_of([prompt, one])) for one in self._before.values()), default=0)
        self._before[request.role] = prompt + text
        cached = int(tokens * known / max(len(prompt), 1))
        return Completion(
            text, prompt_tokens=tokens, completion_tokens=max(estimate_tokens(text), 1), cached_tokens=cached
        )


def _forecast(
    name: str,
    steps: int,
    guessed: Many[Call],
    walked: int,
    measured: Many[Call],
    beginning: Many[Call],
) -> Forecast:
    """Put together what was imagined, of so many steps, and what was measured."""
    share = steps / walked
    longer = _ratio(sum(call.prompt_tokens for call in measured), sum(call.prompt_tokens for call in beginning))
    written = _by_role(measured)
    lasting = fmean(call.seconds for call in measured) if measured else None
    return Forecast(
        name,
        steps,
        share * len(guessed),
        share * longer * sum(call.prompt_tokens for call in guessed),
        share * longer * sum(call.cached_tokens or 0 for call in guessed),
        share * sum(written.get(call.role, call.completion_tokens) for call in guessed),
        None if lasting is None else share * len(guessed) * lasting,
    )


def _ratio(real: float, guessed: float) -> float:
    return real / guessed if real and guessed else 1.0


def _by_role(calls: Iterable[Call]) -> Mapping[str, float]:
    lengths: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        lengths[call.role].append(call.completion_tokens)
    return {role: fmean(found) for role, found in lengths.items()}
