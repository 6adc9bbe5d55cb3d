"""A task: what to predict, how an observation is shown, and which sections its memory has.

Tasks are declarative files. The shipped ones lie in ``tasks/``; a user's own is the same kind of file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from llm_as_rnn.core.above import above
from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.documents import Documents
from llm_as_rnn.core.errors import PromptError, TaskError
from llm_as_rnn.core.fields import Field, Verdict
from llm_as_rnn.core.fields.stored import KINDS, attributes, kinds_with, strange, whole
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.hygiene import defuse
from llm_as_rnn.core.records import Form, Observation, Record, Target
from llm_as_rnn.core.shapes import fields_of
from llm_as_rnn.core.sketch import content_of, made, options_of
from llm_as_rnn.core.templates import ALL, MISSING, Missing, render, with_missing

SHIPPED = Path(__file__).parents[1] / "tasks"


class MemorySection(Record, frozen=True):
    """A section that every memory of the task has, and what belongs in it."""

    name: str
    about: str


class Task(Record, frozen=True, dict=True):
    """What is to be predicted, and from what. A task file has these fields by the same names.

    Attributes
    ----------
    name : str
        A short name, for commands and for the names of files.
    title : str
        A line that stands above tables and reports.
    instructions : str
        What the model is told first, at every step.
    observation : str
        The Jinja template that shows x_t in full, for ``json`` answers.
    line : str
        The Jinja template that shows x_t in one short line, for ``line`` answers.
    case : str, optional
        The Jinja template of x_t as a memory keeps it, where the line is too long to be kept; by default it is the
        line.
    answer : tuple of Field
        The fields of y, which are predicted.
    memory : tuple of MemorySection
        The sections of the memory (paper, appendix C: history, current status, considerations for the future).
    initial : str
        What each section of h_0 holds before anything was learned.
    dataset : str
        The shipped dataset that the task belongs to; it is empty for a user's own data.
    data : Columns, optional
        How a user's own table is read.
    rubric : str, optional
        What a judge goes by who does not know the outcome.
    """

    name: str
    title: str
    instructions: str
    observation: str
    line: str
    answer: tuple[Field, ...]
    memory: tuple[MemorySection, ...]
    initial: str = "Nothing is known yet."
    dataset: str = ""
    # Unset is left out of the encoding: tasks without it keep the digests that their runs were begun with.
    data: Columns | UnsetType = UNSET
    case: str | UnsetType = UNSET
    rubric: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a task that could not be run."""
        for what, names in (
            ("answer field", [field.name for field in self.answer]),
            ("memory section", [fold(section.name) for section in self.memory]),
        ):
            if not names:
                raise ValueError(f"a task needs at least one {what}")
            if len(set(names)) < len(names):
                raise ValueError(f"two of the {what}s have the same name")
        for field in self.answer[:-1]:
            field.require_end_in_lines()
        if any(not section.name.strip() or "\n" in section.name for section in self.memory):
            raise ValueError("a memory section's name must be one line")
        if self.data is not UNSET:
            unknown = set(self.data.outcome) - {field.name for field in self.answer}
            if unknown:
                raise ValueError(f"data.outcome names {min(unknown)!r}, which is not a field of the answer")

    # ------------------------------------------------------------------------------------------------- making tasks

    @classmethod
    def from_file(cls, path: str | Path) -> Task:
        """Read a task file.

        Parameters
        ----------
        path : str or Path
            A file that ends in ``.yaml`` or ``.yml``.

        Raises
        ------
        TaskError
            If there is none, or it is not a task: the message names file, line and field.
        """
        if Path(path).suffix not in (".yaml", ".yml"):
            raise TaskError(f"{path} is no name of a task file", "name one that ends in .yaml")
        return load_task(str(path))

    @classmethod
    def classify(cls, instructions: str, *, labels: Any, field: str = "label", **more: Any) -> Task:
        """Make a task that asks for one of a few labels.

        Parameters
        ----------
        instructions : str
            What the model is told first, at every step.
        labels : iterable of str, or type
            The labels; an ``Enum`` or a ``Literal`` has them too.
        field : str
            What the answer's field is called.
        **more
            Other parts of a task by their names, such as ``name``, ``line`` or ``memory``. Without templates all fields
            of an observation are shown.

        Raises
        ------
        TaskError
            If a task file with the same content would be refused.

        Examples
        --------
        >>> spam = Task.classify("Is the message spam?", labels=["spam", "ham"])
        >>> spam.answer[0].options, spam.show(Observation("mail", 0, {"text": "win a prize"}), "line")
        (('spam', 'ham'), 'win a prize')
        """
        answer = {"kind": "label", "name": field, "options": options_of(labels)}
        return _made(instructions, [answer], "classification", more)

    @classmethod
    def forecast(
        cls, instructions: str, *, low: float, high: float, unit: str = "", decimals: int = 1, field: str = "value",
        last: str = "", **more: Any
    ) -> Task:  # fmt: skip
        """Make a task that asks for a number.

        Parameters
        ----------
        instructions : str
            What the model is told first, at every step.
        low, high : float
            The plausible range.
        unit : str
            The number's unit.
        decimals : int
            Digits after its point.
        field : str
            What the answer's field is called.
        last : str
            The observation's field that holds the latest known value of the same quantity, if there is one.
        **more
            As for `classify`.

        Raises
        ------
        TaskError
            If a task file with the same content would be refused.

        Examples
        --------
        >>> Task.forecast("How many bikes come tomorrow?", low=0, high=600, decimals=0).answer[0].describe()
        'value: a whole number'
        """
        answer = {"kind": "number", "name": field, "low": low, "high": high, "unit": unit, "decimals": decimals}
        return _made(instructions, [{**answer, "last": last}], "forecast", more)

    @classmethod
    def answering(cls, instructions: str, shape: Any, **more: Any) -> Task:
        """Make a task whose answer has the fields of a dataclass or of a Pydantic model.

        Parameters
        ----------
        instructions : str
            What the model is told first, at every step.
        shape : type
            The class (see `shapes.fields_of`).
        **more
            As for `classify`.

        Raises
        ------
        TaskError
            If the class has a field that no answer could fill.
        """
        name = str(getattr(shape, "__name__", "answer")).lower()
        return _made(instructions, fields_of(shape), name, more)

    @classmethod
    def guess(cls, frame: Any, **wishes: Any) -> Task:
        """Propose a task by looking at a table, as ``llm-as-rnn init`` does.

        Parameters
        ----------
        frame : DataFrame or list of dict
            A frame of pandas or polars, or rows.
        **wishes
            What is known of it: ``outcome``, ``order``, ``sequence``, ``ahead``, ``leave_out``, ``keep``, ``dates``,
            ``decimal``, ``missing`` (see `datasets.guessing.proposal.Wishes`), and ``name``.

        Raises
        ------
        UsageError
            If no task can be proposed, or the table leaves open what a date or a figure means: the message says which
            of these settles it.

        Examples
        --------
        >>> rows = [{"day": n, "sky": sky, "bikes": 20 * n} for n, sky in enumerate(["rain", "sun"] * 3)]
        >>> Task.guess(rows, outcome="sky", ahead=1).data.outcome
        {'sky': 'sky'}
        """
        found: Task = above().guess(frame, wishes)
        return found

    # ------------------------------------------------------------------------------------------------ what it is for

    def spec(self, form: Form) -> AnswerSpec:
        """Give the answer's specification in a form."""
        return self._specs[form]

    @cached_property
    def _specs(self) -> Mapping[Form, AnswerSpec]:
        return {form: AnswerSpec(self.name, self.answer, form) for form in ("json", "line")}

    def compare(self, values: Target | None, target: Target | None) -> dict[str, Verdict]:
        """Say how each field of an answer did; fields without an outcome are left out.

        Examples
        --------
        >>> weather = load_task("weather")
        >>> verdicts = weather.compare({"sky": "Rain"}, {"sky": "rain", "high": 12.5})
        >>> {name: (verdict.right, verdict.answered) for name, verdict in verdicts.items()}
        {'sky': (True, True), 'high': (False, False)}
        """
        answers, outcomes = values or {}, target or {}
        found = {field.name: field.compare(answers.get(field.name), outcomes.get(field.name)) for field in self.answer}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def show(
        self, observation: Observation, form: Form | Literal["case"], about: Mapping[str, Any] | None = None
    ) -> str:
        """Write x_t as the model sees it, or as a memory keeps it: control tokens of chat formats are broken.

        A template names a field, or where its name is no plain word looks it up in ``fields``, which has all of them.
        What is missing reads `templates.MISSING`, and so does x_t where its text would be empty.

        Raises
        ------
        TaskError
            If the template uses a field that the observation does not have.
        """
        name = "observation" if form == "json" else form
        given = with_missing({ALL: observation.fields, **observation.fields, "about": about or {}})
        try:
            text = render(self.template(form), name, **given)
        except PromptError as error:
            raise self._unshown(error, given) from error
        text = defuse(text)
        return (text if form == "json" else " ".join(text.split())) or MISSING

    def _unshown(self, error: PromptError, given: Mapping[str, Any]) -> TaskError:
        """Say why an observation cannot be shown: a field that it lacks is more often forgotten than misspelt."""
        what, hint = f"task {self.name}, template {error.message}", "name fields that the data has"
        if error.lacks and error.of is given["about"]:
            what = f"nothing is said about {error.lacks!r} of the sequence, which the task {self.name} shows"
            hint = "say it when the stream begins, by about"
        elif error.lacks and (error.of is None or error.of is given[ALL]):
            what = f"the observation has no field {error.lacks!r}, which the task {self.name} shows"
            hint = "give it, as null where it is not known"
        elif error.lacks and isinstance(error.of, Missing):
            what = (
                f"task {self.name}, template {error.message.partition(':')[0]}: what is missing has no {error.lacks!r}"
            )
            return TaskError(what, "say in the template what stands there instead: {{ ... if x else 'none' }}")
        found = TaskError(what, hint)
        found.lacks = error.lacks
        return found

    def filled(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Give values of an observation or an outcome, with None where the data section says that one is missing.

        Examples
        --------
        >>> table = {"outcome": {"value": "bikes"}, "missing": ["n/a"]}
        >>> bikes = Task.forecast("How many bikes?", low=0, high=9, data=table)
        >>> bikes.filled({"rain": "n/a", "wind": 3})
        {'rain': None, 'wind': 3}
        """
        if self.data is UNSET or self.data.missing is UNSET:
            return dict(fields)
        return {name: None if self.data.says_nothing(value) else value for name, value in fields.items()}

    def template(self, form: Form | Literal["case"]) -> str:
        """Give the template that writes x_t in a form."""
        if form == "json":
            return self.observation
        return self.line if form == "line" or self.case is UNSET else self.case

    def __repr__(self) -> str:
        return f"Task({self.name!r}: {', '.join(field.name for field in self.answer)})"

    @cached_property
    def digest(self) -> str:
        """Fingerprint of everything in the task, to tell whether two runs had the same one."""
        form = {**msgspec.to_builtins(self), "answer": [whole(field) for field in self.answer]}
        return hashlib.sha256(msgspec.json.encode(form, order="sorted")).hexdigest()[:16]


def _made(instructions: Any, answer: list[dict[str, Any]], name: str, more: Mapping[str, Any]) -> Task:
    task: Task = made(content_of(instructions, answer, name, more), Task, _require_own_attributes)
    return task


def shipped_tasks() -> list[str]:
    """Name the tasks that come with the package.

    >>> "weather" in shipped_tasks()
    True
    """
    return _TASKS.names()


def load_task(name: str | Task) -> Task:
    """Load a shipped task by name, or a task file by path.

    Parameters
    ----------
    name : str or Task
        ``weather``, or a path that ends in ``.yaml`` or ``.yml``; a task is given back as it is.

    Raises
    ------
    TaskError
        If there is none, or if the file is not a task: the message names file and field.
    """
    return name if isinstance(name, Task) else _TASKS.load(name, Task, _require_own_attributes)


def _require_own_attributes(content: Any) -> None:
    """Refuse attributes that a field's kind does not have: what is stored may have them, what a user writes may not."""
    answer = content.get("answer") if isinstance(content, dict) else None
    for place, field in enumerate(answer if isinstance(answer, list) else ()):
        for name in strange(field) if isinstance(field, dict) else ():
            others = " or ".join(kinds_with(name))
            why = f", which only a {others} has, and {field.get('name')!r} is a {field['kind']}" if others else ""
            raise msgspec.ValidationError(f"Object contains unknown field `{name}`{why} - at `$.answer[{place}]`")


def _known(part: str, content: Mapping[str, Any]) -> Iterable[str]:
    """List what may stand in a part of a task file."""
    if part == "answer":
        return attributes(content["kind"])
    parts: dict[str, type[Record]] = {"memory": MemorySection, "data": Columns}
    return parts.get(part, Task).__struct_fields__


_TASKS = Documents("task", SHIPPED, TaskError, _known, {"kind": KINDS})
