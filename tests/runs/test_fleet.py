"""A fleet of engines as a run's executor: its journal is that of a run in one process, whatever becomes of engines.

Here seats are in this process, and what is sent to them and back goes through pickle. `test_ray.py` has real ones.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import (
    EngineBusyError,
    EngineError,
    EngineUnavailableError,
    LlmAsRnnError,
    MissingExtraError,
    RunError,
    UsageError,
)
from llm_as_rnn.engines.patience import PatientEngine, Pause
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Limits, Meter, Price
from llm_as_rnn.runs import fleet as fleets
from llm_as_rnn.runs.asked import RunJournal
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Options, execute
from llm_as_rnn.runs.executors import Cast
from llm_as_rnn.runs.fleet import Fleet
from llm_as_rnn.runs.seat import GoneError, LostError, Recipe, Seat, Surroundings
from tests.helpers import content, run_options
from tests.runs.test_execute import INFO, WANTED, Watch, answer

OPTIONS = run_options(**{**WANTED, "shared": 60, "methods": ("full_history", "recurrent", "advised")})
STEPS = 3 * 4
T = TypeVar("T")


class Yielding(ScriptedEngine):
    """Lets others go on before it answers, as every engine does that takes time."""

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        return await super().complete(request)


def recipe(answerer: Any = answer, info: EngineInfo = INFO) -> Recipe:
    def make(*, meter: Meter | None, patience: float) -> Any:
        del patience
        engine = Yielding(answerer, info)
        return engine if meter is None else meter.watch(engine)

    return make


def sent(value: T) -> T:
    """Give a value as it is after it was sent to another process."""
    again: T = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    return again


class Here:
    """A seat in this process; ``fate`` is asked before each call, and may raise what a process that dies would.

    What a seat is at is lost with it: a seat that is called again is another one.
    """

    def __init__(self, number: int, made: Recipe, fate: Callable[[Here, str], None], server: int) -> None:
        self.name = f"engine {number}"
        self.number = number
        self.server = server
        self.calls: list[str] = []
        self.walked: list[str] = []
        self._recipe = made
        self._fate = fate
        self._seat = Seat(made, Surroundings.here())

    async def call(self, what: str, *given: Any) -> Any:
        self.calls.append(what)
        await asyncio.sleep(0)  # a call to another process takes time
        try:
            self._fate(self, what)
        except LostError:
            self._seat = Seat(self._recipe, Surroundings.here())
            raise
        if what == "start":
            self.walked.append(f"{given[2].method}/{given[2].sequence.info.id}")
            given = (given[0], pickle.loads(given[1]), sent(given[2]))  # noqa: S301 - what `send` gave
        doing: Awaitable[Any] = getattr(self._seat, what)(*given)
        return sent(await doing)


class Several:
    """So many seats."""

    def __init__(self, *made: Recipe, fate: Callable[[Here, str], None] = lambda seat, what: None) -> None:
        self.seats = [Here(number, one, fate, number) for number, one in enumerate(made)]
        self.ended = 0

    async def launch(self) -> list[Here]:
        return self.seats

    def send(self, cast: Cast) -> bytes:
        return pickle.dumps(cast)

    async def end(self) -> None:
        self.ended += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try lost engines again without waiting."""
    monkeypatch.setattr(fleets, "FIRST_AGAIN", 0.0)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the run in this process: what every other is held against."""
    out = tmp_path_factory.mktemp("local") / "run"
    engine = ScriptedEngine(answer, INFO)
    info = asyncio.run(execute(OPTIONS, engine, RunDirectory(out), resume=False, watcher=Watch()))
    assert info.status == "finished"
    return out


def go(
    out: Path, cluster: Several, options: Options = OPTIONS, *, resume: bool = False, watcher: Any = None, **how: Any
) -> RunInfo:
    async def main() -> RunInfo:
        fleet = Fleet(INFO, cluster, **how)
        directory = RunDirectory(out)
        return await execute(options, fleet, directory, resume=resume, watcher=watcher or Watch(), executor=fleet)

    return asyncio.run(main())


def require_same(out: Path, local: Path) -> None:
    assert content(out) == content(local)
    assert dict(RunDirectory(out).prompts().messages) == dict(RunDirectory(local).prompts().messages)
    assert (out / "scores.json").read_bytes() == (local / "scores.json").read_bytes()


def test_a_run_on_several_engines_is_that_of_one_process(tmp_path: Path, local: Path) -> None:
    cluster = Several(*[recipe()] * 3)
    info = go(tmp_path / "run", cluster)
    assert info.status == "finished"
    require_same(tmp_path / "run", local)
    assert all(seat.walked for seat in cluster.seats)
    assert cluster.ended == 1
    assert info.engine.slots == 9


def test_a_sequence_stays_with_its_engine(tmp_path: Path) -> None:
    cluster = Several(*[recipe()] * 3)
    go(tmp_path / "run", cluster, run_options(**{**WANTED, "methods": ("recurrent",)}))
    walks = [walk for seat in cluster.seats for walk in seat.walked]
    assert len(walks) == len(set(walks))


def test_the_next_step_waits_until_the_record_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, synced, seen = tmp_path / "run" / "steps.jsonl", [0], list[int]()
    sync = RunJournal.sync

    def noting(self: RunJournal) -> None:
        written = journal.read_bytes().count(b"\n") - 1
        sync(self)
        synced.append(written)

    def asked(seat: Here, what: str) -> None:
        if what == "go_on":
            seen.append(synced[-1])

    monkeypatch.setattr(RunJournal, "sync", noting)
    go(tmp_path / "run", Several(recipe(), fate=asked))
    # Each time that a walk is asked to go on, the record that it handed over before is on the disk.
    assert len(seen) > STEPS
    assert all(count >= number for number, count in enumerate(seen, 1))


def test_a_full_disk_stops_all_walks(tmp_path: Path) -> None:
    cluster = Several(*[recipe()] * 2)
    with pytest.raises(RunError, match="a crash"):
        go(tmp_path / "run", cluster, watcher=Watch(crash_after=5))
    assert cluster.ended == 1
    assert len(content(tmp_path / "run")) < STEPS  # those whose calls were under way then


@pytest.mark.parametrize("point", range(2, 40, 3))
def test_a_process_that_dies_costs_the_step_that_it_was_at(tmp_path: Path, local: Path, point: int) -> None:
    calls = 0

    def dies(seat: Here, what: str) -> None:
        nonlocal calls
        calls += what in ("start", "go_on")
        if calls == point and what in ("start", "go_on"):
            raise LostError(f"{seat.name} was lost")

    assert go(tmp_path / "run", Several(recipe(), recipe(), fate=dies)).status == "finished"
    require_same(tmp_path / "run", local)


def test_an_engine_that_does_not_come_back_is_done_without(tmp_path: Path, local: Path) -> None:
    def dies(seat: Here, what: str) -> None:
        if seat.number == 0 and seat.calls.count("go_on") > 3:
            raise GoneError("engine 0 is gone") if what == "open" else LostError("engine 0 was lost")

    cluster = Several(recipe(), recipe(), fate=dies)
    assert go(tmp_path / "run", cluster).status == "finished"
    require_same(tmp_path / "run", local)
    assert cluster.seats[0].calls[-1] == "open"


def test_when_no_engine_is_left_the_run_stops_and_can_go_on(tmp_path: Path, local: Path) -> None:
    def dies(seat: Here, what: str) -> None:
        if seat.calls.count("go_on") > 4:
            raise GoneError(f"{seat.name} is gone", "see to the node") if what == "open" else LostError("lost")

    info = go(tmp_path / "run", Several(recipe(), recipe(), fate=dies))
    assert info.status == "failed"
    assert all("is gone (see to the node)" in why for why in info.failures.values())
    engine = ScriptedEngine(answer, INFO)
    again = execute(OPTIONS, engine, RunDirectory(tmp_path / "run"), resume=True, watcher=Watch())
    assert asyncio.run(again).status == "finished"
    require_same(tmp_path / "run", local)


def test_a_run_in_this_process_goes_on_on_engines_elsewhere(tmp_path: Path, local: Path) -> None:
    engine = ScriptedEngine(answer, INFO)
    begun = execute(OPTIONS, engine, RunDirectory(tmp_path / "run"), resume=False, watcher=Watch(crash_after=17))
    with pytest.raises(RunError, match="a crash"):
        asyncio.run(begun)
    watcher = Watch()
    assert go(tmp_path / "run", Several(recipe(), recipe()), resume=True, watcher=watcher).status == "finished"
    assert 17 <= watcher.past < len(content(local))
    require_same(tmp_path / "run", local)


def test_an_outage_of_one_server_is_gone_around(tmp_path: Path, local: Path) -> None:
    asked = 0

    def breaks(request: Request) -> str:
        nonlocal asked
        asked += 1
        if 5 <= asked < 9:
            raise EngineBusyError("it is away")
        return answer(request)

    cluster = Several(recipe(breaks), recipe())
    assert go(tmp_path / "run", cluster).status == "finished"
    require_same(tmp_path / "run", local)
    assert cluster.seats[0].calls.count("open") > 1


def test_an_outage_of_all_is_waited_out_and_said(tmp_path: Path, local: Path) -> None:
    asked, pauses = 0, list[Pause | None]()

    def breaks(request: Request) -> str:
        nonlocal asked
        asked += 1
        if 5 <= asked < 8:
            raise EngineBusyError("it is away")
        return answer(request)

    assert go(tmp_path / "run", Several(recipe(breaks)), on_pause=pauses.append).status == "finished"
    require_same(tmp_path / "run", local)
    assert any(pause is not None and pause.why == "it is away" for pause in pauses)
    assert pauses[-1] is None


def test_an_outage_that_was_waited_out_beside_an_engine_is_gone_around(tmp_path: Path, local: Path) -> None:
    asked = 0

    def breaks(request: Request) -> str:
        nonlocal asked
        asked += 1
        if 5 <= asked < 9:
            raise EngineBusyError("it is away")
        return answer(request)

    def patient(*, meter: Meter | None, patience: float) -> PatientEngine:
        del meter, patience
        return PatientEngine(Yielding(breaks, INFO), 0.0)

    cluster = Several(patient, recipe())
    assert go(tmp_path / "run", cluster).status == "finished"
    require_same(tmp_path / "run", local)
    assert cluster.seats[0].calls.count("open") > 1


def test_patience_has_an_end(tmp_path: Path) -> None:
    def away(request: Request) -> str:
        raise EngineBusyError("it is away")

    info = go(tmp_path / "run", Several(recipe(away), recipe(away)), patience=0.0)
    assert info.status == "failed"
    assert set(info.failures.values()) == {"it is away"}


def test_an_engine_that_refuses_to_serve_is_not_tried_again(tmp_path: Path) -> None:
    def refuses(request: Request) -> str:
        raise EngineUnavailableError("the key is wrong")

    cluster = Several(recipe(refuses))
    info = go(tmp_path / "run", cluster)
    assert set(info.failures.values()) == {"the key is wrong"}
    assert cluster.seats[0].calls.count("open") == 1


def test_a_step_that_kills_every_process_ends_its_own_sequence_alone(tmp_path: Path, local: Path) -> None:
    class Deadly(Here):
        async def call(self, what: str, *given: Any) -> Any:
            if what == "start" and (given[2].method, given[2].sequence.info.id) == ("full_history", first):
                raise LostError(f"{self.name} was lost")
            return await super().call(what, *given)

    first = content(local)[0].sequence
    cluster = Several()
    cluster.seats = [Deadly(number, recipe(), lambda seat, what: None, number) for number in range(2)]
    info = go(tmp_path / "run", cluster)
    assert list(info.failures) == [f"full_history/{first}"]
    assert "step 0 was given up after 3 engines were lost at it" in info.failures[f"full_history/{first}"]


@pytest.mark.parametrize("limits", [Limits(tokens=2000), Limits(cost=2.0)])
def test_a_limit_stops_all_engines_and_the_run_goes_on(tmp_path: Path, local: Path, limits: Limits) -> None:
    prices = {INFO.model: Price(prompt=1000.0, completion=1000.0)}
    meter = Meter(limits, prices)
    info = go(tmp_path / "run", Several(recipe(), recipe()), meter=meter)
    assert info.status == "failed"
    assert meter.reached
    assert all("(--max-" in why and "go on with --resume" in why for why in info.failures.values())
    kept = sum(call.prompt_tokens + call.completion_tokens for one in content(tmp_path / "run") for call in one.calls)
    assert 0 < kept <= meter.tokens
    assert go(tmp_path / "run", Several(recipe()), resume=True).status == "finished"
    require_same(tmp_path / "run", local)


def test_engines_with_different_models_are_refused(tmp_path: Path) -> None:
    cluster = Several(recipe(), recipe(info=replace(INFO, digest="another")))
    with pytest.raises(UsageError, match="engine 1 serves another model than others"):
        go(tmp_path / "run", cluster)
    assert cluster.ended == 1


def test_those_that_ask_one_server_share_its_slots(tmp_path: Path) -> None:
    served = replace(INFO, host="127.0.0.1", slots=9)
    cluster = Several(*[recipe(info=served)] * 3)
    cluster.seats[0].server = cluster.seats[1].server = cluster.seats[2].server = 0
    assert go(tmp_path / "run", cluster).engine.slots == 9


def test_concurrency_is_of_each_engine(tmp_path: Path) -> None:
    at_once: dict[int, set[int]] = {0: set(), 1: set()}
    most = 0

    class Noting(Here):
        async def call(self, what: str, *given: Any) -> Any:
            nonlocal most
            if what not in ("start", "go_on"):
                return await super().call(what, *given)
            at_once[self.number].add(given[0])
            most = max(most, len(at_once[self.number]))
            try:
                return await super().call(what, *given)
            finally:
                at_once[self.number].discard(given[0])

    cluster = Several()
    cluster.seats = [Noting(number, recipe(), lambda seat, what: None, number) for number in range(2)]
    go(tmp_path / "run", cluster, replace(OPTIONS, concurrency=1))
    assert most == 1


def test_an_error_of_a_method_ends_its_sequence_and_is_named(tmp_path: Path) -> None:
    def fails(request: Request) -> str:
        raise KeyError("oh")

    info = go(tmp_path / "run", Several(recipe(fails)), run_options(**{**WANTED, "methods": ("zero_shot",)}))
    assert set(info.failures.values()) == {"KeyError: 'oh'"}


def test_another_version_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings.here()._replace(version="0.0.1")
    opened = asyncio.run(Seat(recipe(), around).open(0.0, Limits(), {}))
    assert isinstance(opened, UsageError)
    assert "install the same version on every node" in str(opened)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("what", "do"),
        MissingExtraError("ray", "ray"),
        EngineBusyError("later", retry_after=3.0),
        EngineError("one"),
        LostError("gone"),
    ],
)
def test_errors_are_the_same_after_they_were_sent(error: LlmAsRnnError) -> None:
    again = sent(error)
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
