"""A step as the journal keeps it: what was seen, what was answered, what came, and what became of the memory."""

from __future__ import annotations

from typing import Any

import msgspec

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.records import Feedback, Memory, Record, Status, Update, Value


class StepRecord(Record, frozen=True):
    """One line of the journal: everything that happened at one step of one sequence under one method.

    Attributes
    ----------
    method, sequence : str
        Whose step it is.
    t : int
        Which one, 0-based.
    observation : dict
        x_t.
    target : dict or None
        y_t, once revealed.
    prediction : dict or None
        y_hat_t; None unless the status is an answered one.
    status : Status
        How the prediction came about.
    raw : str
        What the model wrote.
    memory_version : int or None
        The version that made the prediction; None for methods without a memory.
    memory_before, memory_after : Memory or None
        h_{t-1} and h_t.
    memory_tokens : int or None
        Tokens of h_t.
    update : Update
        What became of the memory, and why.
    feedback : Feedback or None
        e_t, where a model was shown it or wrote it; exact figures that only code counted follow from the steps.
    calls : tuple of Call
        Every call to the model, in order, with its answer.
    scores : dict of str to float
        Scores of this step, by metric.
    problem : str
        What was wrong with the answer, when something was.
    notes : tuple of str
        What else a reader should know.
    lessons : Memory or None
        At a sequence's last step, where sequences share a memory: what this one leaves to the later ones.
    taught : Update or None
        What became of these lessons then.
    counts : dict of str to int
        Tokens of texts, by the text's fingerprint, that were estimated because the server had ceased to count in the
        middle of a run: a resumed run goes by the same figures.
    recalled : tuple of str
        Notes that the prediction was shown once more (see `Prediction`).
    asked : tuple of tuple of str
        What each call was shown: the digests of its messages, whose texts are kept beside the journal. Empty where that
        is not known, as in runs of earlier versions.
    distribution, believed : dict of str to dict of str to float
        How likely each option was, and how far each adviser was believed (see `Prediction`).
    interval, among, chance, abstained, guessed
        What the prediction said of how far it can be trusted (see `Prediction`).
    when : str
        What the step is dated, where the observation does not say and the data does. No model was told.
    """

    method: str
    sequence: str
    t: int
    observation: dict[str, Any]
    target: dict[str, Value] | None
    prediction: dict[str, Value] | None
    status: Status
    raw: str
    memory_version: int | None
    memory_before: Memory | None
    memory_after: Memory | None
    memory_tokens: int | None
    update: Update
    feedback: Feedback | None
    calls: tuple[Call, ...]
    scores: dict[str, float]
    problem: str = ""
    notes: tuple[str, ...] = ()
    lessons: Memory | None = None
    taught: Update | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    recalled: tuple[str, ...] = ()
    asked: tuple[tuple[str, ...], ...] = ()
    distribution: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    believed: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    among: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    chance: dict[str, float] = msgspec.field(default_factory=dict)
    abstained: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    when: str = ""
