"""The service's verbs, without HTTP: what a caller may do with its tasks and sessions.

A prediction is one read, the model, and one durable write. An outcome is one durable write; `learning` takes it from
there. Whatever changes a state says which one it was made from (`present.commit`), and begins again where that is gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from llm_as_rnn.core.door import plain_fields
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import LlmAsRnnError, UsageError
from llm_as_rnn.core.method import Calls, count_tokens
from llm_as_rnn.core.records import Call, SequenceInfo, Status
from llm_as_rnn.core.task import Task, load_task, shipped_tasks
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.recurrence.budget import require_room
from llm_as_rnn.service import rows
from llm_as_rnn.service.asked import Hearing
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.errors import ArchivedError, ConflictError, NotFoundError, UnfitError
from llm_as_rnn.service.present import Lost, Present, bare, commit
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.schema import outcomes, predictions, sessions, states, sums, versions
from llm_as_rnn.service.showing import memory_view, outcome_view, prediction_view, session_view, step_view
from llm_as_rnn.service.signals import Signals
from llm_as_rnn.service.store import Store, now
from llm_as_rnn.service.views import MemoryView, NewOutcome, NewPrediction, NewSession, OutcomeView, PredictionView, ScoresView, SessionView, StepView
from llm_as_rnn.streams.live import outcome as read_outcome
from llm_as_rnn.streams.live import measured, require_alike
from llm_as_rnn.streams.online import Stream, Version, ask, begin, restore, was_learned
from llm_as_rnn.streams.replaying import Id, Waiting
from llm_as_rnn.streams.saved import Saved, packed, unpacked

T = TypeVar("T")

ATTEMPTS = 20
"""How often a change is begun again because somebody else was first."""
LOOK = 0.25
"""Seconds after which whoever waits looks what other processes did."""


class Sessions:
    """What can be done.

    Parameters
    ----------
    store : Store
        The database.
    engine : Engine
        What answers; open already.
    seat : callable, optional
        Gives the engine for a session, by its number, where a session should stay with the server that has its prefix.
    model : str
        What the engine is called in files that leave the service.
    """

    def __init__(
        self, store: Store, engine: Engine, seat: Callable[[int], Engine] | None = None, model: str | None = None
    ) -> None:
        self.store = store
        self.engine = engine
        self.seat = seat or (lambda number: engine)
        self.model = engine.info.model if model is None else model
        self.present = Present(engine.info)
        self.signals = Signals()
        self.due = asyncio.Event()
        """Set when an outcome has come that is to be learned."""

    # Tasks

    async def put_task(self, caller: Caller, name: str, content: Mapping[str, Any]) -> Row:
        """Keep a task under a name: a new version, unless it is the same as the latest.

        Raises
        ------
        UnfitError
            If it is no task.
        """
        try:
            task = msgspec.convert({"name": name, **content}, Task)
        except (msgspec.ValidationError, ValueError) as error:
            raise UnfitError(f"this is no task: {error}", "see docs/tutorial.md for what a task has") from error
        return await self.store.write(lambda connection: rows.put_task(connection, caller.tenant, name, rows.text(task)))

    async def _task(self, caller: Caller, name: str, version: int | None) -> Row:
        """Find a task's version; a shipped task is the tenant's own from its first use on."""
        found = await self.store.read(lambda connection: rows.task_row(connection, caller.tenant, name, version))
        if found is None and version in (None, 1) and name in shipped_tasks():
            content = rows.text(load_task(name))
            found = await self.store.write(lambda connection: rows.put_task(connection, caller.tenant, name, content))
        if found is None:
            which = name if version is None else f"{name}, version {version}"
            raise NotFoundError(f"there is no task {which}", f"put it, or use one of {', '.join(shipped_tasks())}")
        return found

    # Sessions

    async def create(self, caller: Caller, new: NewSession) -> SessionView:
        """Begin a session; again under the same name, with the same content, gives the one that is there.

        Raises
        ------
        NotFoundError
            If there is no such task.
        UnfitError
            If method or settings do not fit, or the first memory is over the budget.
        ConflictError
            If there is a session of this name that was begun otherwise.
        """
        task = await self._task(caller, new.task, new.task_version)
        settings = rows.text(dict(sorted(new.settings.items())))
        about = _fitting(plain_fields, new.about, "what is said about the stream")
        name = secrets.token_hex(8) if new.id is None else new.id
        predictor = self.present.predictors.of(task.content, new.method, settings)
        await self._computed(require_room(predictor.task, predictor.settings.budget))
        stream = begin(predictor.method, SequenceInfo(name, about))
        stream = await self._computed(measured(predictor.method, stream, predictor.settings.budget, self.model))

        def creating(connection: sa.Connection) -> Row:
            values = {"method": new.method, "settings": settings, "about": rows.text(about), "task": task.number}
            self._insert(connection, caller, name, values, predictor, stream)
            return rows.find(connection, caller.tenant, name)

        try:
            return session_view(await self.store.write(creating))
        except IntegrityError:
            row = await self.store.read(lambda connection: rows.find(connection, caller.tenant, name))
            if (row.task, row.method, row.settings, row.about) != (task.number, new.method, settings, rows.text(about)):
                raise ConflictError(f"there is another session {name!r}", "choose another name") from None
            return session_view(row)

    def _insert(
        self,
        connection: sa.Connection,
        caller: Caller,
        name: str,
        values: Mapping[str, Any],
        predictor: Predictor,
        stream: Stream,
        author: str = "model",
    ) -> int:
        """Insert a session with its state, what waits in it, and the versions of its memory."""
        at = now(connection)
        memory = predictor.method.memory(stream.state)
        every = {
            **values,
            "tenant": caller.tenant,
            "id": name,
            "steps": stream.t,
            "waiting": len(stream.waiting),
            "revision": len(stream.versions),
            "memory_version": None if memory is None else memory.version,
            "created": at,
            "changed": at,
        }
        inserted = sa.insert(sessions).values(every).returning(sessions.c.number)
        number: int = connection.execute(inserted).scalar_one()
        connection.execute(sa.insert(states).values(session=number, content=rows.text(bare(stream))))
        for revision, entry in enumerate(stream.versions, 1):
            connection.execute(sa.insert(versions).values(rows.version_row(number, revision, entry, author, at)))
        for waiting in stream.waiting:
            row = {"session": number, "t": waiting.observation.t, "id": rows.text(waiting.id), "created": at}
            connection.execute(sa.insert(predictions).values(row | {"content": rows.text(waiting), "status": "waiting"}))
        return number

    async def get(self, caller: Caller, session: str) -> SessionView:
        """Show a session."""
        return session_view(await self._row(caller, session))

    async def list(
        self,
        caller: Caller,
        after: str = "",
        limit: int = 100,
        task: str | None = None,
        status: str | None = None,
        search: str | None = None,
    ) -> list[SessionView]:
        """List the caller's sessions by name, those after a name."""
        found = await self.store.read(
            lambda connection: rows.page(connection, caller.tenant, after, limit, task, status, search)
        )
        return [session_view(row) for row in found]

    async def set_status(self, caller: Caller, session: str, status: str) -> SessionView:
        """Archive a session, or activate it again. What was told before is learned in an archived one, too."""

        def setting(connection: sa.Connection) -> Row:
            row = rows.find(connection, caller.tenant, session)
            connection.execute(sa.update(sessions).where(sessions.c.number == row.number).values(status=status))
            return rows.find(connection, caller.tenant, session)

        return session_view(await self.store.write(setting))

    async def delete(self, caller: Caller, session: str) -> None:
        """Delete a session with all that belongs to it."""

        def deleting(connection: sa.Connection) -> int:
            row = rows.find(connection, caller.tenant, session)
            connection.execute(sa.delete(sessions).where(sessions.c.number == row.number))
            return int(row.number)

        number = await self.store.write(deleting)
        self.present.drop(number)
        self.signals.happened(number)

    async def fork(self, caller: Caller, session: str, new: str | None = None) -> SessionView:
        """Begin another session with what this one has learned so far.

        Its memory and the history of that go along, and all else that it knows; predictions that wait stay behind.
        """
        name = secrets.token_hex(8) if new is None else new

        def forking(connection: sa.Connection) -> Row:
            loaded = rows.load(connection, caller.tenant, session)
            row = loaded.row
            entries = self._entries(connection, row.number, self.present.predictor(row).keeping.keep_versions)
            predictor = self.present.predictor(row)
            stream = predictor.revive((loaded.state or "").encode())
            values = {"method": row.method, "settings": row.settings, "about": row.about, "task": row.task}
            stream = msgspec.structs.replace(stream, t=row.steps, versions=entries)
            self._insert(connection, caller, name, values, predictor, stream)
            return rows.find(connection, caller.tenant, name)

        try:
            return session_view(await self.store.write(forking))
        except IntegrityError:
            raise ConflictError(f"there is a session {name!r}", "choose another name") from None

    async def move(self, caller: Caller, session: str, version: int | None = None) -> SessionView:
        """Go on with another version of the session's task, the latest where none is named.

        Raises
        ------
        UnfitError
            If its memory has other sections, or its answer other fields.
        """
        row = await self._row(caller, session)
        task = await self._task(caller, row.task_name, version)
        after = self.present.predictors.of(task.content, row.method, row.settings)
        _fitting(require_alike, self.present.predictor(row).task, after.task)

        def moving(connection: sa.Connection) -> Row:
            same = (sessions.c.number == row.number, sessions.c.task == row.task)
            moved = connection.execute(sa.update(sessions).where(*same).values(task=task.number))
            if not moved.rowcount:
                raise ConflictError("the session was moved meanwhile", "look at it again")
            return rows.find(connection, caller.tenant, session)

        return session_view(await self.store.write(moving))

    # A learner's file

    async def dump(self, caller: Caller, session: str) -> bytes:
        """Give a session as the file that `Learner.save` writes.

        Raises
        ------
        ConflictError
            While outcomes are due: the file has no place for what was told and is not learned.
        """

        def reading(connection: sa.Connection) -> tuple[Loaded, Stream]:
            loaded = rows.load(connection, caller.tenant, session)
            if loaded.row.due:
                raise ConflictError(f"{loaded.row.due} outcomes are still to be learned", "ask again when they are")
            predictor = self.present.predictor(loaded.row)
            keeping = predictor.keeping
            stream = predictor.revive((loaded.state or "").encode())
            ended = self._ended(connection, loaded.row.number)
            learned = (*stream.learned, *ended["learned"])
            given_up = (*stream.given_up, *ended["given_up"])
            return loaded, msgspec.structs.replace(
                stream,
                t=loaded.row.steps,
                waiting=self._waiting(connection, loaded.row.number),
                versions=self._entries(connection, loaded.row.number, keeping.keep_versions),
                learned=learned[-keeping.remember :],
                forgotten=stream.forgotten + len(learned[: -keeping.remember]),
                given_up=given_up[-keeping.remember :],
                abandoned=stream.abandoned + len(ended["given_up"]),
            )

        loaded, stream = await self.store.read(reading)
        row, predictor = loaded.row, self.present.predictor(loaded.row)
        about = msgspec.json.decode(row.about, type=dict[str, Any])
        content = msgspec.Raw(msgspec.json.encode(stream))
        saved = Saved(predictor.task, row.method, self.model, predictor.choices, SequenceInfo(row.id, about), content)
        return packed(saved, session)

    async def load(self, caller: Caller, content: bytes, name: str | None = None) -> SessionView:
        """Begin a session with a learner's file.

        Raises
        ------
        UnfitError
            If it is none, does not fit this engine, or was made with templates of its own.
        ConflictError
            If there is a session of this name.
        """
        try:
            saved = unpacked(content, "this file")
        except LlmAsRnnError as error:
            raise UnfitError(error.message, error.hint) from error
        if saved.own_prompts:
            raise UnfitError("it was made with prompts of its own", "the service has the shipped ones alone")
        chosen = rows.text({knob: value for knob, value in sorted(saved.choices.items()) if value is not None})
        task = await self.put_task(caller, saved.task.name, msgspec.to_builtins(saved.task))
        predictor = self.present.predictors.of(task.content, saved.method, chosen)
        budget = predictor.settings.budget
        stream: Stream = _fitting(_revived, predictor, bytes(saved.stream))
        stream = await self._computed(measured(predictor.method, stream, budget, self.model))
        about, name = rows.text(saved.sequence.about), saved.sequence.id if name is None else name

        def creating(connection: sa.Connection) -> Row:
            values = {"method": saved.method, "settings": chosen, "about": about, "task": task.number}
            self._insert(connection, caller, name, values, predictor, stream)
            return rows.find(connection, caller.tenant, name)

        try:
            return session_view(await self.store.write(creating))
        except IntegrityError:
            raise ConflictError(f"there is a session {name!r}", "choose another name") from None

    @staticmethod
    def _entries(connection: sa.Connection, session: int, most: int) -> tuple[Version, ...]:
        asked = sa.select(versions.c.content).where(versions.c.session == session)
        latest = connection.execute(asked.order_by(versions.c.revision.desc()).limit(most)).scalars()
        return tuple(msgspec.json.decode(content, type=Version) for content in latest)[::-1]

    @staticmethod
    def _waiting(connection: sa.Connection, session: int) -> tuple[Waiting, ...]:
        asked = sa.select(predictions.c.content).where(
            predictions.c.session == session, predictions.c.status == "waiting"
        )
        return tuple(map(rows.read_waiting, connection.execute(asked.order_by(predictions.c.t)).scalars()))

    @staticmethod
    def _ended(connection: sa.Connection, session: int) -> dict[str, tuple[Id, ...]]:
        """Give the ids of predictions that wait no longer, by what became of them; in the order of steps."""
        asked = sa.select(predictions.c.status, predictions.c.id).where(
            predictions.c.session == session, predictions.c.status != "waiting"
        )
        found: dict[str, list[Id]] = {"learned": [], "given_up": []}
        for status, name in connection.execute(asked.order_by(predictions.c.t)):
            found[status].append(msgspec.json.decode(name, type=Id))
        return {status: tuple(names) for status, names in found.items()}

    # Predictions

    async def predict(self, caller: Caller, session: str, new: NewPrediction) -> PredictionView:
        """Predict the outcome of an observation; the same id with the same observation is the same prediction.

        Raises
        ------
        ConflictError
            If the id belongs to another observation, or its outcome was learned before the session came here.
        ArchivedError
            If the session is archived.
        UnfitError
            If the observation cannot be kept, or lacks what the task shows.
        EngineUnavailableError
            If the model cannot be asked now. Nothing was kept: ask again.
        """
        fields = _fitting(plain_fields, new.x, "the observation")

        def reading(connection: sa.Connection) -> tuple[Loaded, Row | None]:
            loaded = rows.load(connection, caller.tenant, session, self.present.known(caller.tenant, session))
            return loaded, None if new.id is None else rows.prediction(connection, loaded.row.number, new.id)

        for _ in range(ATTEMPTS):
            loaded, kept = await self.store.read(reading)
            if kept is not None and not self._is_to_be_asked_again(kept):
                return self._the_same(kept, fields)
            if loaded.row.status != "active":
                raise ArchivedError(f"the session {session!r} is archived", "activate it")
            try:
                predictor, stream = self.present.of(loaded)
            except Lost:
                continue
            return await self._predicted(loaded.row, predictor, stream, fields, new.id, kept)
        raise ConflictError("the session changes too quickly", "ask again")

    async def _predicted(
        self, row: Row, predictor: Predictor, stream: Stream, fields: dict[str, Any], name: str | None, kept: Row | None
    ) -> PredictionView:
        calls: list[Call] = []
        engine = Hearing(self.seat(row.number))
        asking = ask(predictor.method, stream, row.id, fields, name, predictor.keeping)
        try:
            _, made = await drive(asking, engine, calls)
        except UsageError as error:
            known = name is not None and was_learned(stream, name)
            raise (ConflictError if known else UnfitError)(error.message, error.hint) from error
        asked = None if engine.last is None else rows.text(engine.last)

        def keeping(connection: sa.Connection) -> Row:
            if kept is not None:
                again = msgspec.structs.replace(
                    made, observation=msgspec.structs.replace(made.observation, t=kept.t)
                )
                rows.replace_prediction(connection, row.number, again, asked, calls)
                return rows.find_prediction(connection, row.number, again.id)
            added = rows.add_prediction(
                connection, row.number, made, name is not None, asked, calls, predictor.keeping.max_waiting
            )
            return rows.find_prediction(connection, row.number, added.id)

        try:
            found = await self.store.write(keeping)
        except IntegrityError:  # the same id was asked twice at the same time, and the other one was first
            found = await self.store.read(lambda connection: rows.find_prediction(connection, row.number, str(name)))
            return self._the_same(found, fields)
        self.signals.happened(row.number)
        return prediction_view(found)

    @staticmethod
    def _is_to_be_asked_again(kept: Row) -> bool:
        answered = rows.read_waiting(kept.content).prediction.status is not Status.ENGINE_ERROR
        return kept.status == "waiting" and not answered

    @staticmethod
    def _the_same(kept: Row, fields: Mapping[str, Any]) -> PredictionView:
        waiting = rows.read_waiting(kept.content)
        if waiting.observation.fields != fields:
            raise ConflictError(
                f"the id {waiting.id!r} belongs to another observation", "give each prediction its own id"
            )
        return prediction_view(kept)

    async def prediction(self, caller: Caller, session: str, name: str) -> StepView:
        """Show a prediction, with what became of it."""

        def reading(connection: sa.Connection) -> StepView:
            row = rows.find(connection, caller.tenant, session)
            kept = rows.find_prediction(connection, row.number, name)
            told = rows.told(connection, row.number, kept.t)
            return step_view(kept, told[-1] if told else None, with_prompt=True)

        return await self.store.read(reading)

    async def steps(self, caller: Caller, session: str, after: int = -1, limit: int = 100) -> list[StepView]:
        """List steps, those after one."""

        def reading(connection: sa.Connection) -> list[StepView]:
            row = rows.find(connection, caller.tenant, session)
            asked = sa.select(predictions).where(predictions.c.session == row.number, predictions.c.t > after)
            kept = connection.execute(asked.order_by(predictions.c.t).limit(limit)).all()
            wanted = (outcomes.c.session == row.number, outcomes.c.t.in_([one.t for one in kept]))
            told = connection.execute(sa.select(outcomes).where(*wanted).order_by(outcomes.c.number)).all()
            latest = {one.t: one for one in told}
            return [step_view(one, latest.get(one.t)) for one in kept]

        return await self.store.read(reading)

    # Outcomes

    async def tell(self, caller: Caller, session: str, name: str, new: NewOutcome) -> OutcomeView:
        """Take an outcome, to be learned in the order of arrival; it is durable when this returns.

        Raises
        ------
        NotFoundError
            If there is no such prediction.
        ConflictError
            If another outcome was told and this one does not say that it replaces that.
        UnfitError
            If it is no outcome of the task.
        """

        def telling(connection: sa.Connection) -> Row:
            row = rows.find(connection, caller.tenant, session, lock=True)
            content = rows.text(_fitting(read_outcome, self.present.predictor(row).task, new.y))
            kept = rows.find_prediction(connection, row.number, name)
            told = rows.told(connection, row.number, kept.t)
            latest = told[-1] if told else None
            if latest is not None and latest.content == content and new.replaces in (None, latest.replaces):
                return latest
            _require_right_to_replace(latest, new.replaces)
            if kept.status == "given_up":
                raise ConflictError("the prediction was given up, because too many waited", "allow more: max_waiting")
            if row.status != "active":
                raise ArchivedError(f"the session {session!r} is archived", "activate it")
            if latest is not None:
                rows.supersede(connection, row.number, latest.number)
            return rows.add_outcome(connection, row.number, kept.t, content, new.replaces)

        row = await self.store.write(telling)
        self.due.set()
        return outcome_view(row, name)

    async def outcome(self, caller: Caller, session: str, name: str) -> OutcomeView:
        """Show the latest outcome of a prediction."""

        def reading(connection: sa.Connection) -> OutcomeView:
            row = rows.find(connection, caller.tenant, session)
            kept = rows.find_prediction(connection, row.number, name)
            told = rows.told(connection, row.number, kept.t)
            if not told:
                raise NotFoundError(f"no outcome of {name!r} was told", "tell it when it is known")
            return outcome_view(told[-1], rows.read_waiting(kept.content).id)

        return await self.store.read(reading)

    async def wait(self, caller: Caller, session: str, name: str, seconds: float) -> OutcomeView:
        """Show the latest outcome of a prediction once it was learned, or after so many seconds as it is then."""
        number = (await self._row(caller, session)).number
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            found = await self.outcome(caller, session, name)
            left = until - loop.time()
            if found.status != "waiting" or left <= 0:
                return found
            await self.signals.wait(number, min(left, LOOK))

    # The memory

    async def memory(self, caller: Caller, session: str, version: int | None = None) -> MemoryView:
        """Show a version of the memory, the present one where none is named."""

        def reading(connection: sa.Connection) -> MemoryView:
            row = rows.find(connection, caller.tenant, session)
            return memory_view(rows.present_version(connection, row.number, version))

        return await self.store.read(reading)

    async def versions(self, caller: Caller, session: str, after: int = -1, limit: int = 100) -> list[MemoryView]:
        """List the versions of the memory that came after a revision, the oldest first."""

        def reading(connection: sa.Connection) -> list[MemoryView]:
            row = rows.find(connection, caller.tenant, session)
            asked = sa.select(versions).where(versions.c.session == row.number, versions.c.revision > after)
            return [memory_view(one) for one in connection.execute(asked.order_by(versions.c.revision).limit(limit))]

        return await self.store.read(reading)

    async def restore(self, caller: Caller, session: str, version: int) -> MemoryView:
        """Put an earlier version of the memory back, as a new one.

        Raises
        ------
        NotFoundError
            If there is no such version.
        UnfitError
            If it is over the budget by now.
        """
        row = await self._row(caller, session)
        found = await self.store.read(lambda connection: rows.present_version(connection, row.number, version))
        entry = msgspec.json.decode(found.content, type=Version)

        def change(predictor: Predictor, stream: Stream) -> Calls[Stream]:
            tokens = yield from count_tokens(str(entry.memory))
            return restore(predictor.method, stream, version, predictor.settings.budget, tokens, predictor.keeping)

        return await self._change(caller, session, change, (entry,))

    async def _change(
        self,
        caller: Caller,
        session: str,
        change: Callable[[Predictor, Stream], Calls[Stream]],
        entries: tuple[Version, ...] = (),
    ) -> MemoryView:
        """Have a person's change take the place of the present state, and show the memory that it brought.

        The stream that is changed has the entries, and the present one, for its versions.
        """
        for _ in range(ATTEMPTS):
            known = self.present.known(caller.tenant, session)
            loaded, latest = await self.store.read(lambda connection: self._with_latest(connection, caller, session, known))
            try:
                predictor, stream = self.present.of(loaded)
                stream = msgspec.structs.replace(stream, versions=(*entries, *latest))
                after = await self._computed(change(predictor, stream))
                new = after.versions[len(entries) + len(latest) :]
                row = loaded.row

                def keeping(connection: sa.Connection) -> tuple[int, Row]:
                    revision = commit(connection, row, predictor, bare(after), new, caller.name)
                    return revision, rows.present_version(connection, row.number, None)

                revision, shown = await self.store.write(keeping)
            except Lost:
                continue
            self.present.keep(row, revision, bare(after))
            self.signals.happened(row.number)
            return memory_view(shown)
        raise ConflictError("the session changes too quickly", "ask again")

    def _with_latest(
        self, connection: sa.Connection, caller: Caller, session: str, known: int
    ) -> tuple[Loaded, tuple[Version, ...]]:
        loaded = rows.load(connection, caller.tenant, session, known)
        asked = sa.select(versions.c.content).where(versions.c.session == loaded.row.number)
        highest = connection.execute(asked.order_by(versions.c.version.desc()).limit(1)).scalars()
        return loaded, tuple(msgspec.json.decode(content, type=Version) for content in highest)

    # Figures

    async def scores(self, caller: Caller, session: str) -> ScoresView:
        """Give the sums of scores, in all and by blocks of steps."""

        def reading(connection: sa.Connection) -> ScoresView:
            row = rows.find(connection, caller.tenant, session)
            asked = sa.select(sums.c.block, sums.c.content).where(sums.c.session == row.number).order_by(sums.c.block)
            blocks = {block: msgspec.json.decode(content) for block, content in connection.execute(asked)}
            return ScoresView(total=msgspec.json.decode(row.sums), blocks=blocks, steps_in_block=rows.BLOCK)

        return await self.store.read(reading)

    # What all share

    async def _row(self, caller: Caller, session: str) -> Row:
        return await self.store.read(lambda connection: rows.find(connection, caller.tenant, session))

    async def _computed(self, calls: Calls[T]) -> T:
        """Compute what may count tokens; what it refuses does not fit."""
        try:
            return await drive(calls, self.engine)
        except UsageError as error:
            raise UnfitError(error.message, error.hint) from error


def _revived(predictor: Predictor, content: bytes) -> Stream:
    versions_too = predictor.revive(content)
    kept = msgspec.json.decode(content, type=_Kept)
    return msgspec.structs.replace(versions_too, versions=kept.versions)


class _Kept(msgspec.Struct):
    """The versions in a learner's file."""

    versions: tuple[Version, ...] = ()


def _require_right_to_replace(latest: Row | None, replaces: int | None) -> None:
    if latest is None:
        if replaces is not None:
            raise ConflictError(f"there is no outcome {replaces} to be replaced", "tell the outcome as the first one")
    elif replaces != latest.number:
        raise ConflictError(
            "another outcome was told of this prediction",
            f'if this one corrects it, say so: "replaces": {latest.number}',
        )


def _fitting(work: Callable[..., T], *arguments: Any) -> T:
    """Do what refuses what does not fit, as an error of the service."""
    try:
        return work(*arguments)
    except UsageError as error:
        raise UnfitError(error.message, error.hint) from error
