"""A learner as a River classifier and regressor (https://riverml.xyz), for its pipelines, metrics and evaluation.

River's loop hands an outcome over with its features, and no id: the outcome belongs to the oldest prediction for the
same features that still waits. Where there is none (nobody asked, or a transformer changed the features meanwhile) the
prediction is made first: without one there is nothing to reflect on. `streams.events` says which calls are about one.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import chain, count
from typing import Any, TypeVar

from llm_as_rnn.catalogue import DEFAULT_METHOD
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.chances import full
from llm_as_rnn.core.door import BYTE_ORDER_MARK, plain, plain_fields
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import MissingExtraError, TaskError, UsageError
from llm_as_rnn.core.fields import ARROW, Field, Label, Number
from llm_as_rnn.core.folding import clash
from llm_as_rnn.core.records import Prediction, Value
from llm_as_rnn.core.task import MemorySection, Task, load_task
from llm_as_rnn.engines.naming import DEFAULT_MODEL
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.events import Events
from llm_as_rnn.streams.learner import Learner

try:
    from river import base, conf
except ImportError as error:
    raise MissingExtraError("river", "river") from error

SECTIONS = (
    MemorySection("Patterns", "which records came with which outcome, with figures"),
    MemorySection("Corrections", "errors of past answers and how to avoid them"),
)

F = TypeVar("F", Label, Number)

NOT_SEEN = ("another", "none of them")
"""What stands among the options while fewer than two labels are known: a choice needs two."""


class _Adapter(base.Estimator):
    """What both adapters share: parameters that River can clone, and a learner behind them.

    The learner is made at the first call, so that clones and unpickled copies cost nothing until they are used.
    """

    def __init__(
        self,
        task: Task | str | None,
        *,
        instructions: str,
        method: str,
        model: str,
        engine: Engine | None,
        base_url: str | None,
        choices: dict[str, Any],
    ) -> None:
        self.task = task
        self.instructions = instructions
        self.method = method
        self.model = model
        self.engine = engine
        self.base_url = base_url
        self.choices = choices
        self.failures = 0
        """Predictions that came back without a usable answer, and were answered by the latest outcome."""
        self._latest: Any = None
        self._events = Events()
        self._learner: Learner | None = None
        self._saved: bytes | None = None

    def learn_one(self, x: Mapping[Any, Any], y: Any) -> None:
        """Learn an outcome.

        Parameters
        ----------
        x : dict
            The features that it belongs to.
        y : bool, int, float or str
            The outcome. Of a missing one (None, NaN, NaT, NA) nothing is learned, and its prediction goes on waiting.

        Raises
        ------
        UsageError
            If the outcome is none of these, or a feature has no plain form (see `door`).
        """
        if _one_value(y) is None:
            return
        self._meet(y)
        learner, fields = self.learner, self.learner.task.filled(self._fields(x))
        waiting = next((w for w in learner.waiting if w.observation.fields == fields), None)
        if waiting is None:
            waiting = learner.predict_one(fields)
        learner.learn_one(waiting.id, {self._field.name: self._written(y)})
        self._latest = y

    def predict_one(self, x: Mapping[Any, Any], **kwargs: Any) -> Any:
        """Predict the outcome of a record.

        River leaves answers that are None out of its metrics, which flatters. So where the model gives no usable
        answer this gives the latest outcome, and counts it in `failures`.

        Parameters
        ----------
        x : dict
            The features.
        **kwargs
            Not used.
        """
        if not self._ready:
            return None
        values = self._prediction(x, "answer").values
        answer = None if values is None else self._read(values[self._field.name])
        if answer is None:
            self.failures += 1
            return self._fallback()
        return answer

    @property
    def learner(self) -> Learner:
        """The learner behind it, with its ``memory`` and ``waiting``; opened if it was not."""
        if self._learner is None:
            self._learner = Learner(
                self._task_of(self._field),
                method=self.method,
                model=self.model,
                engine=self.engine,
                base_url=self.base_url,
                stream=self._saved,
                **self.choices,
            )
            weakref.finalize(self, self._learner.close)
        return self._learner

    def close(self) -> None:
        """Give the model back, and keep what was learned."""
        self._saved = self.__getstate__()["_saved"]
        if self._learner is not None:
            self._learner.close()
            self._learner = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open engine behind when it is copied or pickled: what was learned goes along as JSON."""
        saved = self._saved if self._learner is None else self._learner.dump()
        return {**self.__dict__, "_learner": None, "_saved": saved, "_events": Events()}

    def _prediction(self, x: Mapping[Any, Any], asked: str) -> Prediction:
        """Give the prediction of the event that a call is about."""
        return self._events.prediction(self.learner, self._fields(x), asked)

    def _task_of(self, field: Field) -> Task:
        """Give the user's own task, or one that asks for the field."""
        if self.task is None:
            return Task(
                name="records",
                title="A stream of records",
                instructions=self.instructions,
                observation="{{ record }}",
                line="{{ record }}",
                answer=(field,),
                memory=SECTIONS,
            )
        return load_task(self.task)

    def _own_field(self, kind: type[F]) -> F | None:
        """Give the field of the user's own task that this estimator answers; None without such a task."""
        if self.task is None:
            return None
        task = load_task(self.task)
        if len(task.answer) == 1 and isinstance(task.answer[0], kind):
            return task.answer[0]
        raise TaskError(
            f"task {task.name} does not ask for exactly one {kind.noun}", "River's estimators predict one value"
        )

    def _fields(self, x: Mapping[Any, Any]) -> dict[str, Any]:
        """Give x_t: the features by name for a task of the user's own, else one line of those that are known.

        In the order of their names, because the order of a dict's keys means nothing to River.
        """
        fields = dict(sorted(plain_fields(x, "the record").items()))
        if self.task is not None:
            return fields
        return {"record": ", ".join(f"{name} {_short(value)}" for name, value in fields.items() if value is not None)}

    @property
    @abstractmethod
    def _field(self) -> Field:
        """The answer's only field."""

    @property
    def _ready(self) -> bool:
        """Whether there is anything to choose from."""
        return True

    def _meet(self, y: Any) -> None:
        """Take notice of an outcome before it is learned."""

    def _written(self, y: Any) -> Value:
        """Give an outcome as the task's answer has it."""
        value = _one_value(y)
        return float(value) if isinstance(value, bool) else value

    def _read(self, value: Value) -> Any:
        """Give an answer as River has it; None if it stands for none."""
        return value

    def _fallback(self) -> Any:
        return self._latest

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        """Say what River's own checks run it with: a script in place of a model, with a window that soon is full."""
        info = EngineInfo("scripted:river", context_window=2048, digest="scripted")
        for method in ("recurrent", "full_history", "repeat_last"):
            yield {"method": method, "engine": ScriptedEngine(_silent, info), "form": "line", "budget": 64}


