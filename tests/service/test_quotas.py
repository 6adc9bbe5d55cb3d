"""Quotas: what is used up is refused, with the time after which it is not; what is old goes, and nothing else."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest
import sqlalchemy as sa

from llm_as_rnn.core.calls import Completion
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.service import spending_rows
from llm_as_rnn.service.callers import Caller, Quotas
from llm_as_rnn.service.errors import QuotaError
from llm_as_rnn.service.keys import create_tenant
from llm_as_rnn.service.quotas import SEEN, Admission, require_session_quota
from llm_as_rnn.service.schema import sessions, spending
from llm_as_rnn.service.spending_rows import Used, spent, used
from llm_as_rnn.service.store import Store, now
from llm_as_rnn.service.views import NewSession
from tests.service.house import SETTINGS, House, in_house
from tests.service.rows import add_session, tenant_number
from tests.service.using import read, using, write

CALLS = [Completion("", prompt_tokens=90, cached_tokens=40, completion_tokens=10), Completion("", prompt_tokens=1)]


class Clock:
    """A time that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def caller(tenant: int = 1, **quotas: float) -> Caller:
    return Caller(tenant, "ci", 1, frozenset(), msgspec.convert(quotas, Quotas))


@pytest.fixture
def acme(database: str) -> str:
    """Give a database with a tenant, whose number is 1."""
    using(database, lambda store: create_tenant(store, "acme"))
    assert tenant_number(database, "acme") == 1
    return database


def spend(url: str, *calls: Completion, tenant: int = 1) -> None:
    using(url, lambda store: store.write(lambda connection: spent(connection, tenant, calls, requests=1)))


def refusal(url: str, who: Caller, price: Price | None = None) -> QuotaError | None:
    async def work(store: Store) -> QuotaError | None:
        try:
            await Admission(store, "openai:m", price).admit(who)
        except QuotaError as error:
            return error
        return None

    return using(url, work)


def test_requests_a_minute_are_a_bucket_that_fills_up_again(acme: str) -> None:
    async def work(store: Store) -> None:
        clock = Clock()
        admission = Admission(store, "m", clock=clock)
        who, other = caller(requests=60), caller(2, requests=60)
        for _ in range(60):
            await admission.admit(who)
        with pytest.raises(QuotaError) as refused:
            await admission.admit(who)
        assert refused.value.status == 429
        assert refused.value.retry_after == pytest.approx(1.0)
        await admission.admit(other)
        clock.now += 0.5
        with pytest.raises(QuotaError) as refused:
            await admission.admit(who)
        assert refused.value.retry_after == pytest.approx(0.5)
        clock.now += 0.5
        await admission.admit(who)
        clock.now += 3600.0
        for _ in range(60):
            await admission.admit(who)
        with pytest.raises(QuotaError):
            await admission.admit(who)

    using(acme, work)


def test_a_batch_counts_as_what_is_in_it_and_one_of_more_than_a_minutes_worth_has_its_turn(acme: str) -> None:
    async def work(store: Store) -> None:
        clock = Clock()
        admission = Admission(store, "m", clock=clock)
        await admission.admit(caller(requests=60), requests=120)
        with pytest.raises(QuotaError) as refused:
            await admission.admit(caller(requests=60))
        assert refused.value.retry_after == pytest.approx(61.0)
        clock.now += 61.0
        await admission.admit(caller(requests=60))

    using(acme, work)


