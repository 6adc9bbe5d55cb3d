"""What the service adds to its engine: python benchmarks/service.py [--postgresql] [--quick] [--out FILE].

A service is begun as users do, in a process of its own, and asked by clients in another. The engine is a server that
answers after 50 ms (or at once), in a third. All of it shares this machine's cores, so that with many clients they are
what is measured; the CPU time of the service stands beside.

- Latency: seconds of a prediction less those that the engine takes, the median and the slowest of a hundred, and how
  many requests a second, with 1, 16 and 128 clients, each with a session of its own. They ask as soon as they have an
  answer: several are more than the cores can do, so that what is measured is a queue. Therefore 16 clients are measured
  once more that begin a step each third of a second, about half of what can be done.
- Sessions: the same with 16 clients when the database has a hundred sessions, and ten thousand of which each was
  used; the service's memory beside it.
- History: how long listings, steps and scores take in a session of a million steps among others.
- Lag: outcomes told at a steady rate to an engine that answers at once, and the seconds from their arrival until they
  are learned.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import sqlalchemy as sa

from llm_as_rnn.service.migrating import migrate
from llm_as_rnn.service.schema import outcomes, predictions, sessions, sums
from llm_as_rnn.service.store import Store
from llm_as_rnn.service.sum_rows import BLOCKS
from server import serving

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.service.postgres import Server  # noqa: E402 - benchmarks are scripts, and tests lie beside them

DELAY = 0.05
REPLY = {
    "choices": [{"index": 0, "finish_reason": "stop", "text": " antonym"}],
    "usage": {"prompt_tokens": 70, "completion_tokens": 2, "total_tokens": 72},
}
TICKS = os.sysconf("SC_CLK_TCK")
SETTINGS = {"form": "line", "style": "completion", "budget": 256}
TASK = {
    "title": "What does the user want to know?",
    "instructions": "Say what the question asks for.",
    "observation": "{{ question }}",
    "line": "{{ question }}",
    "answer": [
        {
            "kind": "label",
            "name": "intent",
            "options": ["synonym", "antonym", "rhyme", "meaning"],
            "about": "what it asks for",
        }
    ],
    "memory": [{"name": "Cases", "about": "questions and what they asked for"}],
}


def question(client: int, step: int) -> dict[str, str]:
    """Give an observation."""
    words = ("alike", "opposite", "sounds", "means")
    return {"question": f"which word {words[(client + step) % 4]} < thing{step % 17} > ?"}


def outcome(client: int, step: int) -> dict[str, str]:
    """Give its outcome."""
    return {"intent": ("synonym", "antonym", "rhyme", "meaning")[(client + step) % 4]}


class Process(NamedTuple):
    """A service that runs."""

    url: str
    process: subprocess.Popen[str]

    def cpu(self) -> float:
        """Give the seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def megabytes(self) -> float:
        """Give the memory that it holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def service(database: str, engine: str) -> Iterator[Process]:
    """Run a service."""
    command = [
        sys.executable, "-m", "llm_as_rnn", "serve", "--port", "0", "--database", database,
        "--model", "openai:oracle", "--base-url", engine, "--no-log-requests",
    ]  # fmt: skip
    environment = os.environ | {"OPENAI_API_KEY": "none"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - our own
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "http://" in line:
                yield Process("http://" + line.partition("http://")[2].split()[0].rstrip(",;"), process)
                return
        raise RuntimeError("the service did not start")
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def client(url: str, connections: int) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client with as many connections."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=120.0) as one:
        yield one


async def begin(one: httpx2.AsyncClient, names: Sequence[str]) -> None:
    """Begin sessions."""
    (await one.put("/v1/tasks/intent", json=TASK)).raise_for_status()
    for name in names:
        new = {"task": "intent", "id": name, "method": "recurrent", "settings": SETTINGS}
        (await one.post("/v1/sessions", json=new)).raise_for_status()


async def predictions_of(
    one: httpx2.AsyncClient, clients: int, steps: int, names: Sequence[str], every: float = 0.0
) -> list[float]:
    """Have clients predict, each in sessions of its own, an outcome after each; give the seconds of each prediction.

    They begin a step every so many seconds, as far as they have an answer by then, and not all at the same time.
    """
    took: list[float] = []
    start = time.perf_counter()

    async def working(number: int) -> None:
        for step in range(steps):
            begins = start + every * (step + number / clients)
            await asyncio.sleep(max(0.0, begins - time.perf_counter()))
            path = f"/v1/sessions/{names[(number + step * clients) % len(names)]}/predictions"
            begun = time.perf_counter()
            answer = await one.post(path, json={"x": question(number, step)})
            took.append(time.perf_counter() - begun)
            answer.raise_for_status()
            name = answer.json()["id"].replace("#", "%23")
            (await one.put(f"{path}/{name}/outcome", json={"y": outcome(number, step)})).raise_for_status()

    await asyncio.gather(*map(working, range(clients)))
    return took


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value below which a share lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


async def latency(
    place: Process, clients: int, steps: int, names: Sequence[str], every: float = 0.0
) -> dict[str, float]:
    """Measure what is added to the engine's time, in milliseconds."""
    async with client(place.url, clients) as one:
        await predictions_of(one, clients, 2, names)
        cpu, begun = place.cpu(), time.perf_counter()
        took = await predictions_of(one, clients, steps, names, every)
        seconds, used = time.perf_counter() - begun, place.cpu() - cpu
    requests = 2 * clients * steps
    return {
        "clients": clients,
        "every_s": every,
        "requests_per_second": requests / seconds,
        "p50_added_ms": 1000 * (statistics.median(took) - DELAY),
        "p99_added_ms": 1000 * (percentile(took, 0.99) - DELAY),
        "cpu_ms_per_step": 1000 * used / (clients * steps),
        "megabytes": place.megabytes(),
    }


