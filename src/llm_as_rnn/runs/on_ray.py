"""Ray Core: engines as actors on the nodes of a cluster, each with the walks of its sequences beside it.

The one file that knows Ray. What is done with the actors says `fleet`, what happens in them `seat`.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from collections.abc import Sequence as Many
from contextlib import contextmanager
from typing import Any

from llm_as_rnn.core.errors import EngineUnavailableError, MissingExtraError, UsageError
from llm_as_rnn.runs.executors import Cast
from llm_as_rnn.runs.seat import GoneError, LostError, Recipe, Seat, Surroundings

ANSWERS_IN = 5.0
"""Seconds in which a cluster's address has to take a connection; Ray itself would try for more than a minute."""

STORE = 200 * 2**20
"""Bytes of the object store of a cluster of one's own: nothing large goes through it."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""What Ray is told by the environment, unless the user told it otherwise: to send no statistics, and to say less."""


class RayCluster:
    """Actors on a Ray cluster.

    Parameters
    ----------
    recipes : sequence of callable
        How the engines are made: one recipe for all, or one for each server.
    address : str, optional
        Where the cluster is, HOST:PORT or ``auto``; else one is begun on this machine, which ends with this process.
    engines : int, optional
        How many actors; by default one for each node, and for each server at least.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    """

    def __init__(self, recipes: Many[Recipe], address: str | None = None, engines: int | None = None) -> None:
        self._ray = _imported(own=address is None)
        self._recipes = recipes
        self._address = address
        self._engines = engines
        self._actors: list[Any] = []

    async def launch(self) -> Many[_Actor]:
        """Connect, and start the actors.

        Raises
        ------
        EngineUnavailableError
            If there is no cluster.
        UsageError
            If it has not as many processors as engines are asked for.
        """
        self._connect()
        places = self._places()
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        kind = self._ray.remote(Seat)
        around = Surroundings.here()
        made = []
        for number, (node, name) in enumerate(places):
            server = number % len(self._recipes)
            # Where its node is lost, an actor may go on at another one: an engine must not be lost for good with it.
            options = {"num_cpus": 1, "max_restarts": -1, "scheduling_strategy": strategy(node, soft=True)}
            actor = kind.options(**options).remote(self._recipes[server], around)
            self._actors.append(actor)
            made.append(_Actor(f"engine {number + 1} on {name}", server, actor, self._ray))
        return made

    def send(self, cast: Cast) -> Any:
        """Put a cast where all nodes can get it."""
        return self._ray.put(cast)

    async def end(self) -> None:
        """End the actors. The connection stays for the next run of a sweep, and ends with the process."""
        while self._actors:
            self._ray.kill(self._actors.pop())

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        # What its nodes meet would be printed among a command's results; the run says itself what matters of it.
        self._ray._private.worker._worker_logs_enabled = False  # noqa: SLF001 - there is no public way
        how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            processors = max(os.cpu_count() or 1, self._engines or 0, len(self._recipes))
            how |= {"num_cpus": processors, "object_store_memory": STORE, "include_dashboard": False}
        else:
            _require_answer(self._address)
        with _own_signals():
            try:
                self._ray.init(address=self._address or "local", **how)
            except (SystemExit, Exception) as error:
                where = self._address or "on this machine"
                why = "" if isinstance(error, SystemExit) else f": {str(error).splitlines()[0]}"
                raise EngineUnavailableError(f"there is no Ray cluster {where}{why}", _HINT) from error

    def _places(self) -> list[tuple[str, str]]:
        """Choose a node for each actor, one after the other, as far as they have processors: its id, and its name."""
        nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        wanted = self._engines or max(len(nodes), len(self._recipes))
        rooms = [(node["NodeID"], node["NodeName"], int(node["Resources"]["CPU"])) for node in nodes]
        rounds = max((room for *_, room in rooms), default=0)
        places = [(node, name) for turn in range(rounds) for node, name, room in rooms if turn < room]
        if len(places) < wanted:
            raise UsageError(
                f"the Ray cluster has {len(places)} processors, and each of {wanted} engines takes one",
                "ask for fewer with --engines, or add nodes",
            )
        return places[:wanted]


class _Actor:
    """A seat in an actor."""

    def __init__(self, name: str, server: int, actor: Any, ray: Any) -> None:
        self.name = name
        self.server = server
        self._actor = actor
        self._errors = ray.exceptions

    async def call(self, what: str, *given: Any) -> Any:
        """Call a method of the seat.

        Raises
        ------
        LostError
            If its process is gone, and may come back.
        GoneError
            If it does not come back.
        """
        try:
            return await getattr(self._actor, what).remote(*given)
        except self._errors.RayTaskError:
            raise  # a fault of ours, over there
        except self._errors.RayError as error:
            # A call that was under way can end so whether the actor is begun anew or not; to open it is the test.
            if what == "open" and isinstance(error, self._errors.ActorDiedError):
                raise GoneError(f"{self.name} is gone: {_reason(error)}", _LOST_HINT) from error
            raise LostError(f"{self.name} was lost", _LOST_HINT) from error


_HINT = "start one with Ray's own command, and name it: --ray-address HOST:6379"
_LOST_HINT = "see to the node, and go on with --resume"


def _imported(*, own: bool) -> Any:
    """Import Ray, which reads the environment as it is then.

    A cluster of one's own listens on all of this machine's addresses, as every one of Ray's. So it answers to nobody
    but the processes that it started, by a key that is drawn at random. Others are as whoever runs them made them.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if own and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray  # noqa: PLC0415
        import ray.util.scheduling_strategies  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    return ray


def _require_answer(address: str) -> None:
    """Refuse an address that cannot be one, or where nobody listens, before Ray tries for a minute and more.

    Raises
    ------
    UsageError
        If it is none of a cluster.
    EngineUnavailableError
        If nobody listens there.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "/" in address or not (colon and host and port.isdecimal()):
        raise UsageError(f"{address!r} is no address of a Ray cluster", "write --ray-address HOST:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_IN).close()
    except (OSError, OverflowError) as error:
        raise EngineUnavailableError(f"there is no Ray cluster at {address}: {error}", _HINT) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what a process does when it is told to stop: Ray puts something else in its place."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)


def _reason(error: Exception) -> str:
    """Give the part of what Ray says that tells what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
