"""A live stream with all that belongs to it: its task, its method, its engine, and how it is saved and loaded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from llm_as_rnn.catalogue import DEFAULT_METHOD, asks_model, build, require_method
from llm_as_rnn.catalogue import resolve as settle
from llm_as_rnn.core.door import plain, plain_fields, plain_id
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import AnswerError, GivenUpWarning, RefusedPluginWarning, UsageError
from llm_as_rnn.core.files import as_path
from llm_as_rnn.core.knobs import knobs, wanted
from llm_as_rnn.core.method import Calls, Method, count_tokens
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Feedback, Memory, SequenceInfo, Update, Value
from llm_as_rnn.core.settings import Settings, require_one_sequence
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.core.variants import read_variant
from llm_as_rnn.datasets.terms import is_credentialed, require_local
from llm_as_rnn.engines.idle import IdleEngine
from llm_as_rnn.engines.naming import DEFAULT_MODEL
from llm_as_rnn.engines.patience import OnPause
from llm_as_rnn.engines.resolve import resolve, split_model
from llm_as_rnn.recurrence.budget import require_room
from llm_as_rnn.streams.brought import clashes_of
from llm_as_rnn.streams.fetching import in_notebook
from llm_as_rnn.streams.online import (
    Fate,
    Stream,
    Version,
    ask,
    begin,
    given_up_since,
    handed_over,
    revive,
    tell,
    with_tokens,
    without_lessons,
)
from llm_as_rnn.streams.replaying import Id, Waiting
from llm_as_rnn.streams.saved import Saved, checked, read_saved, write_saved
from llm_as_rnn.streams.settings import StreamSettings
from llm_as_rnn.streams.shared import SharedEngine
from llm_as_rnn.streams.tending import edit, kept_memory, pin, restorable, restore


class Learnt(NamedTuple):
    """What came of an outcome that was told.

    Attributes
    ----------
    id : str or int
        The id of the prediction that it belongs to.
    fate : str
        ``learned``; or ``duplicate``, where it was learned before, or ``failed``, where the engine gave no answer. In
        these two cases nothing changed; after ``failed`` the prediction still waits, and its outcome can be told again.
    update : Update or None
        What became of the memory, if it was learned.
    feedback : Feedback or None
        e_t, where the method has any.
    again : int
        Later outcomes that were learned again (see `settings.Policy`).
    memory_version : int or None
        The version of the memory after it; None for methods that keep none.
    note : str
        What else there is to know; empty if nothing.
    """

    id: Id
    fate: Fate
    update: Update | None = None
    feedback: Feedback | None = None
    again: int = 0
    memory_version: int | None = None
    note: str = ""


class Live:
    """What the learners share: everything but the waiting.

    ``stream`` is one to go on with, as JSON; `load` gives it.
    """

    def __init__(  # noqa: PLR0913 - documented in Learner
        self,
        task: Task | str,
        *,
        method: str = DEFAULT_METHOD,
        model: str = DEFAULT_MODEL,
        engine: Engine | SharedEngine | None = None,
        base_url: str | None = None,
        context: int | None = None,
        cache_reuse: int = 0,
        timeout: float | None = None,
        patience: float | None = None,
        on_pause: OnPause | None = None,
        sequence: str = "stream",
        about: Mapping[str, Any] | None = None,
        prompts: str | Path | None = None,
        stream: bytes | None = None,
        allow_remote_data: bool = False,
        remote_data: tuple[str, ...] = (),
        **choices: Any,
    ) -> None:
        self.task = load_task(task)
        require_method(method)
        if read_variant(method).choices:
            raise UsageError(
                f"a stream has one method: {method} names settings as if it were one of several",
                f"name it {read_variant(method).plain}, and its settings by their own options",
            )
        self._method_name = method
        self._shared = engine if isinstance(engine, SharedEngine) else None
        engine = engine.engine if isinstance(engine, SharedEngine) else engine
        if engine is None and asks_model(method):
            engine = resolve(
                model,
                base_url=base_url,
                context=context,
                cache_reuse=cache_reuse,
                timeout=timeout,
                patience=patience,
                on_pause=on_pause,
                progress=in_notebook(model),
            )
            self._model = model
        else:
            self._model = engine.info.model if engine else ":".join(split_model(model))
        self._engine: Engine = engine or IdleEngine(model)
        self._remote_data = require_local(self.task, self._engine.info, allow_remote_data, remote_data)
        self.choices = wanted(choices, Settings, StreamSettings)
        for line in clashes_of([method], self.choices["rule"], [self._model]):
            warnings.warn(line, RefusedPluginWarning, stacklevel=3)
        self._keeping = StreamSettings.of(self.choices)
        require_one_sequence(self.choices, "a learner")
        self.sequence = SequenceInfo(
            str(plain(sequence, "the sequence's name")),
            {} if about is None else plain_fields(about, "what is said about the sequence"),
        )
        self._prompts = Prompts.with_folder(None if prompts is None else as_path(prompts))
        self._own_prompts = prompts is not None
        self._saved = stream

    def _begin(self) -> Calls[None]:
        """Build the method; only an open engine says what suits it, and how long a memory is to it."""
        settings = settle({name: self.choices[name] for name in knobs(Settings)}, self._engine.info)
        yield from require_room(self.task, settings.budget)
        self._settings = settings
        self.method: Method = build(self._method_name, self.task, settings, self._prompts)
        saved = self._saved
        stream = begin(self.method, self.sequence) if saved is None else revive(self.method, saved, self.sequence)
        self.stream: Stream = yield from measured(self.method, stream, settings.budget, self._engine.info.model)

    def __repr__(self) -> str:
        what = f"{type(self).__name__}({self.task.name!r}, method={self._method_name!r}"
        if "stream" not in vars(self):
            return f"{what}, not open)"
        version = "" if self.memory is None else f", memory version {self.memory.version}"
        return f"{what}, {self.stream.t} steps, {len(self.waiting)} waiting{version})"

    def _repr_html_(self) -> str:
        from llm_as_rnn.streams.showing import learner_html  # noqa: PLC0415 - only notebooks ask

        opened: Any = vars(self)
        budget = opened["_settings"].budget if "stream" in opened else 0
        return learner_html(self.task, self._method_name, self._model, budget, opened.get("stream"))

    @property
    def memory(self) -> Memory | None:
        """The memory as it is now, h_t; it is None for methods that keep none within a budget."""
        return self.method.memory(self.stream.state)

    @property
    def versions(self) -> tuple[Version, ...]:
        """The latest memories that the stream went through, the oldest first; none where no memory is kept."""
        return self.stream.versions

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The predictions whose outcomes have not come yet, the oldest first."""
        return self.stream.waiting

    def change_task(self, task: Task) -> None:
        """Go on with another version of the task: with one more option to choose from, say.

        Of a method that goes by advice, an adviser that suits the new version alone begins afresh, and one that suits
        it no longer is forgotten.

        Raises
        ------
        UsageError
            If its memory has other sections, or its answer other fields: what was learned would have no place. Or if
            its data must not leave this machine, and the engine is elsewhere. Nothing was changed then.
        """
        require_alike(self.task, task)
        remote_data = require_local(task, self._engine.info, False, self._remote_data)
        method = build(self._method_name, task, self._settings, self._prompts)
        self.stream = handed_over(method, self.stream, self.sequence)
        self.method, self.task, self._remote_data = method, task, remote_data

    def dump(self) -> bytes:
        """Give the stream as JSON, for `Learner`'s parameter ``stream``.

        Raises
        ------
        UsageError
            If it could not be read again as it is.
        """
        return checked(self.stream, partial(revive, self.method, sequence=self.sequence), "what was learned")

    def save(self, path: str | Path) -> None:
        """Write all that is needed to go on later into a file, whole or not at all.

        With credentialed data the file is for its owner only. It is read back before it takes the place of what was
        there, and carries a check of its bytes.

        Raises
        ------
        UsageError
            If it cannot be written, or could not be read again.
        """
        saved = Saved(
            self.task,
            self._method_name,
            self._model,
            self.choices,
            self.sequence,
            msgspec.Raw(self.dump()),
            remote_data=self._remote_data,
            own_prompts=self._own_prompts,
        )
        write_saved(as_path(path), saved, private=is_credentialed(self.task))

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Self:
        """Go on with a saved learner; options replace what it was made with (another ``model``, or ``bare=True``, say).

        Raises
        ------
        UsageError
            If the file is not a saved learner, or does not fit: its memory must be within the budget as the engine's
            tokenizer counts it. Or if it was made with templates of its own, and ``prompts`` does not name them again.
        DamagedError
            If its bytes are not those that were written.
        """
        saved = read_saved(as_path(path))
        if saved.own_prompts and options.get("prompts") is None:
            raise UsageError(f"{path} was made with prompts of its own", "name their folder again: prompts=...")
        kept = {
            "method": saved.method,
            "model": saved.model,
            "sequence": saved.sequence.id,
            "about": saved.sequence.about,
            "remote_data": saved.remote_data,
            **saved.choices,
            **options,
        }
        return cls(saved.task, stream=bytes(saved.stream), **kept)

    def _restore(self, version: int, author: str) -> Calls[Memory]:
        """Put a version back; counted anew, for it may have been loaded with another tokenizer."""
        tokens = yield from count_tokens(str(restorable(self.method, self.stream, version)))
        budget = self._settings.budget
        self.stream = restore(self.method, self.stream, version, budget, tokens, self._keeping, author)
        return kept_memory(self.method, self.stream)

    def _edit(self, sections: Mapping[str, Sequence[str]], author: str) -> Calls[Memory]:
        budget = self._settings.budget
        self.stream = yield from edit(self.method, self.stream, sections, budget, author=author, limits=self._keeping)
        return kept_memory(self.method, self.stream)

    def _pin(self, note: str, pinned: bool) -> Calls[Memory]:
        self.stream = yield from pin(self.method, self.stream, note, self._settings.budget, pinned=pinned)
        return kept_memory(self.method, self.stream)

    def _ask(self, x: Mapping[str, Any], name: Id | None) -> Calls[Waiting]:
        fields = self.task.filled(plain_fields(x, "the observation"))
        name = None if name is None else plain_id(name)
        self.stream, waiting = yield from ask(self.method, self.stream, self.sequence.id, fields, name, self._keeping)
        return waiting

    def _tell(self, name: Id, y: Mapping[str, Any]) -> Calls[Learnt]:
        name = plain_id(name)
        if y is None:
            raise UsageError(
                f"no outcome was given for {name!r}",
                "tell it when it is known; a prediction whose outcome never comes just goes on waiting",
            )
        told = yield from tell(
            self.method, self.stream, name, outcome(self.task, y), self._keeping.policy, self._keeping
        )
        self.stream = told.stream
        version = None if self.memory is None else self.memory.version
        return Learnt(name, told.fate, told.update, told.feedback, told.again, version, told.note)

    def losses(self, before: Stream) -> tuple[str, ...]:
        """Say what was given up or forgotten since an earlier state of the stream, because a limit was reached."""
        limits, said = self._keeping, []
        gone = given_up_since(before, self.stream)
        if gone:
            names = ", ".join(repr(name) for name in gone)
            said.append(
                f"given up: {names}, because more than {limits.max_waiting} predictions wait for their outcomes "
                "(max_waiting)"
            )
        if self.stream.forgotten and not before.forgotten:
            said.append(
                f"from now on ids are forgotten {limits.remember} outcomes after they were learned (remember): an "
                "outcome that comes again later than that is not known as such"
            )
        return tuple(said)


