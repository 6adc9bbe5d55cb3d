"""Who makes things go wrong."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from sqlalchemy.engine import make_url

from tests.service.postgres import Server
from tests.service.torture.cluster import Cluster
from tests.service.torture.process import LEASE

PROGRESS = 3
"""Things that are acknowledged between two mishaps at least."""
JUMPS = (-7200.0, -60.0, 60.0, 7200.0)
"""Seconds by which the database's clock jumps. What rests on it are the ends of leases and pauses: these are moved."""
CUT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = '{}'"
ON_POSTGRES = {"serve": 60, "all": 3, "pause": 12, "clock": 8, "cut": 9, "postgres": 8}
ON_SQLITE = {"serve": 70, "all": 4, "pause": 16, "clock": 10}


class Nemesis:
    """Kills processes and the database, cuts connections, pauses a process for longer than its leases, has clocks jump.

    Parameters
    ----------
    cluster : Cluster
        The processes.
    database : str
        Its address.
    server : Server, optional
        Where that is PostgreSQL.
    draw : Random
        What is done when.
    every : tuple of float
        The least and the most seconds between two things that go wrong.
    progress : callable
        Gives how much was acknowledged so far. Nothing goes wrong before something was since the time before: on a slow
        machine there would else be nothing to break.

    Attributes
    ----------
    done : Counter
        How often each thing was done.
    """

    def __init__(
        self,
        cluster: Cluster,
        database: str,
        server: Server | None,
        draw: random.Random,
        every: tuple[float, float],
        progress: Callable[[], int],
    ) -> None:
        self._cluster, self._database, self._server, self._draw, self._every = cluster, database, server, draw, every
        self._progress = progress
        self._pauses: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """How many processes were killed, those of the database among them."""
        return self.done["serve"] + self.done["postgres"]

    async def rage(self, kills: int) -> None:
        """Go on until so many processes were killed, each kind of mishap among them, and leave everything running."""
        weights = ON_SQLITE if self._server is None else ON_POSTGRES
        first = list(weights)
        self._draw.shuffle(first)
        while self.kills < kills or first:
            before = self._progress()
            await asyncio.sleep(self._draw.uniform(*self._every))
            while self._progress() < before + PROGRESS:
                await asyncio.sleep(0.05)
            what = first.pop() if first else self._draw.choices(list(weights), list(weights.values()))[0]
            await self._do(what)
        await asyncio.gather(*self._pauses)

    async def _do(self, what: str) -> None:
        port = self._draw.choice(self._cluster.ports)
        match what:
            case "serve":
                self.done["serve"] += self._cluster.kill(port)
            case "all":
                self.done["serve"] += sum(map(self._cluster.kill, self._cluster.ports))
            case "pause":
                self._cluster.pause(port)
                task = asyncio.create_task(self._resume(port, LEASE * self._draw.uniform(1.2, 2.5)))
                self._pauses.add(task)
                task.add_done_callback(self._pauses.discard)
            case "clock":
                await asyncio.to_thread(self._jump, self._draw.choice(JUMPS))
            case "cut" if self._server is not None:
                await asyncio.to_thread(self._server.sql, CUT.format(make_url(self._database).database))
            case "postgres" if self._server is not None:
                await asyncio.to_thread(self._server.kill)
                await asyncio.sleep(self._draw.uniform(0.0, 0.5))
                await asyncio.to_thread(self._server.start)
        if what not in ("serve", "all"):
            self.done[what] += 1

    async def _resume(self, port: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._cluster.resume(port)

    def _jump(self, seconds: float) -> None:
        moved = "leased_until = leased_until + {0}, not_before = not_before + {0}".format(seconds)  # noqa: UP032
        self._sql()(f"UPDATE sessions SET {moved} WHERE leased_until > 0 OR not_before > 0")  # noqa: S608 - our own number

    def _sql(self) -> Callable[[str], object]:
        if self._server is not None:
            server, name = self._server, str(make_url(self._database).database)
            return lambda statement: server.sql(statement, name)

        def on_file(statement: str) -> None:
            with closing(sqlite3.connect(str(make_url(self._database).database), timeout=30.0)) as file, file:
                file.execute(statement)

        return on_file
