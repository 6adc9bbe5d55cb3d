"""The rows of running sums of scores, by blocks of steps (see `rows`)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from llm_as_rnn.service.rows import Row, text, upsert
from llm_as_rnn.service.schema import sums

BLOCKS = (100, 10_000)
"""Steps whose scores are summed up in one row: each step in a small block and in a large one."""
MOST_SMALL = 50_000
"""Steps up to which a curve is shown by small blocks: so that it never has more than some hundreds of points."""

_sums = msgspec.json.Decoder(dict[str, tuple[int, float]])


def read_sums(content: str) -> dict[str, tuple[int, float]]:
    """Read sums of scores as their row has them."""
    return _sums.decode(content)


_OF_STEP = sa.select(sums.c.size, sums.c.content).where(
    sums.c.session == bindparam("session"),
    sa.or_(*(sa.and_(sums.c.size == size, sums.c.block == bindparam(f"block_{size}")) for size in BLOCKS)),
)


def add_scores(connection: sa.Connection, session: int, t: int, change: Mapping[str, tuple[int, float]]) -> None:
    """Add to the sums of a step's blocks.

    Parameters
    ----------
    connection : Connection
        The database.
    session, t : int
        Which step.
    change : mapping
        By score, how many more there are and how much more they come to.
    """
    blocks = {size: t // size for size in BLOCKS}
    of = {"session": session, **{f"block_{size}": block for size, block in blocks.items()}}
    kept = {size: read_sums(content) for size, content in connection.execute(_OF_STEP, of)}
    changed = [
        {"session": session, "size": size, "block": block, "content": text(added(kept.get(size, {}), change))}
        for size, block in blocks.items()
    ]
    upsert(connection, sums, changed, ("session", "size", "block"))


def curve(connection: sa.Connection, session: Row) -> tuple[int, dict[int, dict[str, tuple[int, float]]]]:
    """Give a session's sums by block, and how many steps a block has: the more, the longer the session is."""
    size = BLOCKS[0] if session.steps <= MOST_SMALL else BLOCKS[1]
    own = (sums.c.session == session.number, sums.c.size == size)
    asked = sa.select(sums.c.block, sums.c.content).where(*own).order_by(sums.c.block)
    return size, {block: read_sums(content) for block, content in connection.execute(asked)}


def added(
    kept: Mapping[str, tuple[int, float]], change: Mapping[str, tuple[int, float]]
) -> dict[str, tuple[int, float]]:
    """Add to sums.

    >>> added({"sky.accuracy": (3, 2.0)}, {"sky.accuracy": (1, 1.0), "high.abs_error": (1, 0.5)})
    {'sky.accuracy': (4, 3.0), 'high.abs_error': (1, 0.5)}
    """
    every = dict(kept)
    for name, (number, total) in change.items():
        before = every.get(name, (0, 0.0))
        every[name] = (before[0] + number, before[1] + total)
    return every
