"""Group commit: who waits for what, and what becomes of records whose disk, watcher or waiter fails."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, NamedTuple, cast

import pytest

from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.asked import RunJournal
from llm_as_rnn.runs.commits import Commits


class Disk:
    """A journal that notes what is written, and syncs when it is let."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.let = threading.Semaphore(0)
        self.broken = False

    def append(self, record: StepRecord, *, durably: bool) -> None:
        assert not durably
        self.done.append(record)

    def sync(self) -> None:
        self.done.append("sync begins")
        assert self.let.acquire(timeout=30)
        if self.broken:
            raise RunError("the disk is full")
        self.done.append("sync")


def commits(disk: Disk, told: Any) -> Commits:
    return Commits(cast("RunJournal", disk), told)


async def until(what: Any) -> None:
    while not what():
        await asyncio.sleep(0)


def test_what_comes_during_a_sync_is_made_durable_by_the_next_one_together() -> None:
    disk, told = Disk(), list[Any]()

    async def main() -> None:
        group = commits(disk, told.append)
        keeping = [asyncio.ensure_future(group.keep(cast("StepRecord", "a")))]
        await until(lambda: "sync begins" in disk.done)
        keeping += [asyncio.ensure_future(group.keep(cast("StepRecord", name))) for name in "bcd"]
        await until(lambda: "d" in disk.done)
        assert not any(one.done() for one in keeping)
        disk.let.release()
        await keeping[0]
        assert told == ["a"]
        assert not any(one.done() for one in keeping[1:])  # the sync that is over did not have them
        disk.let.release()
        await asyncio.gather(*keeping)

    asyncio.run(main())
    assert told == ["a", "b", "c", "d"]
    assert disk.done == ["a", "sync begins", "b", "c", "d", "sync", "sync begins", "sync"]


def test_a_disk_that_fails_is_told_to_all_who_wait() -> None:
    disk, told = Disk(), list[Any]()
    disk.broken = True

    async def main() -> None:
        group = commits(disk, told.append)
        keeping = [asyncio.ensure_future(group.keep(cast("StepRecord", name))) for name in "ab"]
        disk.let.release()
        errors = await asyncio.gather(*keeping, return_exceptions=True)
        assert [str(error) for error in errors] == ["the disk is full"] * 2

    asyncio.run(main())
    assert told == []


def test_a_watcher_that_fails_stops_the_record_that_it_failed_at() -> None:
    disk = Disk()

    def tell(record: Any) -> None:
        if record == "a":
            raise RunError("a crash")

    async def main() -> None:
        group = commits(disk, tell)
        one, other = (asyncio.ensure_future(group.keep(cast("StepRecord", name))) for name in "ab")
        disk.let.release()
        with pytest.raises(RunError, match="a crash"):
            await one
        await other

    asyncio.run(main())


def test_a_record_whose_walk_was_stopped_still_counts() -> None:
    disk, told = Disk(), list[Any]()

    async def main() -> None:
        group = commits(disk, told.append)
        keeping = asyncio.ensure_future(group.keep(cast("StepRecord", "a")))
        await until(lambda: "sync begins" in disk.done)
        keeping.cancel()
        disk.let.release()
        await group.settle()
        assert keeping.cancelled()

    asyncio.run(main())
    assert told == ["a"]


def test_where_walks_are_made_here_each_record_that_took_a_call_is_synced_at_once() -> None:
    class Direct(Disk):
        def append(self, record: StepRecord, *, durably: bool) -> None:
            self.done.append((record, durably))

    class Step(NamedTuple):
        calls: tuple[str, ...]

    disk, told = Direct(), list[Any]()
    one = Commits(cast("RunJournal", disk), told.append, grouped=False)
    paid, free = Step(("a call",)), Step(())
    for step in (paid, free):
        asyncio.run(one.keep(cast("StepRecord", step)))
    assert disk.done == [(paid, True), (free, False)]
    assert told == [paid, free]
