"""The client for async code; `synchronous` has the same verbs for other code."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from llm_as_rnn.catalogue import DEFAULT_METHOD
from llm_as_rnn.client.batches import Batch, Item
from llm_as_rnn.client.calling import PATIENCE, TIMEOUT, Calling, PassingError, Tries
from llm_as_rnn.core.door import plain_fields
from llm_as_rnn.core.errors import LlmAsRnnError, UsageError
from llm_as_rnn.core.files import as_path, read_file, unsealed, write_atomically
from llm_as_rnn.core.records import Section
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.engines.patience import OnPause
from llm_as_rnn.engines.wire import Reply, delay
from llm_as_rnn.service.bodies import (
    BatchOutcome,
    BatchPrediction,
    Fork,
    MemoryChange,
    MemoryEdit,
    Move,
    Pin,
    Restore,
)
from llm_as_rnn.service.errors import ConflictError, NotFoundError, UnreachableError
from llm_as_rnn.service.views import (
    MemoryView,
    NewOutcome,
    NewPrediction,
    NewSession,
    OutcomeView,
    PredictionView,
    ScoresView,
    SessionView,
    SpendView,
    StepView,
    TaskView,
)

T = TypeVar("T")

PAGE = 200
"""Entries of a list that are asked for at a time."""

LONG_WAIT = 30.0
"""Seconds for which a service is asked to wait at a time until an outcome is learned."""

FILE = "application/octet-stream"
"""The media type of a learner's file."""


