"""Several servers of one model as one engine, for streams that go on for long.

A stream stays with one server, whose cache has read its prompts: rendezvous hashing (Thaler and Ravishankar 1998,
https://doi.org/10.1109/90.663936) ranks the servers for each key, in every process in the same way, and the foremost
that is well answers. So a server that goes away moves its own streams alone, and gets them back when it returns.

A server that does not serve is left alone for a while, longer each time, and then asked something cheap. What it was
asked meanwhile is asked elsewhere. One that passes this is trusted with one call at a time until it has answered one.

`runs.fleet` hands whole walks to engines in other processes; what it and a pool have in common stands in `members`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from collections.abc import Sequence as Many
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, Self, TypeVar

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import (
    EngineBusyError,
    EngineError,
    EngineUnavailableError,
    LlmAsRnnError,
    RequestRefusedError,
    UsageError,
)
from llm_as_rnn.engines.members import (
    FIRST_AGAIN,
    LONGEST_AGAIN,
    Member,
    MovedError,
    ServerEngine,
    ServerHealth,
    as_one,
    require_same_model,
)
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.places import host_of

STAY = 0.5
"""Seconds for which a call waits for its own server when that is full, before another one takes it."""

OUTAGE = 30.0
"""Seconds without any server that is well, after which calls are given up."""

MOST_BROKEN = 2
"""Times that a call may break while the servers are well: then it is the call."""

IN_A_ROW = 3
"""Calls that may break in a row on a server: then it is the server, whatever it says of itself."""

What = Literal["busy", "broke", "lost"]
"""What a failed attempt tells: the server has no time, the call broke though it is well, or it is gone."""

T = TypeVar("T")


class Pool:
    """Several servers as one engine.

    Parameters
    ----------
    servers : sequence of ServerEngine
        Those of the same model. They are opened and closed here, and should not try again by themselves what another
        server can do at once.
    stay : float
        Seconds for which a call waits for its own server when that is full.
    patience : float
        Seconds for which calls wait when no server is well.
    context : int, optional
        Tokens that one call may hold on each of them, where they were told: then they need not say the same.
    clock, sleep : callable
        What time it is, in seconds, and how to wait until a server is tried again.

    Raises
    ------
    UsageError
        If there is no server, or one is named twice.
    """

    def __init__(
        self,
        servers: Many[ServerEngine],
        *,
        stay: float = STAY,
        patience: float = OUTAGE,
        context: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        names = [server.where for server in servers]
        twice = [name for place, name in enumerate(names) if name in names[:place]]
        if not servers or twice:
            raise UsageError(
                f"the server {twice[0]} is named twice" if twice else "no server is named", "name each once"
            )
        self._members = [Member(server) for server in servers]
        self._stay, self._patience, self._context = stay, patience, context
        self._clock, self._sleep = clock, sleep
        self._waiting: deque[_Waiter] = deque()
        self._trying: set[asyncio.Task[None]] = set()
        self._dark_since: float | None = None
        self._host = host_of([server.info.host for server in servers])
        self._infos = tuple(server.info for server in servers)
        self._info = as_one(self._infos, self._host)

    @classmethod
    def of(
        cls,
        model: str,
        base_urls: Many[str],
        *,
        slots: int | None = None,
        context: int | None = None,
        timeout: float | None = None,
        stay: float = STAY,
        patience: float = OUTAGE,
    ) -> Self:
        """Make a pool of the OpenAI-compatible servers at these addresses.

        Parameters
        ----------
        model : str
            The model's name on all of them.
        base_urls : sequence of str
            Their addresses, each with ``/v1``.
        slots, context : int, optional
            Calls that each answers at the same time, and tokens that one call may hold; else what they say.
        timeout : float, optional
            Seconds for one attempt of a call; else 120.
        stay, patience : float
            As of `Pool`.
        """
        servers = [
            OpenAICompatibleEngine(
                model, base_url=url, slots=slots, context=context, timeout=timeout or 120.0, max_retries=0
            )
            for url in base_urls
        ]
        return cls(servers, stay=stay, patience=patience, context=context)

    @property
    def info(self) -> EngineInfo:
        """What the servers are as one."""
        infos = tuple(member.server.info for member in self._members if member.known)
        if infos and infos != self._infos:
            self._infos, self._info = infos, as_one(infos, self._host)
        return self._info

    @property
    def waiting(self) -> int:
        """Calls that wait for a server."""
        return len(self._waiting)

    def health(self) -> tuple[ServerHealth, ...]:
        """Say how each server is, in the order in which they were named."""
        return tuple(member.health for member in self._members)

    def seat(self, key: str) -> Engine:
        """Give the pool as the engine of one stream: its calls go to the server that has its prefix.

        Parameters
        ----------
        key : str
            What tells the stream from others, in all processes.
        """
        return _Seat(self, key)

    async def open(self) -> None:
        """Open all servers; those that cannot be opened now are tried again later, as long as one can.

        Raises
        ------
        EngineUnavailableError
            If none can be opened, for as long as waiting may be of use.
        UsageError
            If they do not serve the same model, or do not take equally long prompts.
        """
        try:
            opened = await asyncio.gather(*(member.open() for member in self._members))
            self._require_alike()
            for member, error in zip(self._members, opened, strict=True):
                if error is not None:
                    self._leave_alone(member, error)
            self._free(await self._place(None, (), 0), 0)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all servers."""
        for task in tuple(self._trying):
            task.cancel()
        await asyncio.gather(*self._trying, return_exceptions=True)
        self._wake()
        for member in self._members:
            await member.close()

    async def complete(self, request: Request, key: str | None = None) -> Completion:
        """Answer a request.

        Parameters
        ----------
        request : Request
            What is asked.
        key : str, optional
            Whose server should answer; else the one that has most slots free.

        Raises
        ------
        EngineBusyError
            If no server is well for too long.
        EngineUnavailableError
            If none is, and waiting is of no use.
        EngineError
            If this call broke one server after the other, or is refused for what stands in it.
        """

        async def ask(member: Member) -> Completion:
            try:
                completion = await member.server.complete(request)
            except RequestRefusedError:
                member.served()  # who refuses a request can read one
                raise
            member.served(completion)
            return completion

        return await self._somewhere(ask, key, 1)

    async def count_tokens(self, text: str, key: str | None = None) -> int:
        """Count the tokens of a text, for which no slot is needed; parameters and errors are those of `complete`."""
        return await self._somewhere(lambda member: member.server.count_tokens(text), key, 0)

    async def _somewhere(self, ask: Callable[[Member], Coroutine[Any, Any, T]], key: str | None, slots: int) -> T:
        """Ask one server after the other until one answers; ``slots`` is how many it takes meanwhile."""
        began = self._clock()
        tried: list[Member] = []
        came: Counter[What] = Counter()
        while True:
            member = await self._place(key, tried, slots)
            try:
                return await member.run(ask(member))
            except RequestRefusedError:
                raise
            except EngineError as error:
                member.failures += 1
                what = await self._told_by(error, member)
                came[what] += 1
                if what != "busy":
                    tried.append(member)
                elif self._clock() - began >= self._patience:
                    raise
                # A call may meet each server as it goes, and one as it comes back; after that, it is what ends them.
                if came["broke"] >= MOST_BROKEN or came["lost"] > len(self._members) + 1:
                    raise EngineError(error.message, error.hint) from error
            except MovedError:
                pass
            finally:
                self._free(member, slots)

    async def _told_by(self, error: EngineError, member: Member) -> What:
        """See what a failed attempt tells of its server, and leave that alone where it does not serve."""
        if not member.is_well():
            return "lost"  # others have found that out
        try:
            await member.server.check()
        except EngineError as lost:
            if member.is_well():
                self._leave_alone(member, lost)
                await member.lose()
            return "lost"
        if not member.is_well():
            return "lost"
        busy = isinstance(error, EngineUnavailableError)
        member.broken += 1
        if busy or member.broken >= IN_A_ROW:
            self._leave_alone(member, error)
        return "busy" if busy else "broke"

    # ------------------------------------------------------------------------------------------------- who is asked

    async def _place(self, key: str | None, tried: Collection[Member], slots: int) -> Member:
        """Wait for a free slot, and take it: at the key's own server, or after a while at another one."""
        until = self._clock() + self._stay
        waiter = _Waiter(ranked(key, self._members, lambda member: member.name), key is not None, tried, slots)
        while True:
            member = waiter.choice()
            if member is not None:
                member.in_flight += slots
                return member
            seconds = [until - self._clock()] if waiter.stays else []
            if not any(one.is_well() for one in self._members):
                seconds = [self._patience_left()]
            member = await self._wait(waiter, min(seconds, default=None))
            if member is not None:
                return member
            waiter.stays = waiter.stays and self._clock() < until

    async def _wait(self, waiter: _Waiter, seconds: float | None) -> Member | None:
        """Wait for a slot, and no longer than so many seconds; None if there is another reason to look again."""
        waiter.given = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(None if seconds is None else max(seconds, 0.0)):
                return await waiter.given
        except TimeoutError:
            return _given(waiter)
        except asyncio.CancelledError:
            member = _given(waiter)
            if member is not None:
                self._free(member, waiter.slots)
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove(waiter)

    def _patience_left(self) -> float:
        """Say for how long a server that comes back is waited for.

        Raises
        ------
        EngineUnavailableError
            If patience is at its end, or waiting is of no use.
        """
        errors = [member.error for member in self._members if member.error is not None]
        lasting = [error for error in errors if not error.later]
        if len(lasting) == len(self._members):
            raise lasting[0]
        now = self._clock()
        left = (now if self._dark_since is None else self._dark_since) + self._patience - now
        if left > 0:
            return left
        error = next(error for error in errors if error.later)
        raise EngineBusyError(
            f"none of {len(self._members)} servers can answer now: {error.message}",
            "see to them: calls go on when one is back",
            retry_after=FIRST_AGAIN,
        )

    def _free(self, member: Member, slots: int) -> None:
        member.in_flight -= slots
        self._offer()

    def _offer(self) -> None:
        """Give free slots to those who wait, in the order in which they came."""
        for waiter in tuple(self._waiting):
            if not any(member.has_room for member in self._members):
                break
            member = waiter.choice()
            if member is not None and waiter.given is not None and not waiter.given.done():
                member.in_flight += waiter.slots
                self._waiting.remove(waiter)
                waiter.given.set_result(member)

    def _wake(self) -> None:
        """Have all who wait look again."""
        for waiter in self._waiting:
            if waiter.given is not None and not waiter.given.done():
                waiter.given.set_result(None)

    # ---------------------------------------------------------------------------------------------------- who is well

    def _leave_alone(self, member: Member, error: EngineError) -> None:
        """Send a server no calls until it serves again."""
        member.error = error if isinstance(error, EngineUnavailableError) else _busy(error)
        if any(one.is_well() for one in self._members):
            self._offer()  # who waited for it goes elsewhere
        else:
            self._dark_since = self._clock() if self._dark_since is None else self._dark_since
            self._wake()
        task = asyncio.create_task(self._try_again(member))
        self._trying.add(task)
        task.add_done_callback(self._trying.discard)

    async def _try_again(self, member: Member) -> None:
        """Try a server again and again, until it serves."""
        while member.error is not None:
            asked_for = getattr(member.error, "retry_after", None) or 0.0
            await self._sleep(max(member.pause, min(asked_for, LONGEST_AGAIN)))
            member.pause = min(2 * member.pause, LONGEST_AGAIN)
            try:
                await self._try_once(member)
            except LlmAsRnnError as error:
                member.error = error if isinstance(error, EngineUnavailableError) else _busy(error)
        self._dark_since = None
        self._wake()

    async def _try_once(self, member: Member) -> None:
        """Ask a server how it is; one that was gone may have come back as another.

        Raises
        ------
        LlmAsRnnError
            If it cannot be used.
        """
        if member.opened:
            await member.server.check()
        else:
            error = await member.open()
            if error is not None:
                raise error
            try:
                self._require_alike()
            except UsageError:
                await member.close()
                raise
        member.error = None
        member.broken = IN_A_ROW - 1  # on trial: the next failure is one too many

    def _require_alike(self) -> None:
        said = [(member.name, member.server.said) for member in self._members if member.opened]
        require_same_model((name, server.digest) for name, server in said)
        windows = [(name, server.window) for name, server in said if server.window is not None]
        for name, window in windows:
            if window != windows[0][1] and self._context is None:
                raise UsageError(
                    f"{name} takes prompts of {window} tokens, and {windows[0][0]} of {windows[0][1]}",
                    "start them with the same context, or say how much of it to use (context)",
                )