def test_who_has_no_quota_or_one_of_0_asks_no_database(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(store: Store) -> None:
        async def away(work: object) -> object:
            raise AssertionError("the database was asked")

        monkeypatch.setattr(store, "read", away)
        admission = Admission(store, "m")
        for _ in range(1000):
            await admission.admit(caller())
            await admission.admit(caller(requests=0, tokens=0, money=0, sessions=0))

    using(acme, work)


def test_tokens_of_a_day_are_those_that_were_read_and_written(acme: str) -> None:
    spend(acme, *CALLS)
    assert refusal(acme, caller(tokens=102)) is None
    refused = refusal(acme, caller(tokens=101))
    assert refused is not None
    assert "101 tokens were used today, of 101" in str(refused)
    left = 86_400 - using(acme, lambda store: store.read(now)) % 86_400
    assert refused.retry_after == pytest.approx(left, abs=60)
    assert refusal(acme, caller(2, tokens=1)) is None


def test_what_was_used_yesterday_does_not_count_today(acme: str) -> None:
    spend(acme, *CALLS)
    write(acme, sa.update(spending).values(day=spending.c.day - 1))
    assert refusal(acme, caller(tokens=1)) is None


def test_money_is_what_tokens_cost_by_the_table(acme: str) -> None:
    spend(acme, Completion("", prompt_tokens=1_000_000, cached_tokens=800_000, completion_tokens=100_000))
    price = Price(prompt=2.0, completion=8.0, cached=0.5)
    assert refusal(acme, caller(money=1.7), price) is None
    refused = refusal(acme, caller(money=1.6), price)
    assert refused is not None
    assert "1.6 was spent today, of 1.6" in str(refused)


def test_money_that_nobody_can_count_is_not_spent(acme: str) -> None:
    refused = refusal(acme, caller(money=5))
    assert refused is not None
    assert "nobody says what openai:m costs" in str(refused)
    assert refusal(acme, caller(money=0)) is None


def test_what_only_reads_passes_when_a_days_tokens_are_used_up(acme: str) -> None:
    spend(acme, *CALLS)
    using(acme, lambda store: Admission(store, "m").admit(caller(tokens=1), costs=False))


def test_what_others_use_is_seen_within_a_second(acme: str) -> None:
    async def work(store: Store) -> None:
        clock = Clock()
        admission = Admission(store, "m", clock=clock)
        await admission.admit(caller(tokens=50))
        await store.write(lambda connection: spent(connection, 1, CALLS))
        await admission.admit(caller(tokens=50))
        clock.now += SEEN
        with pytest.raises(QuotaError):
            await admission.admit(caller(tokens=50))

    using(acme, work)


def test_spending_is_summed_over_what_several_wrote_at_once(acme: str) -> None:
    async def work(store: Store) -> list[Used]:
        await asyncio.gather(
            *(store.write(lambda connection: spent(connection, 1, CALLS, requests=1)) for _ in range(40))
        )
        return await store.read(lambda connection: used(connection, 1, 7))

    (today,) = using(acme, work)
    assert today[1:] == (40, 80, 40 * 91, 40 * 40, 40 * 10)
    assert today.tokens == 40 * 101
    parts = len(read(acme, sa.select(spending)))
    assert parts == 1 if acme.startswith("sqlite") else 1 < parts <= spending_rows.PARTS


def test_spending_is_undone_with_the_transaction_that_it_belongs_to(acme: str) -> None:
    def failing(connection: sa.Connection) -> None:
        spent(connection, 1, CALLS)
        raise RuntimeError("the prediction could not be kept")

    with pytest.raises(RuntimeError):
        using(acme, lambda store: store.write(failing))
    assert using(acme, lambda store: store.read(lambda connection: used(connection, 1, 7))) == []


def test_days_are_listed_apart_and_only_as_many_as_were_asked_for(acme: str) -> None:
    spend(acme, *CALLS)
    write(acme, sa.update(spending).values(day=spending.c.day - 2))
    spend(acme, *CALLS)
    listed = using(acme, lambda store: store.read(lambda connection: used(connection, 1, 3)))
    assert [one.tokens for one in listed] == [101, 101]
    assert listed[1].day - listed[0].day == 2
    assert len(using(acme, lambda store: store.read(lambda connection: used(connection, 1, 2)))) == 1


def test_calls_that_cost_nothing_write_nothing(acme: str) -> None:
    using(acme, lambda store: store.write(lambda connection: spent(connection, 1, [])))
    assert read(acme, sa.select(spending)) == []


def test_no_more_sessions_than_the_quota_are_begun(acme: str) -> None:
    def require(most: int) -> None:
        using(acme, lambda store: store.write(partial(require_session_quota, caller=caller(sessions=most))))

    add_session(acme, "acme", 1)
    require(1)
    add_session(acme, "acme", 2)
    require(0)
    with pytest.raises(QuotaError, match="1 sessions are this tenant's quota") as refused:
        require(1)
    assert refused.value.retry_after > 0


def test_not_even_where_many_begin_at_the_same_time(acme: str) -> None:
    add_session(acme, "acme", 1)

    def begin(connection: sa.Connection, name: str) -> None:
        row = connection.execute(sa.select(sessions).where(sessions.c.number == 1)).one()._asdict()
        connection.execute(sa.insert(sessions).values({**row, "number": 2 + int(name), "id": name}))
        require_session_quota(connection, caller(sessions=3))

    async def work(store: Store) -> list[BaseException | None]:
        works = (store.write(partial(begin, name=str(number))) for number in range(8))
        return await asyncio.gather(*works, return_exceptions=True)

    results = using(acme, work)
    assert [type(result) for result in results if result is not None] == [QuotaError] * 6


def test_a_quota_of_sessions_holds_for_new_ones_forks_and_files(database: str) -> None:
    async def work(house: House) -> None:
        await house.begin("one")
        file = await house.sessions.dump(house.me, "one")
        house.me = house.me._replace(quotas=Quotas(sessions=2))
        await house.begin("two")
        await house.begin("two")  # it is there already
        with pytest.raises(QuotaError):
            await house.begin("three")
        with pytest.raises(QuotaError):
            await house.sessions.fork(house.me, "one", "three")
        with pytest.raises(QuotaError):
            await house.sessions.load(house.me, file, "three")
        await house.sessions.create(house.other, NewSession(task="weather", id="one", settings=SETTINGS))
        await house.sessions.delete(house.me, "one")
        await house.begin("three")

    in_house(database, work)
    assert sorted(read(database, sa.select(sessions.c.id))) == [("one",), ("three",), ("two",)]


@pytest.mark.parametrize("given", [b'{"tokens": -1}', b'{"money": -0.5}', b'{"tokens": 1.5}', b'{"calls": 7}'])
def test_quotas_that_mean_nothing_are_refused(given: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(given, type=Quotas)
