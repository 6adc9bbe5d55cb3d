"""Who uses the service: each asks again until it is answered, and writes down what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx2

from tests.service.torture.process import MARK, SKIES

PATIENCE = 4.0
"""Seconds after which a client asks another process."""
OK = 200
BUSY = (502, 503, 504)
"""What a service may say that is in trouble: ask again. Whatever else is no success is a finding."""
FORKS = 4
"""Forks that a tenant makes at most."""


class Name(NamedTuple):
    """Which prediction."""

    tenant: str
    session: str
    id: str


@dataclass
class Ledger:
    """What was acknowledged, and what was odd.

    Attributes
    ----------
    predictions : dict
        By name, the answer.
    outcomes : dict
        By number of the outcome, the prediction, what was told, and the answer.
    first : dict
        By prediction, the outcome that was acknowledged first.
    latest : dict
        By prediction, the number of the outcome that was acknowledged last.
    sessions : dict
        By tenant, the names of its sessions.
    memories : list
        Tenant and session of each memory that was put back or edited, and the memory as it was answered.
    odd : list of str
        What no client should see.
    counts : Counter
        Requests, retries, conflicts and what else is to be counted.
    """

    predictions: dict[Name, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[int, tuple[Name, dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    first: dict[Name, dict[str, Any]] = field(default_factory=dict)
    latest: dict[Name, int] = field(default_factory=dict)
    sessions: dict[str, list[str]] = field(default_factory=dict)
    memories: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def predicted(self, name: Name, body: dict[str, Any]) -> None:
        """Write a prediction down; whatever was acknowledged of it before must be the same."""
        before = self.predictions.setdefault(name, body)
        if fixed(before) != fixed(body):
            self.odd.append(f"{name} was answered with {fixed(before)}, and later with {fixed(body)}")

    def told(self, name: Name, y: dict[str, Any], body: dict[str, Any]) -> None:
        """Write an outcome down."""
        if body["y"] != y:
            self.odd.append(f"{name} was told {y}, and {body['y']} was acknowledged")
        known = self.outcomes.setdefault(body["number"], (name, y, body))
        if known[:2] != (name, y):
            self.odd.append(f"outcome {body['number']} is {known[:2]}, and {(name, y)} was acknowledged under it")
        self.latest[name] = max(self.latest.get(name, 0), body["number"])


def fixed(prediction: dict[str, Any]) -> dict[str, Any]:
    """Give what of a prediction never changes."""
    return {key: value for key, value in prediction.items() if key != "state"}


class Client:
    """A client of one tenant.

    Parameters
    ----------
    number : int
        Which one.
    tenant, key : str
        Whose, and what lets it in.
    ports : list of int
        Of the processes.
    ledger : Ledger
        Shared by all.
    draw : Random
        What it does.
    """

    def __init__(
        self, number: int, tenant: str, key: str, ports: list[int], ledger: Ledger, draw: random.Random
    ) -> None:
        self._number, self._tenant, self._ports, self._ledger, self._draw = number, tenant, ports, ledger, draw
        self._http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE)
        self._names = itertools.count()

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask a process, and others until one answers; give status and answer."""
        while True:
            self._ledger.counts["requests"] += 1
            url = f"http://127.0.0.1:{self._draw.choice(self._ports)}/v1{path}"
            try:
                answer = await self._http.request(method, url, json=body, headers=headers)
            except (httpx2.TransportError, OSError) as error:
                answer = None
                self._ledger.counts[f"retried for {type(error).__name__}"] += 1
            if answer is not None:
                self._look_at(answer)
                if answer.status_code not in (*BUSY, 500):
                    is_json = "json" in answer.headers.get("content-type", "")
                    return answer.status_code, answer.json() if is_json else None
                self._ledger.counts[f"retried for {answer.status_code}"] += 1
            await asyncio.sleep(self._draw.uniform(0.01, 0.2))

    def _look_at(self, answer: httpx2.Response) -> None:
        """Note what nobody should see: a mistake of the service's, or anything of another tenant."""
        seen = set(MARK.findall(answer.text)) - {self._tenant}
        if seen:
            self._ledger.odd.append(f"{self._tenant} saw something of {seen}: {answer.url}")
        if answer.status_code == 500:
            self._ledger.odd.append(f"{answer.request.method} {answer.url.path}: 500")

    async def begin(self, session: str, method: str) -> None:
        """Begin a session."""
        new = {"task": "weather", "id": session, "method": method, "settings": {"form": "line", "budget": 256}}
        status, body = await self.ask("POST", "/sessions", new)
        if status != 201:
            self._ledger.odd.append(f"{session} could not be begun: {status} {body}")
        self._ledger.sessions.setdefault(self._tenant, []).append(session)

    async def live(self, ending: asyncio.Event) -> None:
        """Use the service until the end is called."""
        acts = {
            self._predict: 45,
            self._tell: 32,
            self._tell_again: 5,
            self._tell_twice: 4,
            self._contest: 3,
            self._correct: 5,
            self._restore: 2,
            self._edit: 2,
            self._fork: 1,
            self._read: 5,
        }
        while not ending.is_set():
            await self._draw.choices(list(acts), list(acts.values()))[0]()

    async def _predict(self) -> None:
        """Predict, now and then in two processes at once."""
        name = Name(self._tenant, self._draw.choice(self._ledger.sessions[self._tenant]), self._new_name())
        day = {
            "date": f"mark-{self._tenant}-{name.id}",
            "sky": self._draw.choice(SKIES),
            "high": self._draw.randrange(30),
            "low": 5,
            "precipitation": self._draw.randrange(4),
            "wind": 2,
        }
        times = 2 if self._draw.random() < 0.15 else 1
        await asyncio.gather(*(self._predict_as(name, day) for _ in range(times)))

    async def _predict_as(self, name: Name, day: dict[str, Any]) -> None:
        new = {"id": name.id, "x": day}
        status, body = await self.ask("POST", f"/sessions/{name.session}/predictions", new)
        while status == OK and body["status"] == "engine_error":  # the same id asks the model again
            self._ledger.counts["asked again"] += 1
            status, body = await self.ask("POST", f"/sessions/{name.session}/predictions", new)
        if status == OK:
            self._ledger.predicted(name, body)
        else:
            self._ledger.odd.append(f"{name} was not predicted: {status} {body}")

    async def _tell(self) -> None:
        """Tell an outcome that nobody told yet, soon or late."""
        name = self._any_open()
        if name is not None:
            self._ledger.first[name] = y = self._came()
            await self._tell_as(name, y)

    async def _tell_again(self) -> None:
        """Tell what was told first, as one who does not know whether it was heard; it may have been corrected since."""
        name = self._any_told()
        if name is not None:
            await self._tell_as(name, self._ledger.first[name])

    async def _tell_twice(self) -> None:
        """Tell one and the same in two processes at once."""
        name = self._any_open()
        if name is not None:
            self._ledger.first[name] = y = self._came()
            await asyncio.gather(self._tell_as(name, y), self._tell_as(name, y))

    async def _contest(self) -> None:
        """Tell two things of one prediction in two processes at once: one of them is a conflict."""
        name = self._any_open()
        if name is None:
            return
        self._ledger.first[name] = one = self._came()
        other = {**one, "high": one["high"] + 100.0}
        told = await asyncio.gather(
            self._tell_as(name, one, contested=True), self._tell_as(name, other, contested=True)
        )
        if sorted(told) != [False, True]:
            self._ledger.odd.append(f"{name} was told {one} and {other}, and acknowledged were {told}")
        if told[1]:
            self._ledger.first[name] = other

    async def _correct(self) -> None:
        name = self._any_told()
        if name is not None:
            # Somebody else may correct it meanwhile: then this one is a conflict.
            await self._tell_as(name, self._came(), contested=True, replaces=self._ledger.latest[name])

    async def _tell_as(
        self, name: Name, y: dict[str, Any], *, contested: bool = False, replaces: int | None = None
    ) -> bool:
        """Tell an outcome until it is acknowledged, and tell whether it was."""
        path = f"/sessions/{name.session}/predictions/{name.id}/outcome"
        told = {"y": y} if replaces is None else {"y": y, "replaces": replaces}
        status, body = await self.ask("PUT", path, told)
        if status in (200, 202):
            self._ledger.told(name, y, body)
            return True
        self._ledger.counts["conflicts"] += 1
        if not contested or status != 409:
            self._ledger.odd.append(f"{name} was not told {y}: {status} {body}")
        return False

    async def _restore(self) -> None:
        session = self._draw.choice(self._ledger.sessions[self._tenant])
        _, memory = await self.ask("GET", f"/sessions/{session}/memory")
        version = max(0, memory["version"] - self._draw.randrange(6))
        status, body = await self.ask("POST", f"/sessions/{session}/memory/restore", {"version": version})
        if status == OK:
            self._ledger.counts["restored"] += 1
            self._ledger.memories.append((self._tenant, session, body))
        elif status != 404:  # a number that a fork's shortened history does not have
            self._ledger.odd.append(f"{session}: version {version} was not restored: {status} {body}")

    async def _edit(self) -> None:
        """Edit a memory, as somebody who looked at it: who comes too late is told so."""
        session = self._draw.choice(self._ledger.sessions[self._tenant])
        _, memory = await self.ask("GET", f"/sessions/{session}/memory")
        first = memory["sections"][0]
        notes = [*first["items"][-3:], f"{self._draw.choice(SKIES)} {self._draw.randrange(99)} -> sun, 20.0"]
        new = {"sections": [{"name": first["name"], "items": notes}]}
        condition = {"If-Match": f'"{memory["version"]}"'}
        status, body = await self.ask("PUT", f"/sessions/{session}/memory", new, condition)
        if status == OK:
            self._ledger.counts["edited"] += 1
            self._ledger.memories.append((self._tenant, session, body))
        elif status == 412:  # somebody was faster, or our own earlier attempt, whose answer was lost
            self._ledger.counts["edits too late"] += 1
        else:
            self._ledger.odd.append(f"{session} was not edited: {status} {body}")

    async def _fork(self) -> None:
        known = self._ledger.sessions[self._tenant]
        if len(known) > FORKS + 2:
            return
        session, new = self._draw.choice(known), self._new_name()
        status, body = await self.ask("POST", f"/sessions/{session}/fork", {"id": new})
        if status not in (201, 409):  # a conflict is our own earlier attempt, whose answer was lost
            self._ledger.odd.append(f"{session} was not forked: {status} {body}")
            return
        self._ledger.counts["forked"] += 1
        known.append(new)

    async def _read(self) -> None:
        """Look around: nothing of another tenant may be there."""
        session = self._draw.choice(self._ledger.sessions[self._tenant])
        which = self._draw.choice(("", "/steps?limit=50", "/scores", "/memory/versions?limit=50", "/export"))
        status, body = await self.ask("GET", f"/sessions/{session}{which}")
        if status not in (OK, 409):
            self._ledger.odd.append(f"{session}{which} could not be read: {status} {body}")

    def _any_open(self) -> Name | None:
        """Choose a prediction of the tenant's whose outcome nobody told yet."""
        known = self._ledger.predictions
        found = [name for name in known if name.tenant == self._tenant and name not in self._ledger.first]
        return self._draw.choice(found) if found else None

    def _any_told(self) -> Name | None:
        told = [name for name in self._ledger.latest if name.tenant == self._tenant]
        return self._draw.choice(told) if told else None

    def _came(self) -> dict[str, Any]:
        return {"sky": self._draw.choice(SKIES), "high": self._draw.randrange(300) / 10}

    def _new_name(self) -> str:
        return f"c{self._number}-{next(self._names)}"
