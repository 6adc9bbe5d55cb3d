"""Who predicts in a session: its task, its method and its limits, made once for all sessions that have the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from llm_as_rnn.catalogue import build, require_method
from llm_as_rnn.catalogue import resolve as settle
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.knobs import knobs, wanted
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import SequenceInfo
from llm_as_rnn.core.settings import Settings, require_one_sequence
from llm_as_rnn.core.task import Task
from llm_as_rnn.core.variants import read_variant
from llm_as_rnn.datasets.terms import require_local
from llm_as_rnn.service.errors import fitting
from llm_as_rnn.streams.online import Stream, revive
from llm_as_rnn.streams.settings import StreamSettings

K = TypeVar("K")
V = TypeVar("V")


class Latest(Generic[K, V]):
    """The things that were used last, by name; from any thread: work on the database is done in threads of its own.

    Parameters
    ----------
    most : int
        How large those are together that are kept; of size 1 each, how many.

    Examples
    --------
    >>> kept = Latest(2)
    >>> kept["a"], kept["b"], kept["c"] = 1, 2, 3
    >>> kept.get("a"), kept.get("b")
    (None, 2)
    >>> kept.put("d", 4, size=2)
    >>> kept.get("b"), kept.get("d")
    (None, 4)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, name: K) -> V | None:
        """Give one, if it is kept."""
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                return None
            self._kept.move_to_end(name)
            return found[0]

    def __setitem__(self, name: K, value: V) -> None:
        self.put(name, value)

    def put(self, name: K, value: V, size: int = 1) -> None:
        """Keep one, of a size; those that were used longest ago go for it."""
        with self._lock:
            self._drop(name)
            self._kept[name] = (value, size)
            self._size += size
            while self._size > self._most:
                self._drop(next(iter(self._kept)))

    def drop(self, name: K) -> None:
        """Keep one no longer."""
        with self._lock:
            self._drop(name)

    def _drop(self, name: K) -> None:
        gone = self._kept.pop(name, None)
        self._size -= 0 if gone is None else gone[1]

    def __len__(self) -> int:
        return len(self._kept)


class Predictor(NamedTuple):
    """Who predicts.

    Attributes
    ----------
    task : Task
        What.
    name : str
        The method's name.
    method : Method
        How.
    settings : Settings
        As they are for this engine.
    keeping : StreamSettings
        How much a stream keeps, and how late outcomes are learned.
    choices : dict
        All that may be chosen by name, as `Learner.choices` has it.
    """

    task: Task
    name: str
    method: Method
    settings: Settings
    keeping: StreamSettings
    choices: dict[str, Any]

    def revive(self, content: bytes, sequence: SequenceInfo) -> Stream:
        """Read a stream of a session, which is the sequence."""
        return msgspec.structs.replace(revive(self.method, content, sequence), versions=())


class Predictors:
    """All predictors that are in use, on one engine.

    Parameters
    ----------
    engine : EngineInfo
        What answers, opened already.
    most : int
        How many are kept made.
    """

    def __init__(self, engine: EngineInfo, most: int = 256) -> None:
        self._engine = engine
        self._made: Latest[tuple[str, str, str], Predictor] = Latest(most)

    def of(self, task: str, method: str, settings: str) -> Predictor:
        """Give the predictor of a session, as its rows have it.

        Parameters
        ----------
        task : str
            The task, as JSON.
        method : str
            The method's name.
        settings : str
            What was chosen, as JSON.
        """
        known = (task, method, settings)
        found = self._made.get(known)
        if found is None:
            decoded = msgspec.json.decode(settings, type=dict[str, Any])
            found = self.make(msgspec.json.decode(task, type=Task), method, decoded)
            self._made[known] = found
        return found

    def make(self, task: Task, name: str, settings: Mapping[str, Any]) -> Predictor:
        """Make one.

        Raises
        ------
        UnfitError
            If there is no such method or setting, or the task's data may not go where the engine is.
        """
        choices = fitting(_chosen, name, settings)
        fitting(require_local, task, self._engine, False)
        settled = settle({knob: choices[knob] for knob in knobs(Settings)}, self._engine)
        method = fitting(build, name, task, settled, Prompts.with_folder(None))
        return Predictor(task, name, method, settled, StreamSettings.of(choices), choices)


def _chosen(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check what was chosen, and complete it."""
    require_method(name)
    if read_variant(name).choices:
        raise UsageError(f"{name} names settings as if it were one of several", "name them in settings")
    choices = wanted(settings, Settings, StreamSettings)
    require_one_sequence(choices, "a session")
    return choices
