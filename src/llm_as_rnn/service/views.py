"""What the service takes and gives, as its JSON has it: for the server, the client and the description of the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from llm_as_rnn.catalogue import DEFAULT_METHOD
from llm_as_rnn.core.records import Section, Update, Value
from llm_as_rnn.service.asked import Asked

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\s/?#\x00-\x1f\x7f]+$")]
"""What can stand in a path: no blanks, slashes, question or number signs."""

RESERVED = frozenset({"import"})
"""Names that sessions cannot have, because paths have them."""

State = Literal["waiting", "learned", "given_up"]

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
"""A caller's name for a prediction."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What the service gives. A client of an earlier version passes over fields that it does not know."""


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service takes: a field that it does not know is an error, and not passed over."""


class TaskView(View, frozen=True, kw_only=True):
    """A version of a task.

    Attributes
    ----------
    name, version
        By which it is named.
    title : str
        What people call it.
    created : float
        Seconds since 1970.
    content : dict or None
        All of it, where one is looked at.
    """

    name: str
    version: int
    title: str
    created: float
    content: dict[str, Any] | None = None


class NewSession(Given, frozen=True, kw_only=True):
    """A session to begin.

    Attributes
    ----------
    task : str
        The name of one of the tenant's tasks, or of a shipped one.
    task_version : int or None
        Its version; the latest, where none is named.
    id : str or None
        The session's name; else one is made up. To begin it again under the same name gives the one that is there, if
        all else is the same.
    method : str
        Who predicts (see `catalogue.METHODS`).
    about : dict
        What stays the same in the stream.
    settings : dict
        By name, as `Learner` takes them.
    """

    task: Name
    task_version: int | None = None
    id: Name | None = None
    method: str = DEFAULT_METHOD
    about: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class SessionView(View, frozen=True, kw_only=True):
    """A session.

    Attributes
    ----------
    id, task, task_version, method, about, settings
        As it was begun.
    status : str
        ``active`` or ``archived``.
    steps : int
        Predictions so far.
    waiting : int
        Of these, those whose outcome has not been learned.
    due : int
        Outcomes that have come and are not learned yet.
    memory_version : int or None
        Of the present memory; None for methods that keep none.
    revision : int
        How often the state has changed.
    calls, prompt_tokens, cached_tokens, completion_tokens : int
        What it cost so far.
    created, changed : float
        Seconds since 1970.
    """

    id: str
    task: str
    task_version: int
    method: str
    about: dict[str, Any]
    settings: dict[str, Any]
    status: Literal["active", "archived"]
    steps: int
    waiting: int
    due: int
    memory_version: int | None
    revision: int
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    created: float
    changed: float


class NewPrediction(Given, frozen=True, kw_only=True):
    """An observation whose outcome is to be predicted.

    Attributes
    ----------
    x : dict
        The observation's fields.
    id : str or None
        The name under which its outcome will be told; else ``#`` and the step's number. The same id with the same
        observation is the same prediction.
    """

    x: dict[str, Any]
    id: Id | None = None


class PredictionView(View, frozen=True, kw_only=True):
    """A prediction, and what has become of it.

    Attributes
    ----------
    id : str or int
        Its name; a number only in sessions that a notebook began with such names.
    t : int
        Its step.
    status : str
        How it came about (see `core.records.Status`).
    values : dict or None
        The answer by field; None where there is no usable one.
    distribution, believed, interval, among, chance, abstained, problem
        As of `core.records.Prediction`.
    memory_version : int or None
        The version of the memory that made it.
    state : str
        ``waiting`` for its outcome, ``learned``, or ``given_up`` because too many waited.
    created : float
        Seconds since 1970.
    """

    id: str | int
    t: int
    status: str
    values: dict[str, Value] | None
    distribution: dict[str, dict[str, float]]
    believed: dict[str, dict[str, float]] = {}
    interval: dict[str, tuple[float, float]]
    among: dict[str, tuple[str, ...]]
    chance: dict[str, float]
    abstained: tuple[str, ...]
    problem: str
    memory_version: int | None
    state: State
    created: float


class NewOutcome(Given, frozen=True, kw_only=True):
    """An outcome.

    Attributes
    ----------
    y : dict
        Its fields.
    replaces : int or None
        The number of the outcome that this one corrects.
    """

    y: dict[str, Any]
    replaces: int | None = None


class OutcomeView(View, frozen=True, kw_only=True):
    """An outcome, and what has become of it.

    Attributes
    ----------
    number : int
        By which a correction names it.
    id : str or int
        The prediction that it belongs to.
    y : dict
        Its fields.
    status : str
        ``waiting`` to be learned, ``learned``, ``superseded`` by a correction before it was learned, or ``refused``,
        where learning it failed again and again by no fault of the engine.
    replaces : int or None
        The outcome that it corrects.
    received, learned : float or None
        Seconds since 1970.
    update : Update or None
        What became of the memory.
    memory_version : int or None
        The version of the memory after it.
    note : str
        What else there is to know.
    """

    number: int
    id: str | int
    y: dict[str, Value]
    status: Literal["waiting", "learned", "superseded", "refused"]
    replaces: int | None = None
    received: float
    learned: float | None = None
    update: Update | None = None
    memory_version: int | None = None
    note: str = ""


class MemoryView(View, frozen=True, kw_only=True):
    """A version of a session's memory.

    Attributes
    ----------
    version : int
        Its number.
    revision : int
        The revision of the session that brought it, by which versions are told apart where a replay gave two of them
        the same number.
    tokens : int or None
        Its length.
    sections : tuple of Section
        Its parts.
    text : str
        As the model sees it.
    pinned : tuple of str
        Its notes that stay whatever is learned.
    author : str
        ``model``, or who edited or restored it.
    t : int or None
        The step whose outcome led to it.
    reason : str
        How it came about.
    created : float
        Seconds since 1970.
    """

    version: int
    revision: int
    tokens: int | None
    sections: tuple[Section, ...]
    text: str
    pinned: tuple[str, ...] = ()
    author: str
    t: int | None
    reason: str
    created: float


class StepView(View, frozen=True, kw_only=True):
    """A step: an observation, what was predicted, and what came.

    Attributes
    ----------
    x : dict
        The observation.
    prediction : PredictionView
        What was predicted.
    outcome : OutcomeView or None
        The latest outcome that was told.
    recalled : tuple of str
        Notes of the memory that were shown once more right before the observation.
    believed : dict
        The same as of the prediction.
    asked : Asked or None
        The prompt and what the model wrote, where one prediction is looked at.
    """

    x: dict[str, Any]
    prediction: PredictionView
    outcome: OutcomeView | None = None
    recalled: tuple[str, ...] = ()
    believed: dict[str, dict[str, float]] = {}
    asked: Asked | None = None


class ScoresView(View, frozen=True, kw_only=True):
    """Sums of scores: of the answers, and of those whose advice they went by (``linear:sky.accuracy``).

    Attributes
    ----------
    total : dict
        By score, how many there are and what they come to.
    blocks : dict
        The same by block of steps.
    steps_in_block : int
        How many steps a block has: more in sessions that are long.
    """

    total: dict[str, tuple[int, float]]
    blocks: dict[int, dict[str, tuple[int, float]]]
    steps_in_block: int


class SpendView(View, frozen=True, kw_only=True):
    """What a tenant used on a day.

    Attributes
    ----------
    day : int
        Days since 1970, UTC.
    requests, calls, prompt_tokens, cached_tokens, completion_tokens : int
        How many; the cached tokens are among those of prompts.
    """

    day: int
    requests: int
    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
