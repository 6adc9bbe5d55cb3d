"""The checks as a test calls them: by name, one at a time or all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many
from copy import deepcopy
from dataclasses import dataclass

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.testing.promises import PROMISES
from llm_as_rnn.testing.stage import EXAMPLES, WAYS, Build, ContractError, Stage


@dataclass(frozen=True)
class Check:
    """One check, by name. Called with a method's class, or with a function that builds one, it passes or raises.

    Attributes
    ----------
    name : str
        What it is called, and what holds where it passes.
    about : str
        The same in a sentence.

    Examples
    --------
    >>> from llm_as_rnn.baselines.history import ZeroShot
    >>> for check in checks():
    ...     check(ZeroShot)
    """

    name: str
    about: str
    _run: Callable[[Stage], None]

    def __str__(self) -> str:
        return self.name

    def __call__(
        self,
        build: Build,
        *,
        task: Task | None = None,
        sequences: Many[Sequence] | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Run the check; see `check_method`."""
        for stage in _stages(build, task, sequences, settings):
            try:
                self._run(stage)
            except ContractError as error:
                raise ContractError(f"{self.name} ({stage}): {error}") from None
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
                raise ContractError(f"{self.name} ({stage}): expected no exception; seen: {seen}") from error


def check_method(
    build: Build,
    *,
    task: Task | None = None,
    sequences: Many[Sequence] | None = None,
    settings: Settings | None = None,
) -> None:
    """Check that a method does all that a method has to do.

    Parameters
    ----------
    build : callable
        The method's class, or a function; it is called with a `Task`, `Settings` and `Prompts`, as often as needed.
    task : Task, optional
        What it is to predict; by default two tasks of the checks' own, one with a field of every kind.
    sequences : sequence of Sequence, optional
        Data of that task, at least two sequences with outcomes. They are needed where a task is given.
    settings : Settings, optional
        How the model is asked; by default in both forms of answers.

    Raises
    ------
    ContractError
        At the first check that fails: it names the check, what was expected, and what was seen.
    UsageError
        If there is a task without data for it.

    Examples
    --------
    >>> from llm_as_rnn.recurrence.cell import Recurrent
    >>> check_method(Recurrent, settings=Settings(budget=80))
    """
    for check in checks():
        check(build, task=task, sequences=sequences, settings=settings)


def checks() -> tuple[Check, ...]:
    """Give all checks, for a test that is to say which of them fail.

    Examples
    --------
    >>> print(checks()[0].name)
    says_what_it_is
    """
    return tuple(Check(run.__name__, (run.__doc__ or "").splitlines()[0], run) for run in PROMISES)


def _stages(
    build: Build, task: Task | None, sequences: Many[Sequence] | None, settings: Settings | None
) -> Iterator[Stage]:
    if (task is None) != (sequences is None) or (sequences is not None and len(sequences) < 2):  # noqa: PLR2004
        raise UsageError("a task is checked with two sequences of its data or more", "give both, or neither")
    examples = EXAMPLES if task is None or sequences is None else ((task, tuple(sequences)),)
    for one, data in examples:
        for ways in (settings,) if settings else WAYS:
            yield Stage(build, one, deepcopy(data), ways)  # a method may change what it is given