class LLMClassifier(_Adapter, base.Classifier):
    """A frozen language model that learns to classify records, in language, within a token budget.

    Parameters
    ----------
    task : Task or str, optional
        A task of your own with one label to answer; its templates show the features by name. Without one, records are
        shown as a line of ``name value`` pairs.
    instructions : str
        What the model is told to do, where there is no task.
    labels : tuple, optional
        The labels, where there is no task. Others are added as outcomes show them, which costs the engine its cached
        prompts: name them if you know them.
    method : str
        Who predicts, as in `Learner`.
    model : str
        The model string, as on the command line.
    engine : Engine, optional
        An engine of your own in its place. River copies parameters when it clones, so it must be one that can be
        copied.
    base_url : str, optional
        The address of an OpenAI-compatible server.
    **choices
        What else `Learner` takes by name.

    Examples
    --------
    >>> from river import evaluate, metrics
    >>> calls = [({"words": "win a prize"}, "spam"), ({"words": "lunch at noon?"}, "ham")] * 4
    >>> spam = LLMClassifier(method="repeat_last", engine=ScriptedEngine(lambda request: ""))
    >>> evaluate.progressive_val_score(calls, spam, metrics.Accuracy())
    Accuracy: 0.00%
    """

    def __init__(
        self,
        task: Task | str | None = None,
        *,
        instructions: str = "Say which label belongs to the record.",
        labels: tuple[Any, ...] | None = None,
        method: str = DEFAULT_METHOD,
        model: str = DEFAULT_MODEL,
        engine: Engine | None = None,
        base_url: str | None = None,
        **choices: Any,
    ) -> None:
        super().__init__(
            task,
            instructions=instructions,
            method=method,
            model=model,
            engine=engine,
            base_url=base_url,
            choices=choices,
        )
        self.labels = labels
        self._by_text: dict[str, Any] = {}
        for label in labels or ():
            self._name(label)

    @property
    def _multiclass(self) -> bool:
        return True

    @property
    def _ready(self) -> bool:
        return self.task is not None or bool(self._by_text)

    @property
    def _field(self) -> Label:
        own = self._own_field(Label)
        if own:
            return own
        options = list(self._by_text)
        fill = [text for text in NOT_SEEN if not self._is_taken(text)]
        return Label("label", options=tuple(options + fill[: max(2 - len(options), 0)]))

    def _meet(self, y: Any) -> None:
        if self.task is None and not any(_is_same(y, known) for known in self._by_text.values()):
            self._name(y)
            if self._learner is not None:
                self._learner.change_task(self._task_of(self._field))

    def _name(self, label: Any) -> None:
        value = _one_value(label)
        if value is None:
            raise UsageError("a missing value is no label", "leave it out")
        text = _as_option(str(value)) or "empty"
        ways = chain((text, _as_option(repr(label))), (f"{text} ({number})" for number in count(2)))
        self._by_text[next(way for way in ways if not self._is_taken(way))] = label

    def _is_taken(self, text: str) -> bool:
        """Tell whether an answer's field would take the text for that of a label which has one; see `folding`."""
        return clash((*self._by_text, text)) is not None

    def _written(self, y: Any) -> Value:
        if self.task is not None:
            return str(_one_value(y))
        return next(text for text, label in self._by_text.items() if _is_same(y, label))

    def _read(self, value: Value) -> Any:
        return value if self.task is not None else self._by_text.get(str(value))

    def _fallback(self) -> Any:
        return next(iter(self._by_text.values()), None) if self._latest is None else self._latest

    def predict_proba_one(self, x: Mapping[Any, Any], **kwargs: Any) -> dict[Any, float]:
        """Say how likely each label is.

        Parameters
        ----------
        x : dict
            The features.
        **kwargs
            Not used.

        Returns
        -------
        dict of label to float
            They add up to 1. Where the method gives no distribution, the answer has the chance that its answers were
            right so far, and the other labels have equal parts of what is left. Where there is no usable answer, all
            are as likely. Empty as long as no label is known.
        """
        if not self._ready:
            return {}
        prediction = self._prediction(x, "chances")
        name, labels = self._field.name, self._known
        spread = prediction.distribution.get(name)
        if spread is None:
            answer, chance = (prediction.values or {}).get(name), prediction.chance.get(name, 0.0)
            spread = {text: chance if text == answer else (1 - chance) / (len(labels) - 1 or 1) for text in labels}
        spread = full(self._field.options, spread)
        chances = {self._read(text): spread[text] for text in labels}
        total = sum(chances.values())
        return {label: chance / total if total else 1 / len(labels) for label, chance in chances.items()}

    @property
    def _known(self) -> tuple[str, ...]:
        """The labels that there are: those that fill up a choice of less than two are none."""
        return self._field.options if self.task is not None else tuple(self._by_text)


