"""A copy of an SQLite database that is in use. PostgreSQL has ``pg_dump`` for it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.files import sync
from llm_as_rnn.service.store import BUSY, parse_url


def backup(url: str, path: Path) -> None:
    """Copy a database into a file, as of one moment, while others go on working with it.

    The file is whole and on the disk when this returns, or is not there. To restore it is to put it in the database's
    place while no service runs.

    Parameters
    ----------
    url : str
        The database's address.
    path : Path
        The file, which must not be there yet.

    Raises
    ------
    UsageError
        If the database is not SQLite's or not there, or the file cannot be written or is there already.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        shown = parsed.set(drivername="postgresql").render_as_string()
        raise UsageError(
            "PostgreSQL is backed up by its own program", f"run pg_dump --format custom --file {path} {shown}"
        )
    source = Path(parsed.database or "").expanduser()
    if not source.is_file():
        raise UsageError(f"there is no database {source}", "name the one that the service uses")
    if path.exists():
        raise UsageError(f"{path} is there already", "choose another name, or remove it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _copy(source, partial)
        partial.rename(path)
        sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(
            f"{path} cannot be written: {error}", "check the folder, and how much room there is"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy by SQLite's own online backup, in one step: in WAL mode nobody waits for whoever reads."""
    target.touch(mode=0o600)
    reading = sqlite3.connect(source.resolve().as_uri() + "?mode=ro", uri=True, timeout=BUSY)
    with closing(reading), closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        if writing.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the copy is damaged")
    sync(target)
