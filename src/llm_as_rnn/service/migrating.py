"""A database brought up to what this version of the program works with, by Alembic's revisions (`migrations`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service import migrations
from llm_as_rnn.service.migration_rows import hold_alone, reveal, tables_of
from llm_as_rnn.service.schema import metadata
from llm_as_rnn.service.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

State = Literal["empty", "foreign", "old", "current", "newer"]
"""How a database stands to this program: without tables, with those of another program, or of an earlier, this or a
later version of ours."""

TABLE = "llm_as_rnn_revision"
"""Where a database keeps which revision it has. The name is our own: others' programs may keep theirs beside it."""


def state(connection: Connection) -> State:
    """Tell how a database stands to this program."""
    revision = _context(connection).get_current_revision()
    if revision is None:
        return "foreign" if tables_of(connection) & set(metadata.tables) else "empty"
    script = _script()
    if revision == script.get_current_head():
        return "current"
    return "old" if revision in {known.revision for known in script.walk_revisions()} else "newer"


def require_current(connection: Connection) -> None:
    """Refuse a database that this program does not work with.

    Raises
    ------
    UsageError
        If it has no tables, old ones, or those of a newer version or of another program.
    """
    match state(connection):
        case "empty":
            raise UsageError(f"{reveal(connection)} has no tables yet", _command(connection))
        case "old":
            raise UsageError(
                f"{reveal(connection)} is of an earlier version", f"back it up, then {_command(connection)}"
            )
        case "newer":
            raise _newer(connection)
        case "foreign":
            raise _foreign(connection)
        case "current":
            return


def bring_up(connection: Connection) -> tuple[str, ...]:
    """Make the tables, or bring old ones up, in the transaction that is open.

    Returns
    -------
    tuple of str
        What was done, a line a revision; nothing where the database was current already.

    Raises
    ------
    UsageError
        If the tables are of a newer version of this program, or of another program.
    """
    hold_alone(connection)
    match state(connection):
        case "newer":
            raise _newer(connection)
        case "foreign":
            raise _foreign(connection)
        case "current":
            return ()
    done: list[str] = []

    def missing(heads: object, _: MigrationContext) -> list[MigrationStep]:
        script = _script()
        until = heads[0] if isinstance(heads, tuple) and heads else "base"
        revisions = [step for step in script.walk_revisions(until, "heads") if step.revision != until]
        done.extend(f"{step.revision} {step.doc}" for step in reversed(revisions))
        return [MigrationStep.upgrade_from_script(script.revision_map, step) for step in reversed(revisions)]

    context = _context(connection, fn=missing)
    with Operations.context(context):
        context.run_migrations()
    return tuple(done)


async def migrate(url: str) -> tuple[str, ...]:
    """Make the tables of a database, or bring them up. Processes that do so at the same time take turns.

    All of it is one transaction: where it fails, the database is as it was.

    Parameters
    ----------
    url : str
        Where it is.

    Returns
    -------
    tuple of str
        What was done, a line a revision.

    Raises
    ------
    UsageError
        If the tables are of a newer version of this program, or of another program.
    StoreUnavailableError
        If the database does not answer.
    """
    store = await Store.open(url)
    try:
        return await store.write(bring_up)
    finally:
        await store.close()


async def prepare(store: Store, make: bool) -> None:
    """Let a service start on a database that is current, and on no other one.

    Parameters
    ----------
    store : Store
        The database.
    make : bool
        Whether one without tables gets them: the default place's, where nobody else keeps anything.

    Raises
    ------
    UsageError
        If the program does not work with it.
    """
    if make and await store.read(state) == "empty":
        await store.write(bring_up)
    await store.read(require_current)


def _context(connection: Connection, **further: object) -> MigrationContext:
    return MigrationContext.configure(
        connection, opts={"version_table": TABLE, "target_metadata": metadata, "transactional_ddl": True, **further}
    )


def _script() -> ScriptDirectory:
    folder = str(Path(migrations.__file__).parent)
    return ScriptDirectory(folder, version_locations=[folder])


def _command(connection: Connection) -> str:
    return f"run llm-as-rnn serve migrate --database {reveal(connection)}"


def _newer(connection: Connection) -> UsageError:
    return UsageError(
        f"{reveal(connection)} was brought up by a newer version of this program, and there is no way down",
        "install that version, or restore a backup from before",
    )


def _foreign(connection: Connection) -> UsageError:
    return UsageError(f"{reveal(connection)} holds tables of another program", "name a database of the service's own")
