"""What ``llm-as-rnn serve`` does, and the commands below it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from platformdirs import user_config_path, user_data_path

from llm_as_rnn.cli.main import DONE
from llm_as_rnn.cli.plugins import refused
from llm_as_rnn.cli.process import interrupts
from llm_as_rnn.cli.progress import say
from llm_as_rnn.core.errors import MissingExtraError, UsageError
from llm_as_rnn.service.config import DATABASE, FILE, Configuration, gather, shown

T = TypeVar("T")

PROGRAM = "llm-as-rnn"
"""Names the folders of a user's settings and data."""


def serve(config: Path | None, show_config: bool, **flags: Any) -> int:
    """Do what ``llm-as-rnn serve`` is told to."""
    found = configuration(config, flags)
    if show_config:
        click.echo(shown(found))
        return DONE
    with _extra():
        from llm_as_rnn.service.http.logs import log_lines  # noqa: PLC0415 - it needs the extra
        from llm_as_rnn.service.serving import serve as serving  # noqa: PLC0415 - it needs the extra
    for line in refused():
        say(line)
    log_lines(requests=found.settings.log_requests)
    # To be told to stop is how a service ends, and no mishap.
    with suppress(KeyboardInterrupt):
        interrupts.run(serving(found.settings, database_of(found), say), loop_factory=_loop_factory())
    return DONE


def configuration(config: Path | None, flags: dict[str, Any]) -> Configuration:
    """Bring together what was chosen on this machine."""
    return gather(flags, os.environ, config, user_config_path(PROGRAM) / FILE)


def database_of(found: Configuration) -> str:
    """Give the address of the database: the one that was chosen, or a file in the folder of the user's data."""
    return found.settings.database or f"sqlite:///{user_data_path(PROGRAM) / DATABASE}"


def migrate(config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve migrate`` is told to."""
    with _extra():
        from llm_as_rnn.service.migrating import migrate as bring_up  # noqa: PLC0415 - it needs the extra
    done = asyncio.run(bring_up(_named(config, database)))
    click.echo("\n".join(done) or "the database is up to date")


def backup(file: Path, config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve backup`` is told to."""
    with _extra():
        from llm_as_rnn.service.backup import backup as copy  # noqa: PLC0415 - it needs the extra
    copy(_named(config, database), file)
    click.echo(f"{file} has it all")


def retain(days: float, config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve retain`` is told to."""
    with _extra():
        from llm_as_rnn.service.retention import retain as delete_old  # noqa: PLC0415 - it needs the extra
    removed = _with_store(config, database, lambda store: delete_old(store, days))
    click.echo(f"{removed.steps} steps and {removed.versions} versions of memories were deleted")


def create_key(tenant: str, name: str, scopes: str, config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve keys create`` is told to."""
    named = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    click.echo(_with_store(config, database, lambda store: _keys().create_key(store, tenant, name, named)))
    say("it is not shown again: keep it where others do not see it")


def list_keys(tenant: str | None, config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve keys list`` is told to."""
    _rows(_with_store(config, database, lambda store: _keys().list_keys(store, tenant)))


def revoke_key(key: str, config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve keys revoke`` is told to."""
    _with_store(config, database, lambda store: _keys().revoke_key(store, key))


def create_tenant(name: str, config: Path | None, database: str | None, **quotas: Any) -> None:
    """Do what ``llm-as-rnn serve tenants create`` is told to."""
    _with_store(config, database, lambda store: _keys().create_tenant(store, name, _quotas(quotas)))


def list_tenants(config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve tenants list`` is told to."""
    _rows(_with_store(config, database, lambda store: _keys().list_tenants(store)))


def change_quotas(name: str, config: Path | None, database: str | None, **quotas: Any) -> None:
    """Do what ``llm-as-rnn serve tenants change`` is told to."""
    _with_store(config, database, lambda store: _keys().change_quotas(store, name, _quotas(quotas)))


def delete_tenant(name: str, yes: bool, config: Path | None, database: str | None) -> None:
    """Do what ``llm-as-rnn serve tenants delete`` is told to."""
    if not yes:
        click.confirm(f"delete {name} with all that is its own?", abort=True, err=True)
    _with_store(config, database, lambda store: _keys().delete_tenant(store, name))


def _rows(views: Iterable[msgspec.Struct]) -> None:
    """Write a line of JSON for each."""
    for view in views:
        click.echo(msgspec.json.encode(view).decode())


def _keys() -> Any:
    from llm_as_rnn.service import keys  # noqa: PLC0415 - it needs the extra

    return keys


def _quotas(chosen: dict[str, Any]) -> Any:
    from llm_as_rnn.service.callers import Quotas  # noqa: PLC0415 - beside the others

    try:
        return Quotas(**chosen)
    except ValueError as error:
        raise UsageError(str(error), "give one, or leave the option out for no limit") from error


def _named(config: Path | None, database: str | None) -> str:
    return database_of(configuration(config, {"database": database}))


def _with_store(config: Path | None, database: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    """Do something with the database, if its tables are those of this version; the default one gets them."""
    with _extra():
        from llm_as_rnn.service.migrating import prepare  # noqa: PLC0415 - it needs the extra
        from llm_as_rnn.service.store import Store  # noqa: PLC0415 - it needs the extra
    found = configuration(config, {"database": database})

    async def whole() -> T:
        store = await Store.open(database_of(found))
        try:
            await prepare(store, make=found.settings.database is None)
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(whole())


@contextmanager
def _extra() -> Iterator[None]:
    """Say how to install what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError((error.name or "").partition(".")[0], "service") from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give the quicker event loop, where there is one for this system."""
    try:
        import uvloop  # noqa: PLC0415 - it comes with the extra, and not for every system
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
