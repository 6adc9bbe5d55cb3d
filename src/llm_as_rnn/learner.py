"""The library: a learner for one stream, with the verbs of River (https://riverml.xyz)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from llm_as_rnn.drive import SyncDriver, drive
from llm_as_rnn.engines.base import Engine, EngineInfo
from llm_as_rnn.engines.resolve import DEFAULT_MODEL, resolve
from llm_as_rnn.errors import AnswerError, UsageError
from llm_as_rnn.files import write_atomically
from llm_as_rnn.method import AUTO_FEEDBACK, PRESETS, Calls, Method, Settings, Updating, suit_layout
from llm_as_rnn.methods import build
from llm_as_rnn.online import Policy, Stream, Told, Version, Waiting, ask, begin, restore, revive, tell
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import Form, Layout, Memory, Record, SequenceInfo, Style, Value
from llm_as_rnn.recurrence.budget import require_room
from llm_as_rnn.runs.execute import suit_budget, suit_echo, suit_style, with_thinking
from llm_as_rnn.runs.remote import is_credentialed, require_local
from llm_as_rnn.task import Task, load_task


class Choices(Record, frozen=True):
    """How a learner asks its model; what is None is chosen to suit the model.

    Attributes
    ----------
    budget : int, optional
        The most tokens of a memory.
    form, style, layout, feedback, sampling, seed
        As `Settings` and ``llm-as-rnn run`` have them.
    policy : str
        What to do with an outcome that comes after later ones (see `online.Policy`).
    updating : Updating
        How the memory is updated.
    thinking : int
        Tokens that a reasoning model may take to think, at every call.
    """

    budget: int | None = None
    form: Form | None = None
    style: Style | None = None
    layout: Layout | None = None
    feedback: str = AUTO_FEEDBACK
    sampling: str = "greedy"
    seed: int = 0
    policy: Policy = "apply"
    updating: Updating = Updating(rule="auto")
    thinking: int = 0

    def settings(self, engine: EngineInfo) -> Settings:
        """Fill in what was left open.

        Raises
        ------
        UsageError
            If the engine's context window has no room for the budget, or there is no such sampling preset.
        """
        if self.thinking < 0:
            raise UsageError(f"thinking must be at least 0 tokens, not {self.thinking}", "correct it")
        engine = with_thinking(engine, self.thinking)
        budget = suit_budget(self.budget, engine)
        if budget < 1:
            raise UsageError(f"a budget must be at least 1 token, not {budget}", "correct it")
        if self.sampling not in PRESETS:
            raise UsageError(f"there is no sampling preset {self.sampling!r}", f"choose from {', '.join(PRESETS)}")
        return Settings(
            form=self.form or engine.form,
            style=suit_style(self.style, engine),
            layout=suit_layout(self.layout, self.form or engine.form),
            budget=budget,
            window=engine.context_window,
            feedback=self.feedback,
            updating=suit_echo(self.updating, engine),
            sampling=PRESETS[self.sampling],
            seed=self.seed,
            thinking=self.thinking,
        )


CHOICES = [name for name in (*Choices.__struct_fields__, *Updating.__struct_fields__) if name != "updating"]
"""What can be chosen, by name."""


def read_choices(named: Mapping[str, Any]) -> Choices:
    """Sort named values into choices; those of `Updating` stand beside the others.

    Raises
    ------
    msgspec.ValidationError
        If there is no such choice, or its value does not fit.

    Examples
    --------
    >>> read_choices({"budget": 256, "rule": "delta"}).updating.rule
    'delta'
    """
    inner = {name: value for name, value in named.items() if name in Updating.__struct_fields__}
    outer = {name: value for name, value in named.items() if name not in inner}
    return msgspec.convert({"updating": {"rule": "auto", **inner}, **outer}, Choices)


class Saved(Record, frozen=True):
    """A learner's file.

    Attributes
    ----------
    task : Task
        What it predicts.
    method, model : str
        Who predicts, and with which model.
    choices : Choices
        How the model is asked.
    sequence : SequenceInfo
        The stream's name, and what stays the same in it.
    stream : msgspec.Raw
        The `Stream`, as JSON.
    format : int
        Of this file.
    remote_data : tuple of str
        Hosts outside this machine that were confirmed to get credentialed data (see `runs.remote`).
    """

    task: Task
    method: str
    model: str
    choices: Choices
    sequence: SequenceInfo
    stream: msgspec.Raw
    format: int = 1
    remote_data: tuple[str, ...] = ()


def read_saved(path: Path) -> Saved:
    """Read a learner's file.

    Raises
    ------
    UsageError
        If it cannot be read, or is not one.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Saved)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no saved learner: {error}", "name a file that a learner saved") from error


