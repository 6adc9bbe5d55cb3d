"""Where a command's walks are made: in its own process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from llm_as_rnn.cli.running import engine_of, recipe_of
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.engines.places import host_of, is_here
from llm_as_rnn.engines.spending import Meter
from llm_as_rnn.runs.execute import Options
from llm_as_rnn.runs.executors import Executor


class Placing(NamedTuple):
    """Where walks are made.

    Attributes
    ----------
    executor : str
        ``local`` or ``ray``.
    address : str or None
        The cluster's.
    engines : int or None
        How many are wanted there.
    """

    executor: str
    address: str | None
    engines: int | None


def take_placing(choices: dict[str, Any], servers: Sequence[str]) -> Placing:
    """Take what was said of the executor out of a command's options.

    Raises
    ------
    UsageError
        If something was said that is for Ray alone, and Ray was not asked for.
    """
    placing = Placing(choices.pop("executor"), choices.pop("ray_address"), choices.pop("engines"))
    if placing.executor == "local":
        if placing.engines is not None:
            raise UsageError("--engines is for a run on Ray", "add --executor ray")
        if len(servers) > 1:
            raise UsageError("several servers are asked on Ray alone", "add --executor ray, or name one --base-url")
    return placing


class Workers(NamedTuple):
    """Who answers, and who makes the walks; None for the run itself."""

    engine: Engine
    executor: Executor | None


def workers_of(placing: Placing, model: str, options: Options, servers: Sequence[str], **more: Any) -> Workers:
    """Give the engine of a run, not open yet, and its executor.

    Parameters
    ----------
    placing : Placing
        Where.
    model, options, **more
        As for `running.engine_of`.
    servers : sequence of str
        The addresses of servers; none for the usual one, or where the model is on none.
    """
    if placing.executor == "local":
        return Workers(engine_of(model, options, base_url=servers[0] if servers else None, **more), None)
    from llm_as_rnn.runs.fleet import Fleet  # noqa: PLC0415 - most commands have no use for them
    from llm_as_rnn.runs.on_ray import RayCluster  # noqa: PLC0415

    meter: Meter = more.pop("meter")
    patience, on_pause = more.pop("patience"), more.pop("on_pause")
    urls: Sequence[str | None] = servers or [None]
    # Made here too, so that what is wrong with one of them is said before anything is begun.
    made = [engine_of(model, options, base_url=url, meter=meter, **more) for url in urls]
    recipes = [recipe_of(model, options, base_url=url, **more) for url in urls]
    info = replace(made[0].info, host=_host([engine.info.host for engine in made], placing.address))
    cluster = RayCluster(recipes, placing.address, placing.engines)
    fleet = Fleet(info, cluster, meter=meter, patience=patience, on_pause=on_pause)
    return Workers(fleet, fleet)


def _host(hosts: Sequence[str | None], address: str | None) -> str | None:
    """Say where requests go: the nodes of a cluster are elsewhere, even if an engine is in the process that asks it."""
    if address is not None:
        cluster = address.rpartition(":")[0]
        hosts = [*hosts, None if is_here(cluster) else cluster]
    return host_of(hosts)