def measured(method: Method, stream: Stream, budget: int, model: str) -> Calls[Stream]:
    """Count the memory of a stream: the figure of one that was loaded is that of the tokenizer which it had then.

    Lessons from which a replay would begin with a memory that is over the budget now are left out.

    Parameters
    ----------
    method : Method
        Whose it is.
    stream : Stream
        Where it stands.
    budget : int
        The most tokens that it may hold.
    model : str
        Who counts.

    Raises
    ------
    UsageError
        If it is over the budget.
    """
    memory = method.memory(stream.state)
    if memory is None:
        return stream
    tokens = yield from count_tokens(str(memory))
    if tokens > budget:
        raise UsageError(
            f"the memory holds {tokens} tokens as {model} counts them, more than the budget of {budget}",
            f"load it with a budget of {tokens} or more, or restore a shorter version",
        )
    return (yield from _with_ways_back(method, with_tokens(method, stream, memory, tokens), budget))


def _with_ways_back(method: Method, stream: Stream, budget: int) -> Calls[Stream]:
    left_out = 0
    for place, lesson in enumerate(stream.lessons):
        if lesson.before is None:
            left_out += left_out == place  # it can only be reached from the one before
            continue
        tokens = yield from count_tokens(str(method.memory(lesson.before)))
        if tokens > budget:
            left_out = place + 1
    return without_lessons(stream, left_out) if left_out else stream


