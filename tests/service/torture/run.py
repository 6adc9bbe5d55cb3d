"""A run: everything is begun, made to suffer, left alone until all is learned, and checked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.service.callers import SCOPES
from llm_as_rnn.service.keys import create_key, create_tenant
from llm_as_rnn.service.store import Store
from tests.service.postgres import Server
from tests.service.torture.checker import check, check_answers
from tests.service.torture.clients import Client, Ledger
from tests.service.torture.cluster import Cluster
from tests.service.torture.nemesis import Nemesis
from tests.service.torture.process import LEAK
from tests.service.torture.tables import due, read_tables

TENANTS = ("acme", "borg", "cyan")
CLIENTS = 8
METHODS = {"one": "recurrent", "two": "advised"}
"""The sessions that each tenant begins with, and who predicts in them."""
PATIENCE = 20.0
"""Seconds that a kill may take, with what is acknowledged between two of them, before the run counts as stuck."""
CALM = 30.0
"""Seconds in which all is learned once nothing goes wrong any more."""


class Result(NamedTuple):
    """What came of a run.

    Attributes
    ----------
    faults : list of str
        What is wrong; nothing should be.
    figures : dict of str to float
        What was done and acknowledged.
    said : str
        What the processes wrote.
    """

    faults: list[str]
    figures: dict[str, float]
    said: str


async def torture(
    database: str,
    server: Server | None,
    folder: Path,
    *,
    kills: int,
    seed: int,
    every: tuple[float, float] = (1.0, 3.0),
) -> Result:
    """Run the service until so many processes were killed, and check what is left.

    Parameters
    ----------
    database : str
        A migrated database with nothing in it.
    server : Server, optional
        Where that is PostgreSQL: it is killed too.
    folder : Path
        For logs.
    kills : int
        How many processes are killed.
    seed : int
        For whatever is drawn. Two runs are not the same all the same: nobody holds the clocks of processes.
    every : tuple of float
        The least and the most seconds between two mishaps.
    """
    draw = random.Random(seed)
    ledger = Ledger()
    async with _ran(database, folder, seed) as (cluster, keys):
        nemesis = Nemesis(
            cluster, database, server, draw, every, lambda: len(ledger.predictions) + len(ledger.outcomes)
        )
        clients = [
            Client(number, tenant, keys[tenant], cluster.ports, ledger, random.Random(seed + number))
            for number, tenant in ((number, TENANTS[number % len(TENANTS)]) for number in range(CLIENTS))
        ]
        for client in clients[: len(TENANTS)]:
            for session, method in METHODS.items():
                await client.begin(session, method)
        ending = asyncio.Event()
        async with asyncio.timeout(PATIENCE * (kills + 10)), asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.live(ending))
            await nemesis.rage(kills)
            ending.set()
        faults, seconds = await _calmed(database)
        for client, tenant in zip(clients, TENANTS, strict=False):
            faults += await check_answers(client, ledger, tenant)
        for client in clients:
            await client.close()
        said = cluster.said()
    store = await Store.open(database)
    try:
        tables = await read_tables(store)
    finally:
        await store.close()
    faults += await check(ledger, tables)
    if LEAK in said:
        faults.append(LEAK)
    figures = {
        **{f"nemesis: {what}": number for what, number in sorted(nemesis.done.items())},
        "kills": nemesis.kills,
        "ended by themselves": cluster.ended,
        "predictions acknowledged": len(ledger.predictions),
        "outcomes acknowledged": len(ledger.outcomes),
        "outcomes learned": sum(len(session.learned) for session in tables.sessions),
        "versions": sum(len(session.versions) for session in tables.sessions),
        **dict(sorted(ledger.counts.items())),
        "seconds until all was learned": round(seconds, 2),
    }
    return Result(faults, figures, said)


@asynccontextmanager
async def _ran(database: str, folder: Path, seed: int) -> AsyncIterator[tuple[Cluster, dict[str, str]]]:
    """Have tenants with keys, and processes that run until the end."""
    store = await Store.open(database)
    try:
        keys = {}
        for tenant in TENANTS:
            await create_tenant(store, tenant)
            keys[tenant] = await create_key(store, tenant, "torture", SCOPES)
    finally:
        await store.close()
    cluster = Cluster(database, folder, seed * 1000)
    watching = asyncio.create_task(cluster.watch())
    try:
        yield cluster, keys
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        cluster.close()


async def _calmed(database: str) -> tuple[list[str], float]:
    """Wait until all is learned; give what is wrong, and how long that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    store = await Store.open(database)
    try:
        while left := await due(store):
            if loop.time() - began > CALM:
                return [f"{left} outcomes are not learned {CALM:g} seconds after everything was well"], CALM
            await asyncio.sleep(0.05)
    finally:
        await store.close()
    return [], loop.time() - began
