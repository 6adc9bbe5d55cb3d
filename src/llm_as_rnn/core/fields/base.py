"""What every field of an answer has, and what its kind has to say for itself.

Nobody outside of this package tells kinds apart to decide what to do: whatever differs between them is a method or a
trait here. So a new kind is one more subclass of `BaseField`, and its name in `fields.Field`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from msgspec import UNSET, UnsetType

from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.extras import offered, offers
from llm_as_rnn.core.fields.verdict import NO_ANSWER, Verdict, entries
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record, Value

Judging = Literal["align", "same"]
"""What a judge can be asked: how well a text agrees with the outcome's, or which entries of a list mean the same (see
`metrics.judged`)."""

ARROW = " -> "
"""Between what was seen and what came, in the prompts of line answers and in notes."""

FEW_BYTES = 16
"""What a short answer of no listed options may take."""


class Measure(NamedTuple):
    """A score that every field of a kind has.

    Attributes
    ----------
    score : str
        What a step's score is called, after the field's name.
    of : callable
        Gives it, of a verdict.
    about : str
        What its mean says, in a line; empty for a score that is kept and not reported.
    mean, title : str
        What the mean is called, in files and to people; as the score, where they are empty.
    higher_is_better : bool
        Whether it is a share of right answers, and not an error.
    """

    score: str
    of: Callable[[Verdict], float]
    about: str = ""
    mean: str = ""
    title: str = ""
    higher_is_better: bool = True


class BaseField(Record, frozen=True, tag_field="kind", forbid_unknown_fields=False):
    """One field of an answer: what is the same for all kinds.

    Stored tasks of earlier versions give every field the attributes of all kinds, so what a kind does not have is
    passed over where a field is decoded; in task files it is refused (see `fields.stored`).

    Attributes
    ----------
    name : str
        Its key.
    about : str
        What it means, for the prompt.
    last : str
        The observation's field that holds the latest known value of the same quantity, if there is one.
    metrics : tuple of str, optional
        Scores to report beside those of the kind (see `core.extras`).
    judged : str, optional
        What a language model judges after the run: ``align`` for a text, ``same`` for a ranked list (see
        `metrics.judged`).
    """

    noun: ClassVar[str]
    """What a person calls the kind, after "a"."""
    may_ask: ClassVar[tuple[str, ...]] = ()
    """The ``metrics`` that any field of the kind may have, beside those that datasets offer for it."""
    may_judge: ClassVar[tuple[Judging, ...]] = ()
    """The same for ``judged``."""
    is_short: ClassVar[bool] = False
    """Whether a value is a word or two, so that a note can end with it."""
    is_open: ClassVar[bool] = False
    """Whether the same can be told in many ways, so that any other score says more than those of the kind."""
    no_outcome: ClassVar[tuple[type, ...]] = (dict, list, tuple)
    """What an outcome cannot come as."""

    name: str
    about: str = ""
    last: str = ""
    # Unset is left out of the encoding: tasks without it keep the digests that their runs were begun with.
    metrics: tuple[str, ...] | UnsetType = UNSET
    judged: Judging | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a field that no answer could fill, and what its kind cannot be scored by."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name):
            raise ValueError(f"field name {self.name!r} must be a plain word")
        self._require_extras()
        if self.judged is not UNSET and self.judged not in self.may_judge:
            may = f"can be by {' or '.join(self.may_judge)}" if self.may_judge else "cannot be judged at all"
            raise ValueError(f"field {self.name!r} cannot be judged by {self.judged}: a {self.noun} {may}")

    def _require_extras(self) -> None:
        kind = str(self.__struct_config__.tag)
        for metric in self.extras:
            if metric not in self.may_ask and not ((extra := offered(metric)) and extra.kind == kind):
                there = " or ".join((*self.may_ask, *offers(kind))) or "none"
                raise ValueError(f"field {self.name!r} asks for the metric {metric}: a {self.noun} may ask for {there}")

    @property
    def extras(self) -> tuple[str, ...]:
        """The names in ``metrics``."""
        return () if self.metrics is UNSET else self.metrics

    @property
    def options(self) -> tuple[str, ...]:
        """The texts that values are made of, where the task lists them; templates ask any field for them."""
        return ()

    # --------------------------------------------------------------------------------------------------- writing values

    def show(self, value: Value) -> str:
        """Write a value as it stands in prompts and in line answers.

        Raises
        ------
        ValueError
            If it is of another kind and cannot be written as one of this.
        """
        return "; ".join(entries(value))

    def tell(self, value: Value) -> str:
        """Write a value with its unit, if it has one."""
        return self.show(value)

    def to_json(self, value: Value) -> str | tuple[str, ...]:
        """Give a value as it stands in a JSON answer."""
        return self.show(value)

    # --------------------------------------------------------------------------------------------- asking for an answer

    def describe(self, *, in_short: bool = False) -> str:
        """Say in words what may stand here."""
        what = self.in_short() if in_short else self.what()
        return f"{self.name}{f' ({self.about})' if self.about else ''}: {what}"

    def what(self) -> str:
        """Say what an answer is, without the field's name."""
        raise NotImplementedError

    def in_short(self) -> str:
        """Say it where the answer is held to it anyway, and a long list would fill the prompt."""
        return self.what()

    def schema(self) -> dict[str, Any]:
        """Give the field's JSON schema, within what all engines take."""
        raise NotImplementedError

    def regex(self) -> str:
        """Give a regular expression for the value in line and block answers."""
        raise NotImplementedError

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        raise NotImplementedError

    def longest(self) -> int:
        """Give the most bytes that an answer takes, at a guess."""
        return FEW_BYTES

    # --------------------------------------------------------------------------------------------------- reading values

    def read(self, value: Any) -> Value:
        """Check and convert one value of an answer, from JSON or from text.

        Raises
        ------
        AnswerError
            If it does not fit; the message says how, in words a model can act on.
        """
        raise NotImplementedError

    def read_outcome(self, value: Any) -> Value:
        """Check and convert what came: it happened, however implausible or long it is.

        Parameters
        ----------
        value : JSON value
            Any finite number, one of the options, a text, or a list; not None, which is no outcome.

        Raises
        ------
        AnswerError
            If it is of another kind, or no logarithm can be taken of a number that is scored by it.
        """
        if value is None:
            raise AnswerError(f"{self.name} is missing")
        if isinstance(value, self.no_outcome):
            raise AnswerError(f"{self.name} must be a {self.noun}, not {brief(value)}")
        return self.as_it_came(value)

    def as_it_came(self, value: Any) -> Value:
        """Convert an outcome that is there, as `read_outcome` does."""
        raise NotImplementedError

    def first_of(self, line: str) -> tuple[str, str | None]:
        """Split a line into this field's value and what follows its comma; None where there is no comma."""
        value, comma, rest = line.partition(",")
        return value, rest if comma else None

    def require_end_in_lines(self) -> None:
        """Refuse values that a line could not tell the end of, for a field that others follow.

        Raises
        ------
        ValueError
            If there may be one.
        """

    # ------------------------------------------------------------------------------------------------- comparing values

    def compare(self, answer: Value | None, outcome: Value | None) -> Verdict | None:
        """Say how an answer did: whether it was right, and how far off.

        Parameters
        ----------
        answer : Value or None
            As it was read; None where there is none.
        outcome : Value or None
            What came.

        Returns
        -------
        Verdict or None
            None where nothing came (see `fields.verdict`).
        """
        said, came = (tuple(map(fold, entries(value))) for value in (answer, outcome))
        if not came:
            return None
        return self.verdict(said, came) if said else NO_ANSWER

    def verdict(self, said: tuple[str, ...], came: tuple[str, ...]) -> Verdict:
        """Compare an answer and an outcome that are both there, as folded texts."""
        raise NotImplementedError

    def in_words(self, verdict: Verdict) -> str:
        """Say how an answer did."""
        return "right" if verdict.right else "wrong"

    def difference(self, said: Value, came: Value) -> str:
        """Say by how much an answer is off, as both are shown; empty where there is no measure of that."""
        return ""

    def measures(self) -> tuple[Measure, ...]:
        """List the scores of the kind, the one to look at first in front."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- making up values

    def typical(self, past: Sequence[Value]) -> Value:
        """Give what past outcomes, at least one, are like: the most frequent one; of equals, the one seen first."""
        return Counter(past).most_common(1)[0][0]

    def uninformed(self, free: str = "") -> Value:
        """Give the answer of who knows nothing; ``free`` where any text will do."""
        raise NotImplementedError

    def canary(self, number: int) -> Value:
        """Give an outcome that holds a number, by which it is known wherever it turns up."""
        return f"canary{number}"


def brief(value: Any) -> str:
    """Write a value for an error message, so that it can be recognised."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - enough to recognise it


def gbnf_string(text: str) -> str:
    r"""Quote a text as a literal of llama.cpp's grammar notation.

    >>> print(gbnf_string('say "hi"'))
    "say \"hi\""
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
