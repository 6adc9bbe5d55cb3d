"""A service on the loopback, in a thread of its own, for whoever looks at it through a browser."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Any, Self

import httpx2

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.callers import SCOPES
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.server import run
from llm_as_rnn.service.keys import create_key, create_tenant
from llm_as_rnn.service.migrating import migrate
from llm_as_rnn.service.serving import assembled
from llm_as_rnn.service.store import Store

SKIES = ("drizzle", "fog", "rain", "snow", "sun")


def answer(request: Request) -> Completion | str:
    """Answer as a model that says something else from time to time, and learns a note at each step."""
    text = request.messages[-1].content
    turn = len(text) + sum(map(ord, text)) % 7
    if request.role == "predict":
        return json.dumps({"sky": SKIES[turn % 5], "high": 5.0 + turn % 9})
    if request.role == "reflect":
        critique = {"missed": "the wind", "why": "it had turned", "suggestion": "watch the wind"}
        return json.dumps({"correct": "no", **critique})
    then = [SKIES[(turn + at) % 5] for at in range(3)]
    notes = [f"after {sky} often comes {other}, {turn % 6} of 9" for sky, other in zip(SKIES, then, strict=False)]
    return json.dumps({"Patterns": notes, "Recent days": [f"day {turn}"], "Corrections": ["highs were too low"]})


class Served:
    """A service that listens, on an SQLite file of its own; a context manager.

    Parameters
    ----------
    folder : Path
        Where the file is.
    with_keys : bool
        Whether a key is needed; else the door is open to this machine.

    Attributes
    ----------
    url : str
        Its address.
    key : str
        One that is good for everything; empty where none is needed.
    """

    def __init__(self, folder: Path, *, with_keys: bool = True) -> None:
        self._database = f"sqlite:///{folder / 'service.db'}"
        self._with_keys = with_keys
        self._told: Queue[str | BaseException] = Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.key = ""

    def __enter__(self) -> Self:
        self._thread.start()
        told = self._told.get(timeout=60)
        if isinstance(told, BaseException):
            raise told
        self.url = told
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        self._client = httpx2.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask it as a program would."""
        answered = self._client.request(method, path, json=body)
        assert answered.is_success, answered.text
        return answered.json() if answered.content else None

    def begin(self, name: str, steps: int = 0, learned: int = 0, **settings: Any) -> None:
        """Begin a session with some steps, the first of which are learned."""
        chosen = {"form": "json", "rule": "rewrite", **settings}
        self.ask("POST", "/v1/sessions", {"task": "weather", "id": name, "settings": chosen})
        for step in range(steps):
            self.step(name, step)
            if step < learned:
                self.tell(name, step)

    def step(self, name: str, step: int) -> None:
        """Have something predicted."""
        sky = SKIES[step * 7 % 5]
        x = {"date": f"May {step}", "sky": sky, "high": 9.0 + step % 4, "low": 6.0, "precipitation": 1.5, "wind": 4.0}
        self.ask("POST", f"/v1/sessions/{name}/predictions", {"id": f"day-{step}", "x": x})

    def tell(self, name: str, step: int) -> None:
        """Tell what came, and wait until it is learned."""
        y = {"sky": SKIES[(step * 7 + step // 3) % 5], "high": 9.5 + step % 5}
        self.ask("PUT", f"/v1/sessions/{name}/predictions/day-{step}/outcome?wait=30", {"y": y})

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._told.put(error)

    async def _serve(self) -> None:
        self._loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._task = task
        await migrate(self._database)
        if self._with_keys:
            store = await Store.open(self._database)
            await create_tenant(store, "mine")
            self.key = await create_key(store, "mine", "ann", SCOPES)
            await store.close()
        settings = ServiceSettings(port=0, shutdown_seconds=1)
        async with assembled(settings, self._database, engine=ScriptedEngine(answer)) as service:
            await run(service.app, settings, service.stopping, _nothing, self._told.put)


async def _nothing() -> None:
    """Leave closing to whoever made it."""
