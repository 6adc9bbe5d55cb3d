"""The values that flow through the rooms: immutable, and the same in memory, in JSON and in the journal.

They are msgspec structs: typed, frozen, and quick to encode. Names follow the paper (arXiv 2601.13352, section 3):
``observation`` is x_t, ``prediction`` is y_hat_t, ``target`` is y_t, ``feedback`` is e_t and ``memory`` is h_t.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

Value = str | float | tuple[str, ...]
"""One field of an answer: a label or text, a number, or a ranked list."""

Target = Mapping[str, Value]
"""y_t: the outcome, by answer field."""

Form = Literal["json", "line"]
"""How answers are asked for: a JSON object, or one short line."""

Style = Literal["chat", "completion"]
"""How a prompt reaches the model: as chat messages, or as one text to go on with."""

Layout = Literal["chained", "separate"]
"""One growing conversation a step, or the paper's separate prompts."""


def writable(text: str) -> str:
    r"""Replace lone surrogates, which no file and no request can hold.

    >>> writable("sun \ud800")
    'sun ?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def writable_all(value: Any) -> Any:
    r"""Give a JSON value with `writable` texts and names at every depth; the very same one where nothing is amiss.

    >>> writable_all({"days": ["sun \udc00", {"wet": True}]})
    {'days': ['sun ?', {'wet': True}]}
    """
    match value:
        case str():
            return value if value.isascii() else writable(value)
        case dict():
            found: Any = {writable_all(name): writable_all(part) for name, part in value.items()}
        case list() | tuple():
            found = type(value)(map(writable_all, value))
        case _:
            return value
    return value if found == value else found


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of every value here: frozen, compared by content, strict about its fields."""


class Observation(Record, frozen=True):
    """x_t: what is known before the outcome.

    Attributes
    ----------
    sequence : str
        The sequence it belongs to.
    t : int
        The timestep, 0-based.
    fields : dict of str to JSON value
        What is shown to the model, by name. Never anything that tells the outcome.
    """

    sequence: str
    t: int
    fields: dict[str, Any]

    def __post_init__(self) -> None:
        """Replace what no file could hold (lone surrogates in a user's data)."""
        force_setattr(self, "sequence", writable(self.sequence))
        force_setattr(self, "fields", writable_all(self.fields))