async def many(place: Process, number: int) -> dict[str, float]:
    """Begin sessions until there are so many, use each, and measure with 16 clients."""
    async with client(place.url, 16) as one:
        names = [f"live-{index}" for index in range(number)]
        for first in range(0, number, 16):
            part = names[first : first + 16]
            await asyncio.gather(*(begin(one, [name]) for name in part))
        await predictions_of(one, 16, max(1, number // 16), names)
    return {"sessions": number, **await latency(place, 16, 20, names)}


async def fill(database: str, steps: int) -> None:
    """Write a session of so many steps by its rows, as if they had been made one by one."""
    store = await Store.open(database)
    try:
        async with client_of_rows(store) as (number, prediction, told):
            for first in range(0, steps, 5000):
                block = range(first + 1, min(first + 5000, steps) + 1)

                def insert(connection: sa.Connection, block: range = block) -> None:
                    connection.execute(
                        sa.insert(predictions),
                        [
                            {**prediction, "step": step, "id": json.dumps(f"#{step}"), "session": number}
                            for step in block
                        ],
                    )
                    connection.execute(
                        sa.insert(outcomes),
                        [{**told, "step": step, "session": number} for step in block],
                    )
                    kept = {"session": number, "content": json.dumps({"intent.accuracy": [100, 50.0]})}
                    ends = [(size, step // size) for size in BLOCKS for step in block if step % size == size - 1]
                    connection.execute(
                        sa.insert(sums), [{**kept, "size": size, "block": at} for size, at in ends if at]
                    )

                await store.write(insert)
            await store.write(
                lambda connection: connection.execute(
                    sa.update(sessions).where(sessions.c.number == number).values(steps=steps + 1)
                )
            )
    finally:
        await store.close()


@asynccontextmanager
async def client_of_rows(store: Store) -> AsyncIterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Give the number of the session with a history, and the rows of its first step to be made more of."""

    def reading(connection: sa.Connection) -> tuple[int, dict[str, Any], dict[str, Any]]:
        number = connection.execute(sa.select(sessions.c.number).where(sessions.c.id == "long")).scalar_one()
        prediction = connection.execute(sa.select(predictions).where(predictions.c.session == number)).mappings().one()
        told = connection.execute(sa.select(outcomes).where(outcomes.c.session == number)).mappings().one()
        return number, {**prediction, "asked": None}, {name: value for name, value in told.items() if name != "number"}

    yield await store.read(reading)


async def history(place: Process, database: str, steps: int) -> dict[str, float]:
    """Measure reading in a session with a long history, in milliseconds: the slowest of each."""
    async with client(place.url, 1) as one:
        await begin(one, ["long"])
        await predictions_of(one, 1, 1, ["long"])
        while (await one.get("/v1/sessions/long")).json()["due"]:
            await asyncio.sleep(0.05)
        await fill(database, steps)
        found: dict[str, float] = {"steps": steps}
        for what, path in (
            ("list_sessions", "/v1/sessions?limit=100"),
            ("steps_first", "/v1/sessions/long/steps?limit=100"),
            ("steps_last", f"/v1/sessions/long/steps?limit=100&after={steps - 100}"),
            ("scores", "/v1/sessions/long/scores"),
            ("prediction", f"/v1/sessions/long/predictions/%23{steps // 2}"),
        ):
            took = []
            for _ in range(12):
                begun = time.perf_counter()
                (await one.get(path)).raise_for_status()
                took.append(1000 * (time.perf_counter() - begun))
            found[what] = max(took[2:])
        return found


async def lag(place: Process, database: str, rate: float, seconds: float) -> dict[str, float]:
    """Tell outcomes at a steady rate, and give the seconds until they were learned, from the rows."""
    number = int(rate * seconds)
    names = [f"lag-{index}" for index in range(16)]
    async with client(place.url, 32) as one:
        await begin(one, names)
        waiting: list[tuple[str, str]] = []
        for step in range(0, number, 16):
            made = await asyncio.gather(
                *(
                    one.post(f"/v1/sessions/{name}/predictions", json={"x": question(index, step)})
                    for index, name in enumerate(names)
                )
            )
            waiting += [
                (name, answer.json()["id"].replace("#", "%23")) for name, answer in zip(names, made, strict=True)
            ]
        begun = time.perf_counter()

        async def telling(index: int, name: str, prediction: str) -> None:
            await asyncio.sleep(max(0.0, begun + index / rate - time.perf_counter()))
            path = f"/v1/sessions/{name}/predictions/{prediction}/outcome"
            (await one.put(path, json={"y": outcome(index, index)})).raise_for_status()

        await asyncio.gather(*(telling(index, *item) for index, item in enumerate(waiting)))
        told = time.perf_counter() - begun
        while any([(await one.get(f"/v1/sessions/{name}")).json()["due"] for name in names]):
            await asyncio.sleep(0.1)
    store = await Store.open(database)
    asked = (
        sa.select(outcomes.c.learned - outcomes.c.received)
        .join(sessions, sessions.c.number == outcomes.c.session)
        .where(sessions.c.id.startswith("lag-"))
    )
    lags = await store.read(lambda connection: [float(value) for value in connection.execute(asked).scalars()])
    await store.close()
    return {
        "outcomes": len(lags),
        "told_per_second": len(lags) / told,
        "lag_p50_s": statistics.median(lags),
        "lag_p99_s": percentile(lags, 0.99),
        "lag_max_s": max(lags),
    }


def measured(database: str, quick: bool) -> dict[str, Any]:
    """Measure all of it on a database."""
    asyncio.run(migrate(database))
    found: dict[str, Any] = {"latency": []}
    with serving(REPLY, DELAY) as engine:
        for clients, every, steps in ((1, 0.0, 60), (16, 0.0, 40), (128, 0.0, 8), (16, 1 / 3, 40)):
            with service(database, engine) as place:
                names = [f"c{clients}-{round(3 * every)}-{index}" for index in range(clients)]

                async def ready(place: Process = place, names: list[str] = names) -> None:
                    async with client(place.url, 1) as one:
                        await begin(one, names)

                asyncio.run(ready())
                measuring = latency(place, clients, steps // 4 if quick else steps, names, every)
                found["latency"].append(asyncio.run(measuring))
                print(json.dumps(found["latency"][-1]), flush=True)
    with serving(REPLY) as engine, service(database, engine) as place:
        found["lag"] = asyncio.run(lag(place, database, 100.0, 3.0 if quick else 20.0))
        print(json.dumps(found["lag"]), flush=True)
    with serving(REPLY, DELAY) as engine, service(database, engine) as place:
        found["sessions"] = [asyncio.run(many(place, number)) for number in ((100, 400) if quick else (100, 10_000))]
        print(json.dumps(found["sessions"]), flush=True)
        found["history"] = asyncio.run(history(place, database, 20_000 if quick else 1_000_000))
        print(json.dumps(found["history"]), flush=True)
    return found


def main() -> None:
    """Measure, and print or keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", action="store_true", help="also on a PostgreSQL of its own")
    parser.add_argument("--quick", action="store_true", help="a tenth of it, to see that it works")
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        print("sqlite", flush=True)
        figures["sqlite"] = measured(f"sqlite:///{folder}/service.db", arguments.quick)
    if arguments.postgresql:
        print("postgresql", flush=True)
        with Server(fsync=True) as server:
            figures["postgresql"] = measured(server.create("benchmark"), arguments.quick)
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
