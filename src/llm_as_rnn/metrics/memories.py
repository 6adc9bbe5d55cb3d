"""Which memory made which prediction: with late outcomes it is not the one that the step's own update began with."""

from __future__ import annotations

from collections.abc import Iterable

from llm_as_rnn.core.records import Memory
from llm_as_rnn.core.steps import StepRecord

Step = tuple[str, str, int]
"""A step by its method, sequence and t."""


def predicting(records: Iterable[StepRecord]) -> dict[Step, Memory]:
    """Find the memory that each prediction was made with, by the version that the journal names.

    A step's ``memory_before`` is what its update began with. Where outcomes come late, others have been learned between
    prediction and update, and the prediction was made with an earlier version.

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of any methods.

    Returns
    -------
    dict of (str, str, int) to Memory
        By method, sequence and t; methods without a memory are left out. A version that the journal does not hold
        (steps of it are missing) is left out too.
    """
    known: dict[tuple[str, str, int], Memory] = {}
    found: dict[Step, Memory] = {}
    for record in sorted(records, key=lambda record: record.t):
        before, version = record.memory_before, record.memory_version
        if before is not None:
            known.setdefault((record.method, record.sequence, before.version), before)
        if version is not None:
            same = before is not None and before.version == version
            memory = before if same else known.get((record.method, record.sequence, version))
            if memory is not None:
                found[record.method, record.sequence, record.t] = memory
        if record.memory_after is not None:
            known[record.method, record.sequence, record.memory_after.version] = record.memory_after
    return found
