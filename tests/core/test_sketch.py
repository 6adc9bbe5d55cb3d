"""Tasks that a program makes: the same as those of files, and refused as those are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional

import pytest

from llm_as_rnn import Learner, Task
from llm_as_rnn.core.errors import LlmAsRnnError, TaskError, UsageError
from llm_as_rnn.core.fields import Label, Number, Text
from llm_as_rnn.core.records import Observation
from llm_as_rnn.engines.scripted import ScriptedEngine


class Sky(Enum):
    """Labels of an enumeration."""

    RAIN = "rain"
    SUN = "sun"


class Ge(NamedTuple):
    """A mark of a type, as the package annotated-types has it."""

    ge: float


class Lt(NamedTuple):
    """The same, for an end that is not included."""

    lt: float


@dataclass
class Day:
    """A field of each kind."""

    sky: Sky
    wind: Literal["north", "south"]
    high: float = field(metadata={"low": -20, "high": 45, "unit": "degrees C", "about": "tomorrow's high"})
    bikes: Annotated[int, Ge(0), Lt(600)]
    frost: bool
    words: str | None = None


ANSWER = (
    Label("sky", options=("rain", "sun")),
    Label("wind", options=("north", "south")),
    Number("high", "tomorrow's high", unit="degrees C", low=-20, high=45),
    Number("bikes", low=0, high=599, decimals=0),
    Label("frost", options=("true", "false")),
    Text("words"),
)


def test_a_dataclass_is_the_shape_of_an_answer() -> None:
    task = Task.answering("Forecast tomorrow.", Day, name="days")
    assert (task.name, task.title, task.answer) == ("days", "Forecast tomorrow.", ANSWER)


def test_a_pydantic_model_is_too() -> None:
    pydantic = pytest.importorskip("pydantic")
    said: Any = pydantic.Field
    model = pydantic.create_model(
        "Day",
        sky=(Sky, ...),
        wind=(Literal["north", "south"], ...),
        high=(float, said(ge=-20, le=45, description="tomorrow's high", json_schema_extra={"unit": "degrees C"})),
        bikes=(int, said(ge=0, lt=600)),
        frost=(bool, ...),
        words=(Optional[str], None),  # noqa: UP045 - people write both
    )
    assert Task.answering("Forecast tomorrow.", model).answer == ANSWER
    y = model(sky="rain", wind="south", high=9.5, bikes=12, frost=False)
    assert learned(Task.answering("Forecast tomorrow.", model), y) == "learned"


def learned(task: Task, y: Any) -> str:
    with Learner(task, method="repeat_last", engine=ScriptedEngine(lambda request: "")) as learner:
        first = learner.predict_one({"day": 1})
        fate = learner.learn_one(first.id, y).fate
        assert (learner.predict_one({"day": 2}).values or {})["bikes"] == 12
    return fate


def test_an_instance_is_an_outcome() -> None:
    assert learned(Task.answering("Forecast.", Day), Day(Sky.RAIN, "south", 9.5, 12, False)) == "learned"


def test_whatever_fields_there_are_are_shown_where_no_template_is_given() -> None:
    task = Task.classify("Spam?", labels=("spam", "ham"))
    x = Observation("s", 0, {"from me": "a@b", "text": None})
    assert task.show(x, "line") == "from me a@b, text unknown"
    assert task.show(x, "json") == "- from me: a@b\n- text: unknown"
    assert Task.classify("Spam?", labels=Sky, line="{{ text }}").line == "{{ text }}"


def test_a_task_of_few_words_is_that_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bikes.yaml"
    file.write_text(
        """\
name: bikes
title: Bikes
instructions: How many bikes come tomorrow?
observation: "{{ bikes }}"
line: "{{ bikes }}"
answer:
  - {name: value, kind: number, low: 0, high: 600, unit: bikes, decimals: 0, last: bikes}
memory:
  - {name: Patterns, about: weekdays}