class _Waiter:
    """A call that looks for a server.

    Attributes
    ----------
    order : sequence of Member
        Whom it would like best, first.
    stays : bool
        Whether nobody but the foremost that is well will do yet.
    tried : collection of Member
        Those on which it failed, which come last.
    slots : int
        How many slots it takes: none, to count tokens.
    given : future or None
        The server whose slot it got; None if it is to look again.
    """

    def __init__(self, order: Many[Member], keyed: bool, tried: Collection[Member], slots: int) -> None:
        self.order = order
        self.keyed = keyed
        self.stays = keyed and not tried
        self.tried = tried
        self.slots = slots
        self.given: asyncio.Future[Member | None] | None = None

    def choice(self) -> Member | None:
        """Give the server to ask; None to wait."""
        well = [member for member in self.order if member.is_well()]
        well = [member for member in well if member not in self.tried] or well
        if self.stays:
            well = well[:1]
        free = [member for member in well if member.has_room or not self.slots]
        if not self.keyed:
            free.sort(key=lambda member: member.in_flight - member.server.info.slots)
        return free[0] if free else None


class _Seat(NamedTuple):
    """A pool as the engine of one stream."""

    pool: Pool
    key: str

    @property
    def info(self) -> EngineInfo:
        return self.pool.info

    async def open(self) -> None:
        """Do nothing: whoever has the pool opens it."""

    async def complete(self, request: Request) -> Completion:
        return await self.pool.complete(request, self.key)

    async def count_tokens(self, text: str) -> int:
        return await self.pool.count_tokens(text, self.key)

    async def close(self) -> None:
        """Do nothing: whoever has the pool closes it."""


def ranked(key: str | None, members: Iterable[T], name: Callable[[T], str] = str) -> list[T]:
    """Rank servers for a key, the foremost first; as they stand where there is no key.

    Of each pair of servers it is settled once, by the key and their names, which comes first: whether others are there
    changes nothing in that.

    Examples
    --------
    >>> ranked("portland", ["a", "b", "c"]), ranked("portland", ["a", "b"]), ranked("seattle", ["c", "a"])
    (['c', 'b', 'a'], ['b', 'a'], ['a', 'c'])
    """
    if key is None:
        return list(members)
    return sorted(members, key=lambda member: blake2b(f"{name(member)}\n{key}".encode(), digest_size=8).digest())


def _busy(error: LlmAsRnnError) -> EngineBusyError:
    return error if isinstance(error, EngineBusyError) else EngineBusyError(error.message, error.hint)


def _given(waiter: _Waiter) -> Member | None:
    """Give the server whose slot came in the moment in which nobody waited for it any more."""
    given = waiter.given
    return given.result() if given is not None and given.done() and not given.cancelled() else None