class LLMRegressor(_Adapter, base.Regressor):
    """A frozen language model that learns to predict a number from records, in language, within a token budget.

    Parameters
    ----------
    task : Task or str, optional
        A task of your own with one number to answer; its templates show the features by name. Without one, records are
        shown as a line of ``name value`` pairs.
    instructions : str
        What the model is told to do, where there is no task.
    low, high : float
        The number's plausible range, where there is no task: an answer outside counts as a failure.
    unit : str
        Its unit.
    decimals : int
        Digits after its point.
    method : str
        Who predicts, as in `Learner`.
    model : str
        The model string, as on the command line.
    engine : Engine, optional
        An engine of your own in its place. River copies parameters when it clones, so it must be one that can be
        copied.
    base_url : str, optional
        The address of an OpenAI-compatible server.
    **choices
        What else `Learner` takes by name.

    Examples
    --------
    >>> from river import evaluate, metrics
    >>> days = [({"day": day}, 10.0 + day) for day in range(5)]
    >>> warmth = LLMRegressor(low=0, high=40, method="repeat_last", engine=ScriptedEngine(lambda request: ""))
    >>> evaluate.progressive_val_score(days, warmth, metrics.MAE())
    MAE: 2.8
    """

    def __init__(  # noqa: PLR0913 - see _Adapter
        self,
        task: Task | str | None = None,
        *,
        instructions: str = "Say which number belongs to the record.",
        low: float = -1e6,
        high: float = 1e6,
        unit: str = "",
        decimals: int = 2,
        method: str = DEFAULT_METHOD,
        model: str = DEFAULT_MODEL,
        engine: Engine | None = None,
        base_url: str | None = None,
        **choices: Any,
    ) -> None:
        super().__init__(
            task,
            instructions=instructions,
            method=method,
            model=model,
            engine=engine,
            base_url=base_url,
            choices=choices,
        )
        self.low = low
        self.high = high
        self.unit = unit
        self.decimals = decimals

    @property
    def _field(self) -> Number:
        own = self._own_field(Number)
        return own or Number("y", unit=self.unit, low=self.low, high=self.high, decimals=self.decimals)

    def predict_one(self, x: Mapping[Any, Any], with_interval: bool = False, **kwargs: Any) -> Any:
        """Predict the number of a record, or between which numbers it will lie.

        Parameters
        ----------
        x : dict
            The features.
        with_interval : bool
            Whether to give an interval, as River's conformal regressors do (`river.conf`).
        **kwargs
            Not used.

        Returns
        -------
        float or river.conf.Interval
            The interval holds the outcome as often as ``coverage`` says (see `trust.intervals`); where there is no
            usable answer, it is everything that may come, which is the plausible range until an outcome leaves it.
        """
        if not with_interval:
            return super().predict_one(x, **kwargs)
        field = self._field
        return conf.Interval(*self._prediction(x, "interval").interval.get(field.name, (field.low, field.high)))

    def _fallback(self) -> float:
        if self._latest is not None:
            return float(self._latest)
        return (self._field.low + self._field.high) / 2


def _one_value(y: Any) -> Any:
    """Give an outcome in plain form; None where it is missing.

    Raises
    ------
    UsageError
        If it is not one value.
    """
    value = plain(y, "the outcome")
    if isinstance(value, list | dict):
        raise UsageError(f"the outcome {_short(value)[:60]} is not one value", "give a label or a number")
    return value


def _as_option(text: str) -> str:
    """Write a label as an answer's field takes it: in one line, and without the arrow of notes."""
    return " ".join("-" if word == ARROW.strip() else word for word in text.split())


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two labels are the same one, whatever library they are of."""
    if isinstance(one, str) and isinstance(other, str):  # not as the door has them: it makes one of half characters
        return one.lstrip(BYTE_ORDER_MARK) == other.lstrip(BYTE_ORDER_MARK)
    return bool(_one_value(one) == _one_value(other))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _silent(request: Request) -> str:
    """Answer nothing usable: what River checks must hold for an estimator whose model fails, too."""
    return ""
