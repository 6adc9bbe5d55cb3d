"""Scores that a field of a task may ask for by name (``metrics: [facts]``), beside those that all of its kind have.

A number has a few of its own (`metrics.extras`). All others come with a dataset, ours or somebody else's, which says so
in `Dataset.extras`; who looks one up by its name need not know where it is from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_as_rnn.core.above import above
from llm_as_rnn.core.figures import decimals

if TYPE_CHECKING:  # the root imports this module, and the command line's help need not wait for more
    from llm_as_rnn.core.records import Value

Score = Callable[[Any, "Value | None", "Value"], Mapping[str, float]]
"""Scores an answer (None where there is none: it counts at its worst) to a field against an outcome, by the part of the
metric's name after the field's."""


class Metric(NamedTuple):
    """One score of a step and its mean.

    Attributes
    ----------
    name : str
        Its key in ``StepRecord.scores``, such as ``high.abs_error``.
    mean : str
        The key of its mean in a summary, such as ``high.mae``.
    title : str
        The mean's name for people, such as ``high MAE``.
    field : str
        The answer field that it scores.
    about : str
        What it measures, in a line.
    higher_is_better : bool
        Whether it says how good answers are, and not an error.
    best : float
        The best score, where higher is better: 1 for shares of right answers.
    judged : bool
        Whether a judge gives it, after the run.
    """

    name: str
    mean: str
    title: str
    field: str
    about: str
    higher_is_better: bool = True
    best: float = 1.0
    judged: bool = False

    @property
    def is_share(self) -> bool:
        """Whether a step's score is 1 for a right answer and 0 for a wrong one."""
        return self.higher_is_better and self.best == 1

    def decimals(self, size: float) -> int:
        """Give the decimals with which scores of about a size are written: shares have two, errors what they need.

        >>> error = Metric("rate.abs_error", "rate.mae", "rate MAE", "rate", "", higher_is_better=False)
        >>> error.decimals(0.0042), error.decimals(12.5)
        (4, 1)
        """
        return 2 if self.is_share else decimals(size)


class Extra(NamedTuple):
    """A score by code that a field's ``metrics`` can name.

    Attributes
    ----------
    name : str
        What task files call it.
    kind : str
        The kind of field that may ask for it, as task files call it: ``label``, ``number``, ``ranked`` or ``text``.
    metrics : callable
        Lists the metrics that it gives a field.
    score : callable, optional
        Gives them for a step; None where answer and outcome are not enough, and a run has them from `Dataset.scores`.
    """

    name: str
    kind: str
    metrics: Callable[[Any], tuple[Metric, ...]]
    score: Score | None = None


def offered(name: str) -> Extra | None:
    """Look up a score that a dataset brings.

    >>> facts = offered("facts")
    >>> facts and facts.kind
    'text'
    """
    found: Extra | None = next((extra for extra in above().extras() if extra.name == name), None)
    return found


def offers(kind: str) -> list[str]:
    """Name the scores that datasets bring for a kind of field."""
    return [extra.name for extra in above().extras() if extra.kind == kind]