def require_alike(before: Task, after: Task) -> None:
    """Refuse to go on with a task in which what was learned would have no place.

    Raises
    ------
    UsageError
        If its memory has other sections, or its answer other fields.
    """
    for what, named in (
        ("memory has other sections", lambda of: [section.name for section in of.memory]),
        ("answer has other fields", lambda of: [(field.name, type(field)) for field in of.answer]),
    ):
        if named(after) != named(before):
            raise UsageError(f"the new task's {what}", "begin anew with it")


def warn(losses: tuple[str, ...]) -> None:
    """Warn whoever called the learner's method that calls this."""
    for loss in losses:
        warnings.warn(loss, GivenUpWarning, stacklevel=3)


def outcome(task: Task, y: Mapping[str, Any]) -> dict[str, Value]:
    """Check and convert an outcome. Fields whose value is missing are left out.

    Unlike an answer, a number may lie outside its plausible range: what happened, happened.

    Raises
    ------
    UsageError
        If a field is not one of the task's answer, or its value does not fit.
    """
    fields = {field.name: field for field in task.answer}
    # What is missing is no outcome, and no text "None".
    y = {name: value for name, value in task.filled(plain_fields(y, "the outcome")).items() if value is not None}
    unknown = [name for name in y if name not in fields]
    if unknown or not y:
        what = f"there is no answer field {unknown[0]!r}" if unknown else "the outcome is empty"
        raise UsageError(f"{what} in task {task.name}", f"its fields are {', '.join(fields)}")
    try:
        return {name: fields[name].read_outcome(value) for name, value in y.items()}
    except AnswerError as error:
        raise UsageError(f"the outcome cannot be learned: {error.message}", "correct it and tell it again") from error