class AsyncClient:
    """`Client` for async code: ``async with AsyncClient(url) as client: session = await client.session("seattle")``.

    Parameters and errors are those of `Client`. It belongs to the event loop in which it was entered.
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
        self._calling = Calling(url, key, patience=patience, timeout=timeout, on_pause=on_pause)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calling.where!r})"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Make ready; nothing is asked yet."""
        await self._calling.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._calling.close()

    async def session(
        self,
        id: str | None = None,  # noqa: A002 - as the service calls it
        *,
        task: Task | str | None = None,
        task_version: int | None = None,
        method: str | None = None,
        about: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> AsyncSession:
        """Begin a session, or go on with the one of this name (see `Client.session`)."""
        if task is None:
            if id is None or task_version is not None or method is not None or about is not None or settings:
                raise UsageError("a session is begun with a task", "name one, or the session alone to go on with it")
            return AsyncSession(self, id)
        name = _made_up() if id is None else id
        own = load_task(task) if isinstance(task, Task) or task.endswith((".yaml", ".yml")) else None
        wanted = NewSession(
            id=name,
            task=str(task) if own is None else own.name,
            task_version=task_version,
            method=DEFAULT_METHOD if method is None else method,
            about={} if about is None else plain_fields(about, "what is said about the stream"),
            settings=msgspec.to_builtins({knob: value for knob, value in settings.items() if value is not None}),
        )
        session = AsyncSession(self, name)
        try:
            _require_as_begun(await session.view(), wanted, method, about)
        except NotFoundError:
            if own is not None:
                put = await self.put_task(own)
                wanted = msgspec.structs.replace(wanted, task_version=put.version)
            await self._ask(SessionView, "POST", "/sessions", wanted)
        return session

    async def sessions(
        self, *, task: str | None = None, status: str | None = None, search: str | None = None
    ) -> AsyncIterator[SessionView]:
        """List sessions by their names (see `Client.sessions`)."""
        after = ""
        while page := await self.page_of_sessions(after, task=task, status=status, search=search):
            for view in page:
                yield view
            after = page[-1].id

    async def page_of_sessions(
        self, after: str = "", *, task: str | None = None, status: str | None = None, search: str | None = None
    ) -> list[SessionView]:
        """List the sessions behind a name, a page of them."""
        query = {"after": after, "limit": PAGE, "task": task, "status": status, "search": search}
        return await self._ask(list[SessionView], "GET", "/sessions", query=query)

    async def load(self, path: str | Path, id: str | None = None) -> AsyncSession:  # noqa: A002
        """Begin a session with a learner's file (see `Client.load`)."""
        try:
            content = await asyncio.to_thread(read_file, as_path(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
        tries = self._calling.tries()
        try:
            how = {"query": {"id": id}, "headers": {"Content-Type": FILE}, "tries": tries}
            view = await self._ask(SessionView, "POST", "/sessions/import", content, **how)
        except ConflictError as error:
            raise _perhaps_done(error, tries) from error
        return AsyncSession(self, view.id)

    async def put_task(self, task: Task | str, name: str | None = None) -> TaskView:
        """Keep a task in the service (see `Client.put_task`)."""
        found = load_task(task)
        content = msgspec.to_builtins(found)
        return await self._ask(TaskView, "PUT", f"/tasks/{_part(found.name if name is None else name)}", content)

    async def tasks(self) -> list[TaskView]:
        """List tasks, every version of each, without their contents."""
        return await self._ask(list[TaskView], "GET", "/tasks")

    async def task(self, name: str, version: int | None = None) -> TaskView:
        """Show a task, its latest version where none is named."""
        return await self._ask(TaskView, "GET", f"/tasks/{_part(name)}", query={"version": version})

    async def predict_many(self, items: Iterable[Item]) -> list[PredictionView | LlmAsRnnError]:
        """Predict the outcomes of many observations (see `Client.predict_many`)."""
        batch = Batch(self._calling, "/batch/predictions", PredictionView)
        return await batch.answered([_item(entry, "x", BatchPrediction) for entry in items])

    async def learn_many(self, items: Iterable[Item]) -> list[OutcomeView | LlmAsRnnError]:
        """Tell many outcomes (see `Client.learn_many`)."""
        batch = Batch(self._calling, "/batch/outcomes", OutcomeView)
        return await batch.answered([_item(entry, "y", BatchOutcome) for entry in items])

    async def spend(self, days: int = 30) -> list[SpendView]:
        """Say what was used, day by day, so many days back."""
        return await self._ask(list[SpendView], "GET", "/spend", query={"days": days})

    async def _ask(self, view: type[T], method: str, path: str, body: Any = None, **how: Any) -> T:
        """Ask, and read the answer; a body that is no bytes is sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        return self._read(view, await self._calling.send(method, path, content, **how))

    def _read(self, view: type[T], reply: Reply) -> T:
        try:
            return msgspec.json.decode(reply.content, type=view)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            where = self._calling.where
            raise UnreachableError(
                f"{where} did not answer as a service does: {error}", "check the address of the service, or upgrade"
            ) from error


class AsyncSession:
    """`Session` for async code; ``memory``, ``versions``, ``waiting`` and ``view`` are asked for, so they are methods.

    Parameters
    ----------
    client : AsyncClient
        Who asks.
    id : str
        The session's name.
    """

    def __init__(self, client: AsyncClient, id: str) -> None:  # noqa: A002 - as the service calls it
        self.id = id
        self._client = client
        self._calling = client._calling  # noqa: SLF001 - a session is a part of its client
        self._path = f"/sessions/{_part(id)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self._calling.where!r})"

    async def _ask(self, view: type[T], method: str, path: str, body: Any = None, **how: Any) -> T:
        return await self._client._ask(view, method, f"{self._path}{path}", body, **how)  # noqa: SLF001

    async def view(self) -> SessionView:
        """Show the session as a whole."""
        return await self._ask(SessionView, "GET", "")

    async def predict_one(self, x: Mapping[str, Any], id: str | None = None) -> PredictionView:  # noqa: A002
        """Predict the outcome of an observation (see `Session.predict_one`)."""
        return await self._ask(PredictionView, "POST", "/predictions", _prediction(x, id))

    async def learn_one(
        self,
        id: str | int,  # noqa: A002 - as in Learner
        y: Mapping[str, Any],
        *,
        wait: float = 0.0,
        replaces: int | None = None,
    ) -> OutcomeView:
        """Tell the outcome of a prediction (see `Session.learn_one`)."""
        path, body = (
            f"/predictions/{_part(id)}/outcome",
            NewOutcome(y=plain_fields(y, "the outcome"), replaces=replaces),
        )
        loop = asyncio.get_running_loop()
        until, told = loop.time() + wait, None
        while True:
            seconds = min(max(until - loop.time(), 0.0), LONG_WAIT)
            how: dict[str, Any] = {"query": {"wait": round(seconds, 3)}, "wait": seconds} if seconds else {}
            try:
                view: OutcomeView = await self._ask(OutcomeView, "PUT", path, body, **how)
            except ConflictError:
                if told is None:
                    raise
                return await self.outcome(id)  # it was corrected while its turn did not come
            if view.status != "waiting" or loop.time() >= until:
                return view
            told = view

    async def prediction(self, id: str | int) -> StepView:  # noqa: A002
        """Show a prediction, what the model was asked, and what came."""
        return await self._ask(StepView, "GET", f"/predictions/{_part(id)}")

    async def outcome(self, id: str | int) -> OutcomeView:  # noqa: A002
        """Show the latest outcome that was told of a prediction, and what came of it."""
        return await self._ask(OutcomeView, "GET", f"/predictions/{_part(id)}/outcome")

    async def predict_many(
        self, observations: Iterable[Mapping[str, Any]], ids: Sequence[str] | None = None
    ) -> list[PredictionView | LlmAsRnnError]:
        """Predict the outcomes of many observations (see `Session.predict_many`)."""
        rows = list(observations)
        if ids is not None and len(ids) != len(rows):
            raise UsageError(f"there are {len(rows)} observations and {len(ids)} ids", "give one for each, or none")
        named: Sequence[str | None] = [None] * len(rows) if ids is None else ids
        items = [{"session": self.id, "x": x, "id": name} for x, name in zip(rows, named, strict=True)]
        return await self._client.predict_many(items)

    async def learn_many(self, outcomes: Mapping[str, Mapping[str, Any]]) -> list[OutcomeView | LlmAsRnnError]:
        """Tell many outcomes, by the ids of their predictions (see `Session.learn_many`)."""
        items = [{"session": self.id, "id": name, "y": y} for name, y in outcomes.items()]
        return await self._client.learn_many(items)

    async def steps(self, after: int = -1) -> AsyncIterator[StepView]:
        """List the steps behind one, in order of time."""
        while page := await self.page_of_steps(after):
            for step in page:
                yield step
            after = page[-1].prediction.t

    async def page_of_steps(self, after: int = -1) -> list[StepView]:
        """List the steps behind one, a page of them."""
        return await self._ask(list[StepView], "GET", "/steps", query={"after": after, "limit": PAGE})

    async def waiting(self) -> tuple[PredictionView, ...]:
        """Give the predictions whose outcomes were not learned yet, the oldest first (see `Session.waiting`)."""
        left, found = (await self.view()).waiting, []
        if left:
            async for step in self.steps():
                if step.prediction.state == "waiting":
                    found.append(step.prediction)
                    if len(found) == left:
                        break
        return tuple(found)

    async def scores(self) -> ScoresView:
        """Show the sums of scores, in all and by blocks of steps."""
        return await self._ask(ScoresView, "GET", "/scores")

    async def memory(self, version: int | None = None) -> MemoryView | None:
        """Show the memory as it is now, or a version of it; None for methods that keep none."""
        try:
            return await self._ask(MemoryView, "GET", "/memory" if version is None else f"/memory/versions/{version}")
        except NotFoundError:
            if version is None and (await self.view()).memory_version is None:
                return None
            raise

    async def versions(self, after: int = -1) -> tuple[MemoryView, ...]:
        """Give the versions of the memory that came after a revision of the session, the oldest first."""
        found: list[MemoryView] = []
        while page := await self._ask(
            list[MemoryView], "GET", "/memory/versions", query={"after": after, "limit": PAGE}
        ):
            found += page
            after = page[-1].revision
        return tuple(found)

    async def diff(self, before: int, after: int | None = None) -> MemoryChange:
        """Say what changed from one version of the memory to another, or to the present one."""
        return await self._ask(MemoryChange, "GET", "/memory/diff", query={"from": before, "to": after})

    async def restore(self, version: int) -> MemoryView:
        """Put an earlier version of the memory back, as a new one (see `Session.restore`)."""
        last = (await self._present()).revision
        content, tries = msgspec.json.encode(Restore(version=version)), self._calling.tries()
        while True:
            try:
                reply = await self._calling.once("POST", f"{self._path}/memory/restore", content)
                return self._client._read(MemoryView, reply)  # noqa: SLF001
            except PassingError as error:
                await tries.again(error.refusal)
            if (done := await self._restored(version, last)) is not None:
                return done

    async def _restored(self, version: int, last: int) -> MemoryView | None:
        """Find a restoration that was done and whose answer was lost: it has no name by which it could be asked for."""
        wanted = await self._ask(MemoryView, "GET", f"/memory/versions/{version}")
        came = await self.versions(last)
        return next((entry for entry in came if entry.t is None and entry.text == wanted.text), None)

    async def edit(self, sections: Mapping[str, Iterable[str]], version: int | None = None) -> MemoryView:
        """Put what a person wrote in the place of parts of the memory, as a new version (see `Session.edit`)."""
        parts = tuple(Section(str(name), tuple(map(str, items))) for name, items in sections.items())
        number = (await self._present()).version if version is None else version
        tries = self._calling.tries()
        how = {"headers": {"If-Match": f'"{number}"'}, "tries": tries}
        try:
            return await self._ask(MemoryView, "PUT", "/memory", MemoryEdit(sections=parts), **how)
        except ConflictError:
            present = await self._present() if tries.failed else None
            there = () if present is None or present.version <= number else present.sections
            if present is None or not set(parts) <= set(there):
                raise
            return present  # it was done, and its answer lost

    async def pin(self, item: str) -> MemoryView:
        """Pin a note of the memory, as it stands there: no update drops or alters it."""
        return await self._ask(MemoryView, "PUT", "/memory/pins", Pin(item=item))

    async def unpin(self, item: str) -> MemoryView:
        """Let a note that was pinned go again."""
        return await self._ask(MemoryView, "DELETE", "/memory/pins", query={"item": item})

    async def fork(self, id: str | None = None) -> AsyncSession:  # noqa: A002
        """Begin another session with what this one has learned (see `Session.fork`)."""
        name, tries = _made_up() if id is None else id, self._calling.tries()
        try:
            await self._ask(SessionView, "POST", "/fork", Fork(id=name), tries=tries)
        except ConflictError as error:
            if id is not None or not tries.failed:
                raise _perhaps_done(error, tries) from error
        return AsyncSession(self._client, name)

    async def archive(self) -> SessionView:
        """Archive the session: it can be read, and takes nothing more."""
        return await self._ask(SessionView, "POST", "/archive")

    async def activate(self) -> SessionView:
        """Have an archived session go on."""
        return await self._ask(SessionView, "POST", "/activate")

    async def move(self, version: int | None = None) -> SessionView:
        """Go on with another version of the session's task, the latest where none is named."""
        return await self._ask(SessionView, "POST", "/move", Move(task_version=version))

    async def delete(self) -> None:
        """Delete the session with all that belongs to it; there is no way back."""
        tries = self._calling.tries()
        try:
            await self._calling.send("DELETE", self._path, tries=tries)
        except NotFoundError:
            if not tries.failed:
                raise

    async def save(self, path: str | Path, wait: float = 60.0) -> None:
        """Write the session into a file that `Learner.load` reads (see `Session.save`)."""
        loop = asyncio.get_running_loop()
        until, looks = loop.time() + wait, 0
        while True:
            try:
                reply = await self._calling.send("GET", f"{self._path}/export")
                break
            except ConflictError:  # outcomes are still to be learned
                pause = delay(looks)
                if loop.time() + pause > until:
                    raise
            await asyncio.sleep(pause)
            looks += 1
        unsealed(reply.content)  # what was damaged on the way is not kept
        try:
            await asyncio.to_thread(write_atomically, as_path(path), reply.content, private=True)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror or os.fspath(path)}", "make room there, or choose another"
            ) from error

    async def _present(self) -> MemoryView:
        return await self._ask(MemoryView, "GET", "/memory")


def _made_up() -> str:
    """Make a name of our own, so that the same thing asked twice is the same."""
    return uuid.uuid4().hex


def _part(name: str | int) -> str:
    """Give a name as a part of a path.

    Examples
    --------
    >>> _part("may/1"), _part("#0"), _part("..")
    ('may%2F1', '%230', '%2E%2E')
    """
    text = str(name)
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _prediction(x: Mapping[str, Any], name: str | None) -> NewPrediction:
    if name is not None and not isinstance(name, str):
        raise UsageError(f"in a service an id is text, and {name!r} is none", f"give {str(name)!r}")
    return NewPrediction(x=plain_fields(x, "the observation"), id=_made_up() if name is None else name)


def _item(entry: Item, what: str, kind: type[T]) -> T:
    """Read an item of a batch."""
    if isinstance(entry, kind):
        return entry
    if not isinstance(entry, Mapping):
        raise UsageError("an item of a batch is values by name", 'write {"session": ..., "id": ...}')
    fields = {**entry, what: plain_fields(entry.get(what), "the observation" if what == "x" else "the outcome")}
    if fields.get("id") is None and what == "x":
        fields["id"] = _made_up()
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"this is no item of a batch: {error}", f'give "session", "id" and "{what}"') from error


def _perhaps_done(error: ConflictError, tries: Tries) -> ConflictError:
    """Give an error that says so where it may be about what was asked for at first."""
    if not tries.failed:
        return error
    return ConflictError(
        f"{error.message}, which may be the one that was asked for: no answer came at first", "look at it, and use it"
    )


def _require_as_begun(
    view: SessionView, wanted: NewSession, method: str | None, about: Mapping[str, Any] | None
) -> None:
    """Refuse what says something else than a session was begun with; what is not said may be anything.

    Raises
    ------
    ConflictError
        If it does.
    """
    said: list[tuple[str, Any, Any]] = [("task", view.task, wanted.task)]
    if wanted.task_version is not None:
        said.append(("task_version", view.task_version, wanted.task_version))
    if method is not None:
        said.append(("method", view.method, method))
    if about is not None:
        said.append(("about", view.about, wanted.about))
    said += [(name, view.settings.get(name), value) for name, value in wanted.settings.items()]
    for name, begun, now in said:
        if begun != now:
            how = f"without {name}" if begun is None else f"with {name}={begun!r}"
            raise ConflictError(f"the session {view.id!r} was begun {how}, and not with {now!r}", "choose another name")
