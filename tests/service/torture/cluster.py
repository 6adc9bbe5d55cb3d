"""The processes of the service: begun, killed, begun again at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.service.torture import process

PROCESSES = 4
WARM = "tests.service.torture.warm"
"""What is imported before anything is forked."""
LOOK = 0.05
"""Seconds after which it is looked whether all run."""


class Cluster:
    """Several processes on one database.

    Parameters
    ----------
    database : str
        Its address.
    folder : Path
        Where the processes' logs are put.
    seed : int
        For what goes wrong in them.

    Attributes
    ----------
    ports : list of int
        Of the loopback; each process has the same one again after it was killed.
    ended : int
        How often one ended by itself, because the database was away when it began.
    """

    def __init__(self, database: str, folder: Path, seed: int) -> None:
        self._database, self._folder, self._seed = database, folder, seed
        # A process that has everything imported is forked for each: to begin again takes a tenth of a second.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([WARM])
        self.ports = _free_ports(PROCESSES)
        self._running: dict[int, BaseProcess] = {}
        self._stopped: set[int] = set()
        self.ended = 0

    def begin(self, port: int) -> None:
        """Begin the process of a port."""
        self._seed += 1
        log = str(self._folder / f"serve-{port}.log")
        running = self._context.Process(target=process.serve, args=(port, self._database, log, self._seed), daemon=True)
        running.start()
        self._running[port] = running

    async def watch(self) -> None:
        """Begin each process again as soon as it has ended, until cancelled."""
        while True:
            for port in self.ports:
                running = self._running.get(port)
                if running is None or not running.is_alive():
                    self.ended += running is not None and running.exitcode != -signal.SIGKILL
                    self.begin(port)
            await asyncio.sleep(LOOK)

    def kill(self, port: int) -> bool:
        """Kill a process, also one that is paused; tell whether there was one."""
        return self._signal(port, signal.SIGKILL)

    def pause(self, port: int) -> None:
        """Have a process stand still."""
        if self._signal(port, signal.SIGSTOP):
            self._stopped.add(port)

    def resume(self, port: int) -> None:
        """Have it go on."""
        self._stopped.discard(port)
        self._signal(port, signal.SIGCONT)

    def close(self) -> None:
        """Kill them all."""
        for port in self.ports:
            self.kill(port)
        for running in self._running.values():
            running.join()

    def said(self) -> str:
        """Give what all of them wrote."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self._folder.glob("serve-*.log")))

    def _signal(self, port: int, which: signal.Signals) -> bool:
        running = self._running.get(port)
        if running is None or running.pid is None or not running.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(running.pid, which)
            return True
        return False


def _free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
