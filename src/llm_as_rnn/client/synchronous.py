"""The client for code that is not async, inside a running event loop or not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from llm_as_rnn.client.asynchronous import AsyncClient, AsyncSession
from llm_as_rnn.client.batches import Item
from llm_as_rnn.client.calling import PATIENCE, TIMEOUT
from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.background import Background, Gone
from llm_as_rnn.engines.patience import OnPause
from llm_as_rnn.service.bodies import MemoryChange
from llm_as_rnn.service.views import (
    MemoryView,
    OutcomeView,
    PredictionView,
    ScoresView,
    SessionView,
    SpendView,
    StepView,
    TaskView,
)

P = ParamSpec("P")
T = TypeVar("T")

_GONE = Gone(
    "nothing can be asked after close",
    "nothing can be asked in a forked process: the connection stayed in the one that opened it",
    "make another client",
    "make a client in each process",
)


class Client:
    """Asks a service (``llm-as-rnn serve``), with the verbs of `Learner`: the memory is kept there.

    Whatever it asks may be asked twice and is done once, so a call whose answer was lost on the way is sent again:
    after a broken connection and after the statuses 408, 429, 500, 502, 503 and 504, with growing pauses, and not
    before the service wants it. It may be used by several threads at the same time.

    Parameters
    ----------
    url : str, optional
        The service's address; else the variable ``LLM_AS_RNN_SERVER`` of the environment has it.
    key : str, optional
        The key; else the variable ``LLM_AS_RNN_KEY`` of the environment may have it. It goes to that address and to no
        other one, and is shown in no error.
    patience : float
        Seconds for which a call is asked again, from its first failure on; 0 for never.
    timeout : float
        Seconds for each step of one attempt: to connect, to send, until the answer begins.
    on_pause : callable, optional
        Called with what is waited for when a pause begins, and with None when it is over; else pauses are logged.

    Raises
    ------
    UsageError
        If no service is named, or the address or the key can be none; after `close`, and in a forked process.
    ServiceError, EngineError
        What the service refused, as its own verbs say it (see `llm_as_rnn.service.errors`): `NotFoundError`,
        `ConflictError`, `UnfitError`, `QuotaError` and others; `UnreachableError` where it gave no answer.

    Examples
    --------
    >>> Client("http://127.0.0.1:8000/", key="secret")
    Client('http://127.0.0.1:8000')
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        on_pause: OnPause | None = None,
    ) -> None:
        self._later = AsyncClient(url, key=key, patience=patience, timeout=timeout, on_pause=on_pause)
        self._background = Background(_GONE)
        self._background.start()
        try:
            self._run(self._later.open)
        except BaseException:
            self._background.end()
            raise

    def __repr__(self) -> str:
        return repr(self._later).removeprefix("Async")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. In a forked process it does nothing."""
        if self._background.usable:
            self._background.end(self._later.close)

    def _run(self, work: Callable[P, Coroutine[Any, Any, T]], *arguments: P.args, **named: P.kwargs) -> T:
        self._background.require_usable()
        return self._background.wait(work(*arguments, **named))

    def session(
        self,
        id: str | None = None,  # noqa: A002 - as the service calls it
        *,
        task: Task | str | None = None,
        task_version: int | None = None,
        method: str | None = None,
        about: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Session:
        """Begin a session, or go on with the one of this name.

        Without a task nothing is asked yet: what there is not is told by the first verb.

        Parameters
        ----------
        id : str, optional
            Its name; else one is made up.
        task : Task or str, optional
            The name of one of your tasks in the service, or of a shipped one; or a `Task`, or the path of a task file,
            which is kept in the service when the session begins.
        task_version : int, optional
            The task's version; else the latest.
        method : str, optional
            Who predicts; else ``advised``.
        about : mapping, optional
            What stays the same in the stream.
        **settings
            As `Learner` takes them.

        Raises
        ------
        NotFoundError
            If there is no such task.
        ConflictError
            If there is a session of this name that was begun otherwise; what is left out may be anything.
        UnfitError
            If it does not fit together.
        """
        asked = {"task": task, "task_version": task_version, "method": method, "about": about, **settings}
        return Session(self, self._run(self._later.session, id, **asked))

    def sessions(
        self, *, task: str | None = None, status: str | None = None, search: str | None = None
    ) -> Iterator[SessionView]:
        """List sessions by their names.

        Parameters
        ----------
        task : str, optional
            Only those of this task.
        status : str, optional
            Only those that are ``active``, or ``archived``.
        search : str, optional
            Only those whose names hold this text.
        """
        after = ""
        while page := self._run(self._later.page_of_sessions, after, task=task, status=status, search=search):
            yield from page
            after = page[-1].id

    def load(self, path: str | Path, id: str | None = None) -> Session:  # noqa: A002 - as the service calls it
        """Begin a session with the file that `Learner.save` or `Session.save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.
        id : str, optional
            The session's name; else that of the stream in the file.

        Raises
        ------
        UsageError
            If there is no such file.
        UnfitError
            If it is none of a learner, or does not fit the service's model.
        ConflictError
            If there is a session of this name.
        """
        return Session(self, self._run(self._later.load, path, id))

    def put_task(self, task: Task | str, name: str | None = None) -> TaskView:
        """Keep a task in the service; what is there already makes no further version.

        Parameters
        ----------
        task : Task or str
            A task, the path of a task file, or the name of a shipped one.
        name : str, optional
            What it is called there; else as it calls itself.
        """
        return self._run(self._later.put_task, task, name)

    def tasks(self) -> list[TaskView]:
        """List tasks, every version of each, without their contents."""
        return self._run(self._later.tasks)

    def task(self, name: str, version: int | None = None) -> TaskView:
        """Show a task, its latest version where none is named."""
        return self._run(self._later.task, name, version)

    def predict_many(self, items: Iterable[Item]) -> list[PredictionView | LlmAsRnnError]:
        """Predict the outcomes of many observations, of any sessions, in few requests.

        Sessions are worked on at the same time, the items of each one in their order. What the service could not answer
        now is asked for again.

        Parameters
        ----------
        items : iterable of mapping
            ``session`` and ``x``, and an ``id`` of your own, if there is one.

        Returns
        -------
        list
            For each item the prediction, or the error that it met, which is not raised.
        """
        return self._run(self._later.predict_many, items)

    def learn_many(self, items: Iterable[Item]) -> list[OutcomeView | LlmAsRnnError]:
        """Tell many outcomes, of any sessions, in few requests; each is durable, and learned in the background.

        Parameters
        ----------
        items : iterable of mapping
            ``session``, ``id`` and ``y``, and ``replaces`` to correct.

        Returns
        -------
        list
            For each item what is known of the outcome, or the error that it met, which is not raised.
        """
        return self._run(self._later.learn_many, items)

    def spend(self, days: int = 30) -> list[SpendView]:
        """Say what was used, day by day, so many days back."""
        return self._run(self._later.spend, days)


class Session:
    """A stream whose memory a service keeps; `Client.session` gives it.

    Attributes
    ----------
    id : str
        Its name.
    """

    def __init__(self, client: Client, later: AsyncSession) -> None:
        self.id = later.id
        self._client, self._later = client, later
        self._run = client._run  # noqa: SLF001 - a session is a part of its client

    def __repr__(self) -> str:
        return repr(self._later).removeprefix("Async")

    @property
    def view(self) -> SessionView:
        """The session as a whole: how it was begun, how much waits, what it cost."""
        return self._run(self._later.view)

    @property
    def memory(self) -> MemoryView | None:
        """The memory as it is now; None for methods that keep none."""
        return self._run(self._later.memory)

    @property
    def versions(self) -> tuple[MemoryView, ...]:
        """The memories that the session went through, the oldest first."""
        return self._run(self._later.versions)

    @property
    def waiting(self) -> tuple[PredictionView, ...]:
        """The predictions whose outcomes were not learned yet, the oldest first; all steps up to the last are read."""
        return self._run(self._later.waiting)

    def predict_one(self, x: Mapping[str, Any], id: str | None = None) -> PredictionView:  # noqa: A002 - as in Learner
        """Predict the outcome of an observation; the same id with the same observation is the same prediction.

        Parameters
        ----------
        x : mapping
            The observation's fields.
        id : str, optional
            The name under which its outcome will be told; else one is made up.

        Returns
        -------
        PredictionView
            With ``id`` and ``values`` (None where there was no usable answer).

        Raises
        ------
        ConflictError
            If the id belongs to another observation.
        UnfitError
            If the observation lacks what the task shows.
        """
        return self._run(self._later.predict_one, x, id)

    def learn_one(
        self,
        id: str | int,  # noqa: A002 - as in Learner
        y: Mapping[str, Any],
        *,
        wait: float = 0.0,
        replaces: int | None = None,
    ) -> OutcomeView:
        """Tell the outcome of a prediction. It is durable when this returns, and twice is once.

        Parameters
        ----------
        id : str or int
            The prediction's name.
        y : mapping
            The outcome's fields.
        wait : float
            Seconds to wait for it to be learned; without that it is learned in the background, in order of arrival.
        replaces : int, optional
            The ``number`` of the outcome that this one corrects.

        Returns
        -------
        OutcomeView
            What is known of it: its ``status`` is ``waiting`` where it was not learned yet.

        Raises
        ------
        NotFoundError
            If there is no such prediction.
        ConflictError
            If another outcome was told, and this one does not say that it replaces that.
        UnfitError
            If it is no outcome of the task.
        """
        return self._run(self._later.learn_one, id, y, wait=wait, replaces=replaces)

    def prediction(self, id: str | int) -> StepView:  # noqa: A002 - as in Learner
        """Show a prediction, what the model was asked, and what came."""
        return self._run(self._later.prediction, id)

    def outcome(self, id: str | int) -> OutcomeView:  # noqa: A002 - as in Learner
        """Show the latest outcome that was told of a prediction, and what came of it."""
        return self._run(self._later.outcome, id)

    def predict_many(
        self, observations: Iterable[Mapping[str, Any]], ids: Sequence[str] | None = None
    ) -> list[PredictionView | LlmAsRnnError]:
        """Predict the outcomes of many observations, in their order and in few requests (see `Client.predict_many`)."""
        return self._run(self._later.predict_many, observations, ids)

    def learn_many(self, outcomes: Mapping[str, Mapping[str, Any]]) -> list[OutcomeView | LlmAsRnnError]:
        """Tell many outcomes, by the ids of their predictions (see `Client.learn_many`)."""
        return self._run(self._later.learn_many, outcomes)

    def steps(self, after: int = -1) -> Iterator[StepView]:
        """List the steps behind one, in order of time."""
        while page := self._run(self._later.page_of_steps, after):
            yield from page
            after = page[-1].prediction.t

    def scores(self) -> ScoresView:
        """Show the sums of scores, in all and by blocks of steps."""
        return self._run(self._later.scores)

    def diff(self, before: int, after: int | None = None) -> MemoryChange:
        """Say what changed from one version of the memory to another, or to the present one."""
        return self._run(self._later.diff, before, after)

    def restore(self, version: int) -> MemoryView:
        """Put an earlier version of the memory back, as a new one; predictions go on waiting.

        Raises
        ------
        NotFoundError
            If there is no such version, or the method keeps no memory.
        UnfitError
            If it is over the budget by now.
        """
        return self._run(self._later.restore, version)

    def edit(self, sections: Mapping[str, Iterable[str]], version: int | None = None) -> MemoryView:
        """Put what a person wrote in the place of parts of the memory, as a new version with its author.

        Parameters
        ----------
        sections : mapping
            The items of the parts that are to be others, by their names.
        version : int, optional
            The version that is edited; else the present one.

        Raises
        ------
        ConflictError
            If the memory is another version by now.
        UnfitError
            If there are no such parts, it is over the budget, or what is pinned would go.
        """
        return self._run(self._later.edit, sections, version)

    def pin(self, item: str) -> MemoryView:
        """Pin a note of the memory, as it stands there: no update drops or alters it."""
        return self._run(self._later.pin, item)

    def unpin(self, item: str) -> MemoryView:
        """Let a note that was pinned go again."""
        return self._run(self._later.unpin, item)

    def fork(self, id: str | None = None) -> Session:  # noqa: A002 - as the service calls it
        """Begin another session with what this one has learned; predictions that wait stay behind.

        Parameters
        ----------
        id : str, optional
            Its name; else one is made up.

        Raises
        ------
        ConflictError
            If there is a session of this name.
        """
        return Session(self._client, self._run(self._later.fork, id))

    def archive(self) -> SessionView:
        """Archive the session: it can be read, and takes nothing more."""
        return self._run(self._later.archive)

    def activate(self) -> SessionView:
        """Have an archived session go on."""
        return self._run(self._later.activate)

    def move(self, version: int | None = None) -> SessionView:
        """Go on with another version of the session's task, the latest where none is named."""
        return self._run(self._later.move, version)

    def delete(self) -> None:
        """Delete the session with all that belongs to it; there is no way back."""
        self._run(self._later.delete)

    def save(self, path: str | Path, wait: float = 60.0) -> None:
        """Write the session into a file that `Learner.load` reads, whole or not at all, for its owner alone.

        Parameters
        ----------
        path : str or Path
            The file.
        wait : float
            Seconds to wait for outcomes that are still to be learned: the file has no place for them.

        Raises
        ------
        ConflictError
            If there are some even then.
        UsageError
            If it cannot be written.
        DamagedError
            If it was damaged on the way.
        """
        self._run(self._later.save, path, wait)