""",
        "utf-8",
    )
    more: dict[str, Any] = {"name": "bikes", "title": "Bikes", "observation": "{{ bikes }}", "line": "{{ bikes }}"}
    more |= {"memory": [{"name": "Patterns", "about": "weekdays"}]}
    question = "How many bikes come tomorrow?"
    made = Task.forecast(question, low=0, high=600, unit="bikes", decimals=0, last="bikes", **more)
    assert made == Task.from_file(file)
    assert made.digest == Task.from_file(str(file)).digest


def of(kind: Any) -> Any:
    return make_dataclass("A", [("x", kind)])


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "one label": (lambda: Task.classify("?", labels=["a"]), "at least two"),
    "a text of labels": (lambda: Task.classify("?", labels="ab"), "labels cannot be 'ab'"),
    "labels that are no texts": (lambda: Task.classify("?", labels=[1, 2]), "Expected `str`"),
    "labels that are the same": (lambda: Task.classify("?", labels=["a", "A"]), "differs only in case"),
    "no range": (lambda: Task.forecast("?", low=3, high=3), "low below high"),
    "a field that is no word": (lambda: Task.classify("?", labels=["a", "b"], field="a b"), "plain word"),
    "no such part": (lambda: Task.classify("?", labels=["a", "b"], titel="x"), "titel"),
    "nothing a file could hold": (lambda: Task.classify("?", labels=["a", "b"], title=object()), "file could hold"),
    "no instructions": (lambda: Task.classify(None, labels=["a", "b"]), "instructions"),  # type: ignore[arg-type]
    "no class": (lambda: Task.answering("?", {"a": 1}), "is not the shape"),
    "another class": (lambda: Task.answering("?", int), "int is not the shape"),
    "a number without bounds": (lambda: Task.answering("?", of(int)), "needs bounds"),
    "a list": (lambda: Task.answering("?", of(list[str])), "bool of its own"),
    "a union": (lambda: Task.answering("?", of(int | str)), "no kind of answer"),
    "no file's name": (lambda: Task.from_file("task.txt"), "ends in .yaml"),
    "no file": (lambda: Task.from_file("nowhere.yaml"), "does not exist"),
    "no table": (lambda: Task.guess("x"), "str is no table"),
    "no rows": (lambda: Task.guess([]), "no rows"),
    "an unknown wish": (lambda: Task.guess([{"x": 1}], outcom="x"), "did you mean 'outcome'"),
    "a wish of another kind": (lambda: Task.guess([{"x": 1}], ahead="x"), "Expected `int"),
    "a row that is none": (lambda: Task.guess([{"x": 1}, 3]), "row 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_said_in_one_line(name: str) -> None:
    make, says = REFUSED[name]
    with pytest.raises(LlmAsRnnError) as error:
        make()
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


ROWS = [{"day": f"2024-05-{n:02}", "sky": ["rain", "sun"][n % 2], "bikes": 30 * n % 70} for n in range(1, 13)]


@pytest.mark.parametrize("library", ["pandas", "polars", ""])
def test_frames_and_rows_are_looked_at(library: str) -> None:
    frame = import_module(library).DataFrame(ROWS) if library else ROWS
    task = Task.guess(frame, outcome="sky", name="weather log")
    assert isinstance(task.answer[0], Label)
    assert (task.name, task.data.order, task.data.fields) == ("weather-log", "day", ("bikes",))  # type: ignore[union-attr]


def test_a_frame_that_leaves_something_open_says_what_settles_it() -> None:
    rows = [{"day": f"0{n}/03/2024", "sky": ["rain", "sun"][n % 2]} for n in (2, 1, 5, 4)]
    with pytest.raises(TaskError, match=r"dates='%d/%m/%Y' or dates='%m/%d/%Y'"):
        Task.guess(rows)
    assert Task.guess(rows, dates="%d/%m/%Y").data.dates == "%d/%m/%Y"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="no column"):
        Task.guess(rows, outcome="skies")


def test_nobody_imports_pydantic_or_a_library_of_frames_for_that() -> None:
    code = (
        "import sys\nfrom dataclasses import make_dataclass\nfrom llm_as_rnn import Task\n"
        "Task.answering('?', make_dataclass('A', [('x', bool)]))\n"
        "Task.guess([{'x': 1, 'y': 'a'}, {'x': 2, 'y': 'b'}])\n"
        "sys.exit(bool({'pydantic', 'pandas', 'polars'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
