"""Asking again what failed: the journal is cut before it, and the run goes on from there.

A step that no model answered is a step like any other, and the steps behind it were made from a memory that lacks it.
So of each sequence everything from its first such step on is set aside, and a resumed run does it anew: it ends like a
run in which nothing had failed. The old journal is kept beside the new one.
"""

from __future__ import annotations

import filecmp
import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from llm_as_rnn.catalogue import advisers
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.executors import Cast
from llm_as_rnn.runs.journal import STEPS, read_journal
from llm_as_rnn.runs.writing import Journal, whole


def ties(cast: Cast, settings: Settings) -> tuple[frozenset[str], Mapping[str, Collection[str]]]:
    """Say which methods of a run depend on what else is in its journal, as `before_failures` has to know it.

    Returns
    -------
    shared : set of str
        Methods whose sequences share lessons.
    by_advice : mapping of str to collection of str
        Methods that go by what others of the run said, with the names of these.
    """
    shared = frozenset(method.name for method in cast.methods if method.shares)
    return shared, {method.name: advisers(method.name, cast.task, settings) for method in cast.methods}


def set_aside_failed(
    directory: RunDirectory,
    shared: Collection[str],
    by_advice: Mapping[str, Collection[str]] = MappingProxyType({}),
    *,
    private: bool,
) -> int:
    """Cut a run's journal before what failed; the old one is kept as ``steps.before-retry-N.jsonl``.

    A process that is killed meanwhile leaves the old journal or the new one, whole; when it is done
    again, the old one is kept once.

    Parameters
    ----------
    directory : RunDirectory
        A run that is to be resumed.
    shared, by_advice
        As `ties` gives them.
    private : bool
        Whether the files are for their owner only.

    Returns
    -------
    int
        How many steps were set aside; 0 where nothing had failed, and nothing was written.

    Raises
    ------
    RunError
        If the journal cannot be read or written, or another process writes to it.
    """
    with Journal(directory.journal, private=private) as journal:
        steps = read_journal(directory.journal)
        kept = before_failures(steps, shared, by_advice)
        if len(kept) < len(steps):
            try:
                _keep_a_copy(directory.journal, private=private)
                write_atomically(directory.journal, whole(kept, STEPS, journal.format), private=private)
            except OSError as error:
                raise RunError(
                    f"{directory.journal} cannot be written: {error.strerror}", "make room there, then try again"
                ) from error
    return len(steps) - len(kept)


def before_failures(
    steps: Sequence[StepRecord],
    shared: Collection[str],
    by_advice: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[StepRecord]:
    """Leave out the steps that failed, and those that came of them.

    Parameters
    ----------
    steps : sequence of StepRecord
        A journal, in the order in which it was written.
    shared : collection of str
        Methods whose sequences share lessons: they run one after the other, so that whatever comes later in the journal
        came of less than it should have.
    by_advice : mapping of str to collection of str
        Methods that go by what others of the run said, with the names of these: they come after them in a journal.
    """
    broken: set[tuple[str, ...]] = set()
    kept: list[StepRecord] = []
    for step in steps:
        line = (step.method,) if step.method in shared else (step.method, step.sequence)
        advised = [other for name in by_advice.get(step.method, ()) for other in ((name,), (name, step.sequence))]
        if failed(step) or not broken.isdisjoint(advised):
            broken.add(line)
        if line not in broken:
            kept.append(step)
    return kept


def failed(step: StepRecord) -> bool:
    """Tell whether any call of a step got no answer, be it that for its prediction or one to learn from it."""
    return step.status is Status.ENGINE_ERROR or any(call.finish_reason == "error" for call in step.calls)


def _keep_a_copy(journal: Path, *, private: bool) -> None:
    """Keep a journal under the next free name, unless whoever was killed before it was cut has kept it already."""
    names = (journal.with_name(f"steps.before-retry-{number}.jsonl") for number in itertools.count(1))
    copy = next(name for name in names if not name.exists() or filecmp.cmp(name, journal, shallow=False))
    if not copy.exists():
        write_atomically(copy, journal.read_bytes(), private=private)
