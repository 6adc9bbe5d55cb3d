"""Run it by hand: ``python -m tests.service.torture --kills 200``; on SQLite with ``--sqlite``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click

from llm_as_rnn.service.migrating import migrate
from tests.service.postgres import Server
from tests.service.torture.run import Result, torture


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--every", type=float, nargs=2, default=(1.0, 3.0), metavar=("LEAST", "MOST"))
    chosen = parser.parse_args()
    click.echo(f"seed {chosen.seed}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        result = _on_sqlite(Path(folder), chosen) if chosen.sqlite else _on_postgres(Path(folder), chosen)
    for name, number in result.figures.items():
        click.echo(f"{name:32} {number:,}")
    click.echo(f"{'seconds':32} {time.monotonic() - began:,.0f}")
    for fault in result.faults[:50]:
        click.echo(f"FAULT {fault[:1000]}")
    click.echo(f"{len(result.faults)} faults")
    if result.faults:
        click.echo(result.said[-5000:], err=True)
    return bool(result.faults)


def _on_sqlite(folder: Path, chosen: argparse.Namespace) -> Result:
    return _run(f"sqlite:///{folder / 'service.db'}", None, folder, chosen)


def _on_postgres(folder: Path, chosen: argparse.Namespace) -> Result:
    with Server() as server:
        return _run(server.create("torture"), server, folder, chosen)


def _run(database: str, server: Server | None, folder: Path, chosen: argparse.Namespace) -> Result:
    async def whole() -> Result:
        await migrate(database)
        every = (chosen.every[0], chosen.every[1])
        return await torture(database, server, folder, kills=chosen.kills, seed=chosen.seed, every=every)

    return asyncio.run(whole())


if __name__ == "__main__":
    sys.exit(main())
