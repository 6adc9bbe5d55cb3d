"""The states of sessions as they are now, and how a new one takes the place of an old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.service.predictors import Latest, Predictor, Predictors
from llm_as_rnn.service.rows import Loaded, Row, sequence_of, version_row
from llm_as_rnn.service.schema import sessions, states, versions
from llm_as_rnn.service.store import Now
from llm_as_rnn.streams.online import Stream, Version

NAMES = 100_000
"""Sessions whose numbers are known by their names."""


class Lost(Exception):  # noqa: N818 - it is no error: somebody else was first
    """The state was changed by somebody else meanwhile: what was made from the old one is not kept."""


class Present:
    """What is in use.

    Parameters
    ----------
    engine : EngineInfo
        What answers.
    most : int
        Characters, as JSON, of the states that are kept as values; others are read again when they are needed.
    """

    def __init__(self, engine: EngineInfo, most: int = 50_000_000) -> None:
        self.predictors = Predictors(engine)
        self._streams: Latest[int, tuple[int, Stream]] = Latest(most)
        self._numbers: Latest[tuple[int, str], int] = Latest(NAMES)

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
            stream = predictor.revive(loaded.state.encode(), sequence_of(row))
            self._put(row, row.revision, stream, len(loaded.state))
        return predictor, msgspec.structs.replace(stream, t=row.steps)

    def keep(self, row: Row, stream: Stream, content: str) -> None:
        """Have a state at hand that was committed in the place of a row's, as this JSON."""
        self._put(row, row.revision + 1, stream, len(content))

    def _put(self, row: Row, revision: int, stream: Stream, size: int) -> None:
        self._streams.put(row.number, (revision, stream), size)
        self._numbers[row.tenant, row.id] = row.number

    def drop(self, number: int) -> None:
        """Forget one."""
        self._streams.drop(number)


def bare(stream: Stream) -> Stream:
    """Give a stream without what stands in tables of its own: what waits, and the versions."""
    return msgspec.structs.replace(stream, t=0, waiting=(), versions=())


ADVANCED = (
    sa.update(sessions)
    .where(sessions.c.number == bindparam("own"), sessions.c.revision == bindparam("known"))
    .values(revision=bindparam("becomes"), memory_version=bindparam("remembers"), changed=Now())
    .returning(sessions.c.changed, sessions.c.due)
)
"""A session's row, once its state is another one; nothing happens to it where that is not the one that was known."""

_PUT_STATE = sa.update(states).where(states.c.session == bindparam("own")).values(content=bindparam("holds"))
_INSERT_VERSIONS = sa.insert(versions)


def commit(
    connection: sa.Connection,
    row: Row,
    predictor: Predictor,
    stream: Stream,
    content: str,
    entries: Sequence[Version],
    author: str,
    also: tuple[sa.Executable, Mapping[str, Any]] = (ADVANCED, {}),
) -> Row:
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
    content : str
        The same as JSON.
    entries : sequence of Version
        The versions of the memory that it brought: one at most.
    author : str
        Who brought it.
    also : tuple
        What else is written into the session's row: a statement made from `ADVANCED`, and the parameters that it has
        besides.

    Returns
    -------
    Row
        Of the session as it is now: when it was ``changed``, and how many outcomes are ``due``. Its revision is the
        next one.

    Raises
    ------
    Lost
        If the state is another one by now; nothing was changed.
    """
    memory, revision = predictor.method.memory(stream.state), row.revision + 1
    statement, further = also
    values = {
        "own": row.number,
        "known": row.revision,
        "becomes": revision,
        "remembers": None if memory is None else memory.version,
        **further,
    }
    advanced = connection.execute(statement, values).one_or_none()
    if advanced is None:
        raise Lost
    connection.execute(_PUT_STATE, {"own": row.number, "holds": content})
    if entries:
        brought = [version_row(row.number, revision, entry, author, advanced.changed) for entry in entries]
        connection.execute(_INSERT_VERSIONS, brought)
    return advanced
