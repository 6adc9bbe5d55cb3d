"""Everything that this package raises on purpose.

::

    LlmAsRnnError
    ├── UsageError              what was asked for cannot be done as asked
    │   ├── TaskError           a task file, or data that does not fit it
    │   ├── SweepError          a sweep file
    │   ├── DatasetError        a data source is missing or broken
    │   ├── PromptError         a prompt template is missing or broken
    │   ├── ModelError          a model's name, file or download
    │   ├── UnsuitedModelError  a model that is there, and cannot be asked as is wanted
    │   └── MissingExtraError   an optional package is not installed
    ├── RunError                a run directory cannot be used or written
    │   └── SpecMismatchError   a resumed run differs from what was begun
    ├── EngineError             one call got no answer, after all retries
    │   ├── RequestRefusedError      the server refuses this request, and would again
    │   └── EngineUnavailableError   no call can get one (no server, no access)
    │       └── EngineBusyError      no call can get one now: later it may
    ├── DamagedError            bytes are not those that were written
    └── AnswerError             a model's answer does not fit what was asked

Warnings that are no errors: `GivenUpWarning`, where a stream reached one of its limits, and `RefusedPluginWarning`.

Every error has a message of one line that says what is wrong, and a hint that says what to do.
"""

from __future__ import annotations

from typing import Any, TypeVar

E = TypeVar("E", bound=Exception)


class LlmAsRnnError(Exception):
    """The root of this package's errors.

    Parameters
    ----------
    message : str
        What is wrong, in one line.
    hint : str, optional
        What to do about it, in one line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message} ({self.hint})" if self.hint else self.message
        return " ".join(text.split())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as it is, whatever its class is made of: workers send their errors to the run."""
        return _bare, (type(self), self.args), self.__dict__


def _bare(kind: type[LlmAsRnnError], said: tuple[Any, ...]) -> LlmAsRnnError:
    """Make an error without asking its class how."""
    return kind.__new__(kind, *said)


class UsageError(LlmAsRnnError):
    """What was asked for cannot be done as asked."""


class TaskError(UsageError):
    """A task file is broken, or data does not fit its task.

    ``lacks`` is what a template shows and nobody gave, where that is what is wrong.
    """

    lacks: str = ""


class SweepError(UsageError):
    """A sweep file is missing or broken."""


class DatasetError(UsageError):
    """A data source is missing or broken."""


class PromptError(UsageError):
    """A prompt template is missing or broken.

    ``lacks`` is a name that it uses and nobody gave, where that is what is wrong, and ``of`` what it would be part of.
    """

    lacks: str = ""
    of: Any = None


class ModelError(UsageError):
    """A model's name is unknown, or its file is missing, corrupt or out of reach."""


class UnsuitedModelError(UsageError):
    """A model that is there cannot be asked as is wanted: its context has no room for the budget, say."""


class MissingExtraError(UsageError):
    """An optional package is not installed.

    Parameters
    ----------
    package : str
        The package that could not be imported.
    extra : str
        The extra of this package that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package}, which is not installed",
            f"pip install 'llm-as-rnn[{extra}]'",
        )


class RunError(LlmAsRnnError):
    """A run directory cannot be used or written."""


class SpecMismatchError(RunError):
    """A run that is to be resumed was begun with other settings."""


class EngineError(LlmAsRnnError):
    """One call to a model got no answer, after all retries."""


class EngineUnavailableError(EngineError):
    """No call can get an answer: there is no server, no access, or no such model.

    Attributes
    ----------
    later : bool
        Whether one may get an answer later: there is an outage, and nothing to be put right.
    """

    later = False


class RequestRefusedError(EngineError):
    """A server refuses a request for what stands in it: asked again, it would say the same."""


class EngineBusyError(EngineUnavailableError):
    """No call can get an answer now: the server is overloaded, starting or away. It is worth waiting for.

    Parameters
    ----------
    message, hint : str
        As of every error here.
    retry_after : float, optional
        Seconds after which the server wants to be asked again, if it says.
    """

    later = True

    def __init__(self, message: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class DamagedError(LlmAsRnnError):
    """Bytes that were read are not those that were written (see `files.unsealed`)."""


class AnswerError(LlmAsRnnError):
    """A model's answer does not fit what was asked for."""


class GivenUpWarning(UserWarning):
    """A stream reached one of its limits (see `streams.settings.Limits`), and gave up or forgot what it names."""


class RefusedPluginWarning(UserWarning):
    """A package brings something under the name that was asked for, and does not get it (see `core.plugins`)."""


def first_error(group: ExceptionGroup[E]) -> E:
    """Give the first error of a group, however deep it lies.

    To be raised after the ``except*`` that caught the group: from inside, Python 3.11.2 raises a group again.

    Examples
    --------
    >>> first_error(ExceptionGroup("two tasks", [ExceptionGroup("one", [ValueError("a")]), ValueError("b")]))
    ValueError('a')
    """
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, ExceptionGroup) else error
