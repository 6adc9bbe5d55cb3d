"""A process of the service under torture: `serving.serve`, on a bad engine, short leases, and a clock that jumps."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import sys
import threading
import time
import zlib
from multiprocessing import connection, parent_process

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service import learning, serving
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.logs import REQUESTS, JsonLines

LEASE = 1.5
"""Seconds that a lease lasts here."""
MARK = re.compile(r"mark-([a-z]+)-")
"""What each observation of a tenant carries, and nothing of another one may."""
LEAK = "two tenants in one prompt"
SKIES = ("sun", "rain", "fog", "drizzle", "snow")
DAY = 86_400.0


def answer(request: Request) -> str:
    """Answer by the prompt alone, so that another memory gives another answer, and the same one the same."""
    drawn = zlib.crc32(request.prompt.encode())
    return f" {SKIES[drawn % 5]}, {drawn % 20}.5"


class BadEngine(ScriptedEngine):
    """Takes a few milliseconds, and now and then gives no answer."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__(answer)
        self._draw = draw

    async def complete(self, request: Request) -> Completion:
        """Answer, or do not."""
        await asyncio.sleep(self._draw.uniform(0.001, 0.008))
        if len(set(MARK.findall(request.prompt))) > 1:
            logging.error(LEAK)
        luck = self._draw.random()
        if luck < 0.02:
            raise EngineError("this call got no answer")
        if luck < 0.025:
            raise EngineUnavailableError("no call gets an answer")
        self.requests.clear()
        return await super().complete(request)


def serve(port: int, database: str, log: str, seed: int) -> None:
    """Serve until killed, or until whoever started this process is gone.

    Parameters
    ----------
    port : int
        Of the loopback.
    database : str
        Its address.
    log : str
        The file that gets what the process says.
    seed : int
        For what goes wrong in it.
    """
    draw = random.Random(seed)
    with open(log, "ab", 0) as file:  # noqa: PTH123 - its number is all that is wanted
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger(REQUESTS).setLevel(logging.WARNING)
    event.listen(Engine, "handle_error", _told_of)
    _shorten()
    real = time.time
    time.time = lambda: real() + draw.uniform(-DAY, DAY)
    vars(serving)["resolve"] = lambda model, **how: BadEngine(draw)
    settings = ServiceSettings(port=port, log_requests=False, shutdown_seconds=1.0)
    asyncio.run(serving.serve(settings, database, lambda line: None))


def _shorten() -> None:
    """Have what takes a minute take a second."""
    shorter = {"LEASE": LEASE, "RENEWED": LEASE / 4, "AGAIN": (0.05, 0.1, 0.2, 0.5)}
    assert shorter.keys() <= vars(learning).keys(), "what is shortened stands elsewhere now"
    vars(learning).update(shorter)


def _told_of(context: ExceptionContext) -> None:
    """Have it in the log what the database's driver said, for whoever looks for the cause of a fault."""
    error = context.original_exception
    logging.info("%s %s: %s", type(error).__name__, getattr(error, "sqlstate", None), error)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)
