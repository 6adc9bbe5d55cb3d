"""The database, in the one way in which the service talks to it: work that reads, and work that writes.

Work is a plain function of a SQLAlchemy connection. `Store.write` gives what it gave once that is durable; no
transaction is open while anything else is waited for, a model least of all.

- SQLite has one writer at a time, so one thread of ours writes: it takes all work that has come meanwhile into one
  transaction, each in a savepoint of its own, and syncs once for all of them (group commit). A few threads read. It is
  Python's own driver, without an async one around it: those go to a thread and back for every statement, we once for
  all statements of a work.
- PostgreSQL groups commits itself. It is asked by asyncpg, in as many connections as may be open at once.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service.errors import StoreUnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")

Work = Callable[[sa.Connection], T]
"""What is done in one transaction. It may be done again, where a connection was lost: it changes nothing but rows."""

READERS = 4
"""Threads that read from SQLite. Python computes in one of them at a time anyway."""
MOST_AT_ONCE = 64
"""Works that share a transaction at most: the first one waits for the last."""
BUSY = 30.0
"""Seconds for which SQLite waits where another process writes."""
CONNECTIONS = 20
"""Connections to PostgreSQL that a process holds open."""
POSTGRESQL_BUSY = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "25P03")
"""PostgreSQL's codes for what another try may settle: serialization, deadlock, lock, shutdown, start, many, idle."""
POSTGRESQL_SETTINGS = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""By which a process that stands still, or whose machine is gone, keeps others from its rows for seconds alone."""


class Now(FunctionElement[float]):
    """In a statement: the seconds since 1970 by the clock of the database, which all processes share."""

    name = "now_in_seconds"
    type = sa.Double()
    inherit_cache = True


@compiles(Now, "sqlite")
def _now_in_sqlite(element: Now, compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _now_in_postgresql(element: Now, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"


_NOW = sa.select(Now())


def now(connection: sa.Connection) -> float:
    """Give these seconds."""
    return float(connection.execute(_NOW).scalar_one())


def parse_url(url: str) -> URL:
    """Read a database's address as people write it.

    Raises
    ------
    UsageError
        If it is none, or of a database that the service does not know.

    Examples
    --------
    >>> parse_url("postgresql://me:secret@host/learners").drivername
    'postgresql+asyncpg'
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"{url!r} is no database", "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite")
    if kind in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+asyncpg")
    raise UsageError(
        f"{parsed.render_as_string()} is no database that the service knows",
        "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )


class Store(ABC):
    """A database.

    Attributes
    ----------
    url : URL
        Where it is.
    """

    url: URL

    @staticmethod
    async def open(url: str) -> Store:
        """Open a database.

        Raises
        ------
        UsageError
            If the address is none, or what is there cannot be used.
        StoreUnavailableError
            If it does not answer.
        """
        parsed = parse_url(url)
        store: Store = SQLiteStore(parsed) if parsed.get_backend_name() == "sqlite" else PostgreSQLStore(parsed)
        try:
            await store.read(now)
        except DBAPIError as error:
            await store.close()
            shown = parsed.set(drivername=parsed.get_backend_name()).render_as_string()
            raise UsageError(
                f"{shown} cannot be used: {_first_line(error)}", "check the address, and its user"
            ) from error
        except BaseException:
            await store.close()
            raise
        return store

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Do work that changes nothing, on the database as it is at one moment.

        Raises
        ------
        StoreUnavailableError
            If the database does not answer now.
        """

    @abstractmethod
    async def write(self, work: Work[T]) -> T:
        """Do work in a transaction, and give what it gave once that is durable; what it raises undoes it.

        Raises
        ------
        StoreUnavailableError
            If the database does not answer now. Then nothing was changed or, where its answer was lost on the way,
            everything was: work must be such that it can be done again.
        """

    @abstractmethod
    async def close(self) -> None:
        """End after what is under way."""


class SQLiteStore(Store):
    """A file of SQLite's, in WAL mode."""

    def __init__(self, url: URL) -> None:
        self.url = url
        Path(url.database or "").expanduser().parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(
            url, poolclass=sa.QueuePool, pool_size=READERS + 1, connect_args={"timeout": BUSY}
        )
        sa.event.listen(self._engine, "connect", _prepare)
        sa.event.listen(self._engine, "begin", _begin)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="llm-as-rnn-read")
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, name="llm-as-rnn-write", daemon=True)
        self._writer.start()

    async def read(self, work: Work[T]) -> T:
        """Do work that changes nothing (see `Store.read`)."""

        def reading() -> T:
            with _told(), self._engine.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, reading)

    async def write(self, work: Work[T]) -> T:
        """Do work in a transaction (see `Store.write`)."""
        if self._closed:
            raise StoreUnavailableError("the database was closed", "open it again")
        done: Future[T] = Future()
        self._queue.put((work, done))
        return await asyncio.shield(asyncio.wrap_future(done))

    async def close(self) -> None:
        """End after what is under way."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._engine.dispose()

    def _write_all(self) -> None:
        """Write what comes, until the end is called; what has come meanwhile goes into the same transaction."""
        while (first := self._queue.get()) is not None:
            together, ended = [first], False
            while len(together) < MOST_AT_ONCE:
                try:
                    further = self._queue.get_nowait()
                except queue.Empty:
                    break
                if further is None:
                    ended = True
                    break
                together.append(further)
            self._write(together)
            if ended:
                return

    def _write(self, together: list[tuple[Work[Any], Future[Any]]]) -> None:
        """Do works in one transaction; where one fails, again, so that its failure is its own."""
        works = [work for work, _ in together]
        try:
            with _told(), self._engine.connect().execution_options(writing=True) as connection:
                try:
                    with connection.begin():
                        results: list[tuple[Any, BaseException | None]] = [(work(connection), None) for work in works]
                except OperationalError:
                    raise  # the disk is full, say: that is no single work's own
                except Exception as error:
                    if len(works) == 1:
                        raise
                    log.debug("apart, because of %s", error)
                    with connection.begin():
                        results = [_in_savepoint(connection, work) for work in works]
        except BaseException as error:  # noqa: BLE001 - whoever waits for the work has it
            results = [(None, error)] * len(works)
        for (_, done), (value, failed) in zip(together, results, strict=True):
            if failed is None:
                done.set_result(value)
            else:
                done.set_exception(failed)


def _in_savepoint(connection: sa.Connection, work: Work[T]) -> tuple[T | None, BaseException | None]:
    """Do one of several works of a transaction, so that its failure is its own."""
    try:
        with connection.begin_nested():
            return work(connection), None
    except OperationalError:
        raise  # the disk is full, say: that is no single work's own
    except Exception as error:  # noqa: BLE001 - whoever waits for the work has it
        return None, error


def _begin(connection: sa.Connection) -> None:
    """Begin where we say so, and for writing at once: who reads first and then writes may find another one writing."""
    writes = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(connection: Any, _: object) -> None:
    """Have each connection to SQLite as the service needs it."""
    connection.isolation_level = None  # transactions begin where we say so, and not where the driver thinks
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # a commit is on the disk when it returns
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted is overwritten
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


class PostgreSQLStore(Store):
    """A database of PostgreSQL's."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine: AsyncEngine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=BUSY)
        sa.event.listen(self._engine.sync_engine, "connect", _prepare_postgresql)
        self._of_one_moment = self._engine.execution_options(isolation_level="REPEATABLE READ")

    async def read(self, work: Work[T]) -> T:
        """Do work that changes nothing (see `Store.read`)."""
        return await self._done(self._of_one_moment, work)

    async def write(self, work: Work[T]) -> T:
        """Do work in a transaction (see `Store.write`)."""
        return await self._done(self._engine, work)

    async def _done(self, engine: AsyncEngine, work: Work[T]) -> T:
        """Do work in a transaction; again where its connection turns out to be lost before the work was done.

        A pool cannot know that it is lost: to ask whether it is alive before each work takes as long as a statement.
        """
        with _told():
            for again in (True, False):
                async with engine.connect() as connection:
                    try:
                        value = await connection.run_sync(work)
                    except DBAPIError as error:
                        if again and error.connection_invalidated:
                            continue  # with a new one: SQLAlchemy closes all that are as old as this one
                        raise
                    await connection.commit()
                    return value
            raise AssertionError("it was done, or failed")

    async def close(self) -> None:
        """End after what is under way."""
        await self._engine.dispose()