class _Core:
    """What the learners share: everything but the waiting.

    ``stream`` is one to go on with, as JSON; `load` gives it.
    """

    def __init__(  # noqa: PLR0913 - documented in Learner
        self,
        task: Task | str,
        *,
        method: str = "recurrent",
        model: str = DEFAULT_MODEL,
        engine: Engine | None = None,
        base_url: str | None = None,
        sequence: str = "stream",
        about: Mapping[str, Any] | None = None,
        prompts: Path | None = None,
        stream: bytes | None = None,
        allow_remote_data: bool = False,
        remote_data: tuple[str, ...] = (),
        **choices: Any,
    ) -> None:
        self.task = load_task(task) if isinstance(task, str) else task
        self._method_name = method
        self._engine = engine or resolve(model, base_url=base_url)
        self._model = engine.info.model if engine else model
        self._remote_data = require_local(self.task, self._engine.info, allow_remote_data, remote_data)
        try:
            self.choices = read_choices(choices)
        except msgspec.ValidationError as error:
            raise UsageError(str(error), f"choose from {', '.join(CHOICES)}") from error
        if self.choices.updating.shared:
            raise UsageError("a learner has one sequence: there is none to share lessons with", "leave shared out")
        self.sequence = SequenceInfo(sequence, dict(about or {}))
        self._prompts = Prompts.with_folder(prompts)
        self._saved = stream

    def _begin(self) -> Calls[None]:
        """Build the method; only an open engine says what suits it."""
        settings = self.choices.settings(self._engine.info)
        yield from require_room(self.task, settings.budget)
        self._settings = settings
        self.method: Method = build(self._method_name, self.task, settings, self._prompts)
        self.stream: Stream = (
            revive(self.method, self._saved) if self._saved is not None else begin(self.method, self.sequence)
        )

    @property
    def memory(self) -> Memory | None:
        """h_t; None for methods that keep none within a budget."""
        return self.method.memory(self.stream.state)

    @property
    def versions(self) -> tuple[Version, ...]:
        """The latest memories that the stream went through, oldest first; none for methods that keep no memory."""
        return self.stream.versions

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """Predictions whose outcome has not come, oldest first."""
        return self.stream.waiting

    def change_task(self, task: Task) -> None:
        """Go on with another version of the task: with one more option to choose from, say.

        Raises
        ------
        UsageError
            If its memory has other sections: what was learned would have no place.
        """
        if [section.name for section in task.memory] != [section.name for section in self.task.memory]:
            raise UsageError("the new task's memory has other sections", "begin a new learner")
        self.task = task
        self.method = build(self._method_name, task, self._settings, self._prompts)

    def dump(self) -> bytes:
        """Give the stream as JSON, for `Learner`'s parameter ``stream``."""
        return msgspec.json.encode(self.stream)

    def save(self, path: str | Path) -> None:
        """Write all that is needed to go on later into a file, whole or not at all.

        With credentialed data the file is for its owner only.

        Raises
        ------
        UsageError
            If it cannot be written.
        """
        saved = Saved(
            self.task,
            self._method_name,
            self._model,
            self.choices,
            self.sequence,
            msgspec.Raw(self.dump()),
            remote_data=self._remote_data,
        )
        try:
            write_atomically(Path(path), msgspec.json.encode(saved), private=is_credentialed(self.task))
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", "choose another file") from error

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Self:
        """Go on with a saved learner; options replace what it was made with (another ``model``, say).

        Raises
        ------
        UsageError
            If the file is not a saved learner, or does not fit.
        """
        saved = read_saved(Path(path))
        kept = {
            "method": saved.method,
            "model": saved.model,
            "sequence": saved.sequence.id,
            "about": saved.sequence.about,
            "remote_data": saved.remote_data,
            **named_choices(saved.choices),
            **options,
        }
        return cls(saved.task, stream=bytes(saved.stream), **kept)

    def _restore(self, version: int) -> Memory:
        self.stream = restore(self.method, self.stream, version, self._settings.budget)
        # The history ends with what was restored.
        return self.stream.versions[-1].memory

    def _ask(self, x: Mapping[str, Any], name: str | None) -> Calls[Waiting]:
        name = str(self.stream.t) if name is None else name
        self.stream, waiting = yield from ask(self.method, self.stream, self.sequence.id, x, name)
        return waiting

    def _tell(self, name: str, y: Mapping[str, Any]) -> Calls[Told]:
        told = yield from tell(self.method, self.stream, name, outcome(self.task, y), self.choices.policy)
        self.stream = told.stream
        return told


def named_choices(choices: Choices) -> dict[str, Any]:
    """Give choices by name, those of `Updating` beside the others, as `Learner` takes them."""
    named: dict[str, Any] = msgspec.to_builtins(choices)
    return {**named.pop("updating"), **named}


