"""What a session should have come to by `streams.online` alone: of outcomes, and of memories that people put there."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.records import SequenceInfo
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.service.predictors import Predictor, Predictors
from llm_as_rnn.streams.live import measured
from llm_as_rnn.streams.online import Stream, Version, begin, correct, tell
from llm_as_rnn.streams.replaying import Waiting
from tests.service.torture.tables import Row, Session, as_json, plain


class Replayed(NamedTuple):
    """What came of a replay.

    Attributes
    ----------
    faults : list of str
        Where the session is not what it should be.
    states : dict of int to Stream
        By revision, what it was.
    """

    faults: list[str]
    states: dict[int, Stream]


class Replayer:
    """Replays sessions.

    Parameters
    ----------
    engine : Engine
        One that answers as the session's own did, but for its failures.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._predictors = Predictors(engine.info)
        self._done: list[tuple[Session, Replayed]] = []

    async def replay(self, session: Session) -> list[str]:
        """Replay a session and compare; a fork begins with a state of a session that was replayed before.

        Returns
        -------
        list of str
            What is not as it should be.
        """
        predictor = self._predictors.of(session.task, session.row.method, session.row.settings)
        begun = await self._begun(session, predictor)
        if not begun:
            return [f"{session.name}: no session has its first versions"]
        tried = [await self._from(session, predictor, stream) for stream in begun]
        best = min(tried, key=lambda one: len(one.faults))
        self._done.append((session, best))
        return best.faults

    async def _begun(self, session: Session, predictor: Predictor) -> list[Stream]:
        """Give what it may have begun with: of what it was forked from, states with the memory that it has first."""
        first = [plain(row.content) for row in session.first_versions]
        begun = begin(predictor.method, SequenceInfo(session.row.id, plain(session.row.about)))
        counted = measured(predictor.method, begun, predictor.settings.budget, self._engine.info.model)
        fresh = await drive(counted, self._engine)
        found = [fresh] if as_json(fresh.versions) == first else []
        alike = (session.tenant, session.row.method)
        for source, replayed in self._done:
            rows = [row for row in source.versions if row.created <= session.row.created]
            ends = [at for at in range(1, len(rows) + 1) if [plain(row.content) for row in rows[:at]][-100:] == first]
            for at in ends if (source.tenant, source.row.method) == alike else ():
                until = source.versions[at].revision if at < len(source.versions) else source.row.revision + 1
                found += [replayed.states[r] for r in range(rows[at - 1].revision, until) if r in replayed.states]
        return found

    async def _from(self, session: Session, predictor: Predictor, stream: Stream) -> Replayed:
        faults: list[str] = []
        first = len(session.first_versions)
        events: dict[int, list[Row]] = {}
        for row in (*session.learned, *(one for one in session.versions[first:] if one.author != "model")):
            events.setdefault(row.revision, []).append(row)
        memories = {row.revision: row for row in session.versions[first:]}
        wanted = range(first + 1, session.row.revision + 1)
        if sorted(events) != list(wanted) or any(len(rows) > 1 for rows in events.values()):
            faults.append(f"{session.name}: its {session.row.revision} revisions are not one event each")
        predictions = {row.step: row for row in session.predictions}
        states = {first: stream}
        learned: set[int] = set()
        for revision in sorted(events):
            event, memory = events[revision][0], memories.get(revision)
            if hasattr(event, "step"):
                made = msgspec.json.decode(predictions[event.step].content, type=Waiting)
                again, came = event.step in learned, plain(event.content)
                stream, expected = await self._told(predictor, stream, made, came, again=again)
                learned.add(event.step)
            else:
                stream, expected = _put(predictor, stream, event)
            if as_json(expected) != (None if memory is None else plain(memory.content)):
                faults.append(f"{session.name}: the memory of revision {revision} is not what was learned")
            states[revision] = stream
        if as_json(stream.state) != plain(session.state)["state"]:
            faults.append(f"{session.name}: its state is not what its outcomes make")
        return Replayed(faults, states)

    async def _told(
        self, predictor: Predictor, stream: Stream, made: Waiting, came: dict[str, Any], *, again: bool
    ) -> tuple[Stream, Version | None]:
        """Learn an outcome, or a correction of one, as a stream does in which nothing else waits."""
        method, keeping = predictor.method, predictor.keeping
        before = msgspec.structs.replace(stream, waiting=() if again else (made,), learned=(), versions=())
        if again:
            computed = correct(method, before, made, came, keeping.policy, keeping)
        else:
            computed = tell(method, before, made.id, came, keeping.policy, keeping)
        told = await drive(computed, self._engine)
        if told.fate != "learned":
            raise AssertionError(f"a replay came to nothing: {told.fate}")
        return told.stream, told.stream.versions[-1] if told.stream.versions else None


def _put(predictor: Predictor, stream: Stream, row: Row) -> tuple[Stream, Version]:
    version = msgspec.json.decode(row.content, type=Version)
    state = predictor.method.with_memory(stream.state, version.memory)
    return msgspec.structs.replace(stream, state=state), version