def _prepare_postgresql(connection: Any, _: object) -> None:
    """Have each connection to PostgreSQL as the service needs it."""
    settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in POSTGRESQL_SETTINGS.items())
    cursor = connection.cursor()
    cursor.execute(f"SELECT {settings}")
    cursor.close()
    connection.commit()


class _told:  # noqa: N801 - reads as what it does, in a with
    """Have what a database's driver raises, where it is away or busy, as the service's own error."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if _passes(error):
            said = _first_line(error)
            raise StoreUnavailableError(f"the database does not answer: {said}", "ask again in a moment") from error


def _first_line(error: BaseException | None) -> str:
    """Give what a database's driver says, without what SQLAlchemy says of it."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return str(said).partition("\n")[0]


def _passes(error: BaseException | None) -> bool:
    """Tell whether the database is away or busy, from a mistake in what it was asked."""
    if isinstance(error, (ConnectionError, TimeoutError, sa.exc.TimeoutError, OSError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    code = cast("str | None", getattr(error.orig, "sqlstate", None))
    if code is not None and code not in POSTGRESQL_BUSY and not code.startswith("08"):
        return error.connection_invalidated
    return (
        error.connection_invalidated
        or code is not None
        or isinstance(error, (OperationalError, InterfaceError, InternalError))
    )