def outcome(task: Task, y: Mapping[str, Any]) -> dict[str, Value]:
    """Check and convert an outcome.

    Unlike an answer, a number may lie outside its plausible range: what happened, happened.

    Raises
    ------
    UsageError
        If a field is not one of the task's answer, or its value does not fit.
    """
    fields = {field.name: field for field in task.answer}
    unknown = [name for name in y if name not in fields]
    if unknown or not y:
        what = f"there is no answer field {unknown[0]!r}" if unknown else "the outcome is empty"
        raise UsageError(f"{what} in task {task.name}", f"its fields are {', '.join(fields)}")
    try:
        return {name: fields[name].read_outcome(value) for name, value in y.items()}
    except AnswerError as error:
        raise UsageError(f"the outcome cannot be learned: {error.message}", "correct it and tell it again") from error


class Learner(_Core):
    """Predicts a stream step by step, and learns outcomes in any order and as late as they come.

    Parameters
    ----------
    task : Task or str
        What to predict: a shipped task's name, a task file, or a `Task`.
    method : str
        ``recurrent``, ``zero_shot``, ``full_history``, ``memprompt``, or a reference.
    model : str
        The model string, as on the command line.
    engine : Engine, optional
        An engine of your own in its place.
    base_url : str, optional
        Of an OpenAI-compatible server.
    sequence : str
        A name for the stream.
    about : mapping, optional
        What stays the same in it, for the task's templates.
    prompts : Path, optional
        A folder of templates that replace shipped ones.
    allow_remote_data : bool
        Whether the terms of credentialed data cover an engine that is not on this machine; else it is refused.
    **choices
        The fields of `Choices` and of `Updating`: ``budget=512``, ``policy="replay"``, ``rule="delta"``, ...

    Raises
    ------
    UsageError
        If any of it does not fit together.
    EngineUnavailableError
        If the model cannot be asked.

    Examples
    --------
    >>> from llm_as_rnn.engines.scripted import ScriptedEngine
    >>> today = {"date": "May 1", "sky": "rain", "high": 11, "low": 7, "precipitation": 3, "wind": 2}
    >>> with Learner("weather", method="repeat_last", engine=ScriptedEngine(lambda request: "")) as learner:
    ...     p = learner.predict_one(today)
    ...     p.id, p.values
    ...     learner.learn_one(p.id, {"sky": "sun", "high": 13.5}).fate
    ('0', {'sky': 'rain', 'high': 11})
    'learned'
    """

    def __init__(self, task: Task | str, **options: Any) -> None:
        super().__init__(task, **options)
        self._lock = threading.Lock()
        self._driver = SyncDriver(self._engine)
        self._driver.__enter__()
        self._closed = False
        try:
            self._driver.run(self._begin())
        except BaseException:
            self.close()
            raise

    def predict_one(self, x: Mapping[str, Any], id: str | None = None) -> Waiting:  # noqa: A002 - the caller's word
        """Predict the outcome of an observation.

        Parameters
        ----------
        x : mapping
            The observation's fields.
        id : str, optional
            The name under which its outcome will be told; else the step's number.

        Returns
        -------
        Waiting
            With ``id``, ``values`` (None where there was no usable answer) and ``prediction``.
        """
        with self._lock:
            return self._driver.run(self._ask(x, id))

    def learn_one(self, id: str, y: Mapping[str, Any]) -> Told:  # noqa: A002 - the caller's word
        """Learn the outcome of the prediction with an id; a second time under the same id changes nothing."""
        with self._lock:
            return self._driver.run(self._tell(id, y))

    def restore(self, version: int) -> Memory:
        """Put an earlier version of the memory back, as a new version; predictions go on waiting.

        Parameters
        ----------
        version : int
            A number in ``versions``.

        Returns
        -------
        Memory
            The present memory: the old text under a new number.

        Raises
        ------
        UsageError
            If there is no such version (the hint says which there are), it does not fit the budget, or the method keeps
            no memory.
        """
        with self._lock:
            return self._restore(version)

    def close(self) -> None:
        """Give the model back. What was learned is lost unless it was saved."""
        if not self._closed:
            self._closed = True
            self._driver.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncLearner(_Core):
    """`Learner` for async code: ``async with AsyncLearner("weather") as learner: await learner.predict_one(x)``.

    Parameters and errors are those of `Learner`; the engine is opened on entry. Calls wait for each other.
    """

    def __init__(self, task: Task | str, **options: Any) -> None:
        super().__init__(task, **options)
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._engine.open()
        try:
            await drive(self._begin(), self._engine)
        except BaseException:
            await self._engine.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._engine.close()

    async def predict_one(self, x: Mapping[str, Any], id: str | None = None) -> Waiting:  # noqa: A002 - as in Learner
        """Predict the outcome of an observation (see `Learner.predict_one`)."""
        async with self._lock:
            return await drive(self._ask(x, id), self._engine)

    async def learn_one(self, id: str, y: Mapping[str, Any]) -> Told:  # noqa: A002 - as in Learner
        """Learn the outcome of the prediction with an id (see `Learner.learn_one`)."""
        async with self._lock:
            return await drive(self._tell(id, y), self._engine)

    async def restore(self, version: int) -> Memory:
        """Put an earlier version of the memory back, as a new version (see `Learner.restore`)."""
        async with self._lock:
            return self._restore(version)