class SequenceInfo(Record, frozen=True):
    """What is known of a sequence before its first step.

    Attributes
    ----------
    id : str
        Its name, unique in its dataset.
    about : dict of str to JSON value
        What stays the same in it (a place, a patient's sex), shown by task templates as ``about``.
    """

    id: str
    about: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Replace what no file could hold, as `Observation` does."""
        force_setattr(self, "id", writable(self.id))
        force_setattr(self, "about", writable_all(self.about))


class Status(StrEnum):
    """How a prediction came about. All of them stay in the denominator."""

    OK = "ok"
    REPAIRED = "repaired"
    """Valid at the second attempt."""
    INVALID = "invalid"
    """Not an answer to what was asked, twice."""
    TRUNCATED = "truncated"
    """Cut short by its token limit, twice."""
    REFUSED = "refused"
    """The model or its server declined."""
    ENGINE_ERROR = "engine_error"
    """No answer, after all retries."""

    @property
    def answered(self) -> bool:
        """Whether there are values to score."""
        return self in (Status.OK, Status.REPAIRED)


class Prediction(Record, frozen=True):
    """y_hat_t: the model's structured answer, made from h_{t-1} and x_t alone.

    Attributes
    ----------
    values : dict or None
        The answer by field; None unless ``status.answered``.
    status : Status
        How it came about.
    raw : str
        The text that the model wrote.
    problem : str
        What was wrong with the answer, when something was.
    notes : tuple of str
        What else a reader of the journal should know (that old pairs were dropped, say).
    recalled : tuple of str
        Notes of the memory that were shown once more right before x_t, the most alike last.
    distribution : dict of str to dict of str to float
        By field, how likely each option is, where a method says so: the likeliest of them; all that are not named share
        what is left of 1 (see `chances.completed`).
    believed : dict of str to dict of str to float
        By field, how far each adviser was believed, for an answer that was made by advice (see `trust`).
    advisers : tuple of Prediction
        What each of them answered.
    evidence : dict of str to dict of str to dict of str to float
        By field and source, the chances that an answer was chosen by (see `recurrence.choosing`).
    interval : dict of str to tuple of float
        By number, the ends between which the outcome is said to lie (see `trust.intervals`). Without an answer, all
        that may come.
    among : dict of str to tuple of str
        By label or list of options, those among which the outcome is said to be, the likeliest first; without an
        answer, all of them.
    chance : dict of str to float
        By label or list, how likely the answer is to be right; of a list, its first entry. Without an answer, 0.
    abstained : tuple of str
        The fields whose answer is held back, because it is too unlikely or its interval too wide. The answer, where
        there is one, stands in ``values`` all the same, so that it can be scored.
    guessed : tuple of str
        The fields for which a reference had nothing to go by, and answered what needs no knowledge. That is scored like
        any other answer; who takes advice passes it over.
    """

    values: dict[str, Value] | None
    status: Status
    raw: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    recalled: tuple[str, ...] = ()
    distribution: dict[str, dict[str, float]] = {}
    believed: dict[str, dict[str, float]] = {}
    advisers: tuple[Prediction, ...] = ()
    evidence: dict[str, dict[str, dict[str, float]]] = {}
    interval: dict[str, tuple[float, float]] = {}
    among: dict[str, tuple[str, ...]] = {}
    chance: dict[str, float] = {}
    abstained: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()

    @property
    def is_unheard(self) -> bool:
        """Whether an engine gave no answer: to this, or to one of those whose advice it went by."""
        return self.status is Status.ENGINE_ERROR or any(said.is_unheard for said in self.advisers)

    def __repr__(self) -> str:
        return f"Prediction(status={self.status.value!r}, values={self.values!r})"

    def _repr_html_(self) -> str:
        from llm_as_rnn.core import notebook  # noqa: PLC0415 - only notebooks ask

        return notebook.page(notebook.prediction(self))


class Section(Record, frozen=True):
    """One named part of a memory and its items, each one line."""

    name: str
    items: tuple[str, ...]


class Memory(Record, frozen=True):
    """h_t: the hidden state, a short structured text.

    Attributes
    ----------
    sections : tuple of Section
        In the task's order; all of them are always there.
    version : int
        How many updates were accepted so far.
    tokens : int or None
        Length of its text form, counted by the serving model's tokenizer; None until counted.
    pinned : tuple of str
        Notes that a person wants to stay: no rule drops, merges or words them anew. Unset where there are none.
    """

    sections: tuple[Section, ...]
    version: int = 0
    tokens: int | None = None
    # Unset is left out of the encoding: a memory without pins is written as it always was.
    pinned: tuple[str, ...] | UnsetType = UNSET

    @property
    def pins(self) -> tuple[str, ...]:
        """The notes that are pinned; none, most often."""
        return self.pinned or ()

    def __str__(self) -> str:
        """Give its text form, as the model sees it and as its tokens are counted."""
        lines: list[str] = []
        for section in self.sections:
            lines.append(f"## {section.name}")
            lines.extend(f"- {item}" for item in section.items)
        return "\n".join(lines)

    def __repr__(self) -> str:
        notes = sum(len(section.items) for section in self.sections)
        return f"Memory(version={self.version}, tokens={self.tokens}, notes={notes})"

    def _repr_html_(self) -> str:
        from llm_as_rnn.core import notebook  # noqa: PLC0415 - only notebooks ask

        return notebook.page(notebook.title(notebook.memory_title(self)), notebook.memory(self))


class Feedback(Record, frozen=True):
    """e_t: how good y_hat_t was, and why.

    Attributes
    ----------
    kind : str
        Who says so: ``model``, ``scorecard`` or ``judge``, or several of them joined by ``+``.
    facts : str
        What code states of answer and outcome, a line a field; empty where no outcome may be known.
    remarks : tuple of str
        What else is said, in order: by a judge, by the critic, and the figures so far.
    fields : dict
        The remarks by name, for machines.
    """

    kind: str
    facts: str = ""
    remarks: tuple[str, ...] = ()
    fields: dict[str, Any] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Who says so, one by one."""
        return tuple(self.kind.split("+"))

    @property
    def text(self) -> str:
        """All of it, as it is shown to the model that updates the memory."""
        return "\n".join(filter(None, (self.facts, *self.remarks)))


UpdateOutcome = Literal["accepted", "kept", "rolled_back", "skipped"]


class Why(NamedTuple):
    """Why something was done, or not.

    Attributes
    ----------
    code : str
        One of a few words that programs go by (docs/internals.md lists them); a method of somebody else's may have
        words of its own.
    detail : str
        What else a reader may want to know.

    Examples
    --------
    >>> str(Why("over_budget", "300 tokens")), str(Why("merged"))
    ('over_budget: 300 tokens', 'merged')
    """

    code: str
    detail: str = ""

    def __str__(self) -> str:
        """Write it for a reader."""
        return f"{self.code}: {self.detail}" if self.detail else self.code


class Update(Record, frozen=True):
    """What became of one attempt to change the memory, and why (see `Why`)."""

    outcome: UpdateOutcome
    code: str = ""
    detail: str = ""

    @property
    def reason(self) -> str:
        """Code and detail, for a reader."""
        return str(Why(self.code, self.detail))
