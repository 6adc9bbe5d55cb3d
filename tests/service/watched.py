"""A service on the loopback, in a thread of its own, for whoever looks at it through a browser."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from queue import Queue
from types import TracebackType
from typing import Any, Self, TypeVar

from llm_as_rnn.core.records import Completion, Request
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.server import run
from tests.service.http.trying import Tried, tried

T = TypeVar("T")

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
    """A service that listens, with keys as `trying.tried` makes them; a context manager.

    Attributes
    ----------
    url : str
        Its address.
    tried : Tried
        What it is made of.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._told: Queue[tuple[str, Tried] | BaseException] = Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        told = self._told.get(timeout=60)
        if isinstance(told, BaseException):
            raise told
        self.url, self.tried = told
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the service's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask it as a program would, with a key that is good for everything."""
        answered = self.do(self.tried.client.request(method, path, json=body))
        assert answered.is_success, answered.text
        return answered.json()

    def begin(self, name: str, steps: int = 0, learned: int = 0) -> None:
        """Begin a session with some steps, the first of which are learned."""
        settings = {"form": "json", "rule": "rewrite"}
        self.ask("POST", "/v1/sessions", {"task": "weather", "id": name, "settings": settings})
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
        async with tried(self._database, answer) as service:
            settings = ServiceSettings(port=0, shutdown_seconds=1)
            await run(service.app, settings, service.stopping, _nothing, lambda url: self._told.put((url, service)))


async def _nothing() -> None:
    """Leave closing to whoever made it."""
