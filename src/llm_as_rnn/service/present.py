"""The states of sessions as they are now, and how a new one takes the place of an old one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.service.predictors import Latest, Predictor, Predictors
from llm_as_rnn.service.rows import Loaded, Row, text, version_row
from llm_as_rnn.service.schema import sessions, states, versions
from llm_as_rnn.service.store import now
from llm_as_rnn.streams.online import Stream, Version


class Lost(Exception):  # noqa: N818 - it is no error: somebody else was first
    """The state was changed by somebody else meanwhile: what was made from the old one is not kept."""


class Present:
    """What is in use.

    Parameters
    ----------
    engine : EngineInfo
        What answers.
    most : int
        States that are kept as values; others are read again when they are needed.
    """

    def __init__(self, engine: EngineInfo, most: int = 2000) -> None:
        self.predictors = Predictors(engine)
        self._streams: Latest[int, tuple[int, Stream]] = Latest(most)
        self._numbers: Latest[tuple[int, str], int] = Latest(most)

    def known(self, tenant: int, session: str) -> int:
        """Give the revision whose state is at hand; -1 where none is."""
        number = self._numbers.get((tenant, session))
        return -1 if number is None else self.known_number(number)

    def known_number(self, number: int) -> int:
        """Give the same, by the session's number."""
        found = self._streams.get(number)
        return -1 if found is None else found[0]

    def predictor(self, row: Row) -> Predictor:
        """Give who predicts in a session."""
        return self.predictors.of(row.task_content, row.method, row.settings)

    def of(self, loaded: Loaded) -> tuple[Predictor, Stream]:
        """Give who predicts, and the stream as it is now: its next step is the session's."""
        row, predictor = loaded.row, self.predictor(loaded.row)
        found = self._streams.get(row.number)
        if found is not None and found[0] == row.revision:
            stream = found[1]
        else:
            if loaded.state is None:  # it was put aside meanwhile
                raise Lost
            stream = predictor.revive(loaded.state.encode())
            self._streams[row.number] = (row.revision, stream)
            self._numbers[row.tenant, row.id] = row.number
        return predictor, msgspec.structs.replace(stream, t=row.steps)

    def keep(self, row: Row, revision: int, stream: Stream) -> None:
        """Have a state at hand that was committed."""
        self._streams[row.number] = (revision, stream)
        self._numbers[row.tenant, row.id] = row.number

    def drop(self, number: int) -> None:
        """Forget one."""
        self._streams.drop(number)


def bare(stream: Stream) -> Stream:
    """Give a stream without what stands in tables of its own: what waits, and the versions."""
    return msgspec.structs.replace(stream, t=0, waiting=(), versions=())


def commit(
    connection: sa.Connection, row: Row, predictor: Predictor, stream: Stream, entries: Sequence[Version], author: str
) -> int:
    """Put a new state in the place of the one that it was made from.

    Parameters
    ----------
    connection : Connection
        The database.
    row : Row
        The session as it was when its state was read: with the revision that the new one goes on from.
    predictor : Predictor
        Who predicts in it.
    stream : Stream
        The new state, `bare`.
    entries : sequence of Version
        The versions of the memory that it brought: one at most.
    author : str
        Who brought it.

    Returns
    -------
    int
        The new revision.

    Raises
    ------
    Lost
        If the state is another one by now; nothing was changed.
    """
    revision = int(row.revision) + 1
    memory = predictor.method.memory(stream.state)
    at = now(connection)
    changed = connection.execute(
        sa.update(sessions)
        .where(sessions.c.number == row.number, sessions.c.revision == row.revision)
        .values(revision=revision, changed=at, memory_version=None if memory is None else memory.version)
    )
    if changed.rowcount != 1:
        raise Lost
    connection.execute(sa.update(states).where(states.c.session == row.number).values(content=text(stream)))
    for entry in entries:
        connection.execute(sa.insert(versions).values(version_row(row.number, revision, entry, author, at)))
    return revision
