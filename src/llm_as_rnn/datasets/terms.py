"""The guard on data that must not leave this machine: engines elsewhere are refused before anything is sent to them.

What cannot be seen from here: a server on this machine that hands requests on to another one (a tunnel, a gateway). Who
runs one has to know.
"""

from __future__ import annotations

from collections.abc import Collection

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.engines.places import is_here

UNKNOWN = "unknown"
"""The host of an engine that does not say where it is."""


def is_credentialed(task: Task) -> bool:
    """Tell whether the terms of a task's data forbid sending it to third parties."""
    return task.dataset in DATASETS and DATASETS[task.dataset].credentialed


def require_local(
    task: Task,
    engine: EngineInfo,
    allowed: bool,
    confirmed: Collection[str] = (),
) -> tuple[str, ...]:
    """Refuse an engine elsewhere for data that must not leave this machine; to be called before the engine is opened.

    Parameters
    ----------
    task : Task
        Whose data would be sent.
    engine : EngineInfo
        Who would get it, a judge no less than the model itself.
    allowed : bool
        Whether the user confirms that the endpoint is covered by the terms of the data.
    confirmed : collection of str
        Hosts that were confirmed before, in the same run or for the same learner.

    Returns
    -------
    tuple of str
        All hosts outside this machine that are confirmed, sorted; run.json keeps them.

    Raises
    ------
    UsageError
        If the data must not leave and the engine is elsewhere, or does not say where it is.
    """
    if not is_credentialed(task) or is_here(engine.host):
        return tuple(sorted(confirmed))
    host = engine.host or UNKNOWN
    if not allowed and host not in confirmed:
        where = "an engine that does not say where it is" if engine.host is None else host
        raise UsageError(
            f"the data of task {task.name} must not leave this machine, and {engine.model} is asked at {where}",
            "use a model on this machine, by a loopback address; or confirm with --allow-remote-data that the data's "
            "terms cover that endpoint",
        )
    return tuple(sorted({*confirmed, host}))
