"""One contract for all kinds of fields; and a kind that nobody knows of is asked for, scored and shown like these."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llm_as_rnn
from llm_as_rnn.catalogue import METHODS, REFERENCES
from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import BaseField, Field, Label, Measure, Number, Ranked, Text, Verdict
from llm_as_rnn.core.fields.stored import KINDS
from llm_as_rnn.core.outcomes import facts, is_told
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, Prediction, SequenceInfo, Status, Value
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.leakage.check import check
from llm_as_rnn.metrics.scores import step_scores, task_metrics
from llm_as_rnn.recurrence import scorecard
from llm_as_rnn.report.packing import viewer
from llm_as_rnn.streams.learner import Learner
from tests.metrics.steps import step
from tests.report.page import unpacked

OPTIONS = ("heavy rain", "café (wet)", "so, so", 'a "b" \\ c')
FIELDS: dict[str, Field] = {
    "label": Label("sky", options=OPTIONS),
    "number": Number("high", low=-20, high=145.5, unit="degrees C"),
    "whole number": Number("high", low=0, high=9, decimals=0),
    "ranked": Ranked("codes", top=3),
    "ranked of options": Ranked("codes", options=OPTIONS, top=2),
    "ranked of one": Ranked("codes", top=1),
    "text": Text("words", max_chars=40),
}

words = st.text(st.sampled_from("abcé ,\"\\'-.()|"), min_size=1, max_size=40).map(lambda text: " ".join(text.split()))
words = words.filter(bool)


def values(field: Field) -> st.SearchStrategy[Any]:
    """Draw answers that a field takes, as they are once they were read."""
    match field:
        case Label():
            return st.sampled_from(field.options)
        case Number():
            return st.floats(field.low, field.high).map(lambda number: float(f"{number:.{field.decimals}f}"))
        case Ranked():
            one = st.sampled_from(field.options) if field.options else words
            return st.lists(one, min_size=field.top, max_size=field.top, unique=True).map(tuple)
        case Text():
            return words


def as_regex(gbnf: str) -> str:
    """Write a grammar without names as a regular expression."""
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|(\[(?:[^\]\\]|\\.)*\])|([()|?]|\{[0-9,]+\})|(\S)', gbnf)
    assert not any(other for *_, other in parts), gbnf
    literals = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
    return "".join(
        re.escape(re.sub(r"\\.", lambda found: literals[found[0]], literal)) or chars or sign
        for literal, chars, sign, _ in parts
    )


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Check a value against as much of JSON schema as fields use."""
    assert set(schema) <= {"type", "enum", "pattern", "items", "minItems", "maxItems", "maxLength"}
    if schema["type"] == "array":
        right = schema["minItems"] <= len(value) <= schema["maxItems"]
        return right and all(fits(schema["items"], item) for item in value)
    assert schema["type"] == "string"
    return (
        isinstance(value, str)
        and value in schema.get("enum", [value])
        and re.search(schema.get("pattern", ""), value) is not None
        and len(value) <= schema.get("maxLength", len(value))
    )


# ------------------------------------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@given(data=st.data())
def test_what_is_shown_is_asked_for_and_read_again(field: Field, data: st.DataObject) -> None:
    value = data.draw(values(field))
    shown = field.show(value)
    assert field.read(shown) == field.read_outcome(shown) == value
    assert field.read(field.to_json(value)) == value
    assert field.tell(value).startswith(shown)
    assert re.fullmatch(field.regex(), shown)
    assert re.fullmatch(as_regex(field.gbnf()), shown)
    assert fits(field.schema(), msgspec.to_builtins(field.to_json(value)))
    assert len(shown.encode()) <= 2 * field.longest()
    assert field.first_of(f"{shown}, 12")[0] == shown or "," in shown


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@given(data=st.data())
def test_a_value_is_the_best_answer_to_itself(field: Field, data: st.DataObject) -> None:
    value, other = data.draw(values(field)), data.draw(values(field))
    verdict = field.compare(value, value)
    assert verdict is not None
    assert (verdict.right, verdict.error, field.in_words(verdict)) == (True, 0.0, "right")
    wrong = field.compare(other, value)
    missing = field.compare(None, value)
    assert wrong is not None
    assert missing is not None
    for measure in field.measures():
        best, worse, worst = (measure.of(one) for one in (verdict, wrong, missing))
        if measure.about and measure.higher_is_better:
            assert (best, worst) == (1, 0)
            assert worse in (0, 1)
        else:
            assert 0 == best <= worse <= worst
    assert field.typical([value, value]) == value
    assert field.difference(value, value) in ("", "exact")


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_values_that_are_made_up_are_values(field: Field) -> None:
    made_up = field.uninformed("a guess")
    assert field.show(field.read(field.show(made_up))) == field.show(made_up)
    assert "7141" in field.show(field.canary(7141))
    assert msgspec.json.decode(msgspec.json.encode(made_up), type=Value) == made_up


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("value", [None, {"a": 1}, "", "  "])
def test_what_is_no_value_is_refused_with_the_fields_name(field: Field, value: Any) -> None:
    for read in (field.read, field.read_outcome):
        if isinstance(field, Ranked | Text) and not field.options and str(value).strip() and read == field.read:
            continue  # an answer of any words will do
        with pytest.raises(AnswerError, match=f"^{field.name} "):
            read(value)


@pytest.mark.parametrize(
    ("kind", "declared", "says"),
    [
        (Number, {"low": 0, "high": 9, "decimals": -1}, "number field 'y' needs decimals from 0 on, not -1"),
        (Number, {"low": 1.2, "high": 1.8, "decimals": 0}, "no number with decimals 0 lies between 1.2 and 1.8"),
        (Number, {"low": -1e-9, "high": -1e-10}, "no number with decimals 1 lies between -1e-09 and -1e-10"),
        (Ranked, {"top": 0}, "ranked field 'y' needs top from 1 on, not 0"),
        (Text, {"max_chars": 0}, "text field 'y' needs max_chars from 1 on, not 0"),
    ],
)
def test_what_no_answer_could_fill_is_refused_in_one_line(kind: Any, declared: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^[^\n]*{re.escape(says)}[^\n]*$"):
        kind("y", **declared)


@given(st.floats(-1e300, 1e300), st.floats(1e-9, 1e300), st.integers(0, 12), st.floats(0, 1))
def test_the_nearest_answer_is_one(low: float, width: float, decimals: int, share: float) -> None:
    try:
        field = Number("y", low=low, high=low + width, decimals=decimals)
    except ValueError:
        return
    answer = field.answer_near(low + share * width)
    assert field.low <= answer <= field.high
    assert field.read(f"{answer:.{decimals}f}") == answer


def test_who_is_told_the_range_is_told_all_of_it() -> None:
    field = Number("at", low=0, high=1735689600123, decimals=0)
    with pytest.raises(AnswerError, match="must lie between 0 and 1735689600123, not '1735689600200'"):
        field.read("1735689600200")


def test_a_value_of_another_kind_is_no_number_to_show() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        FIELDS["number"].show(("a", "b"))


def test_only_a_single_label_is_a_choice_for_engines() -> None:
    label, ranked = FIELDS["label"], FIELDS["ranked of options"]
    assert AnswerSpec("a", (label,), "line").format.choices == OPTIONS
    assert AnswerSpec("a", (ranked,), "line").format.choices == ()
    assert AnswerSpec("a", (label, ranked), "line").format.choices == ()


# --------------------------------------------------------------------------------------------- nobody tells kinds apart


SOURCE = Path(llm_as_rnn.__file__).parent
KIND_NAMES = {kind.__name__ for kind in get_args(Field)}
ABOUT_BOTH = {("baselines/references.py", "suits"), ("baselines/references.py", "_after")}
"""A linear model is one of numbers or one of labels."""


def outside() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        # Parts of a server's messages have kinds as well; engines know no fields.
        if not name.startswith(("fields/", "engines/")):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def compared(node: ast.AST) -> set[Any]:
    """Give what a piece of code compares something with, alone or as one of several."""
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    sides += [node.value] if isinstance(node, ast.MatchValue) else []
    parts = [part for side in sides for part in getattr(side, "elts", [side])]
    return {part.value for part in parts if isinstance(part, ast.Constant)}


def asked_for(node: ast.AST) -> set[str]:
    """Name the kinds that a piece of code asks for."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "isinstance":
            found |= {name.id for name in ast.walk(part.args[1]) if isinstance(name, ast.Name)}
        elif isinstance(part, ast.MatchClass) and isinstance(part.cls, ast.Name):
            found.add(part.cls.id)
    return found & KIND_NAMES


def test_a_field_has_no_kind_that_could_be_asked_for() -> None:
    assert set(KINDS) == {"label", "number", "ranked", "text"}
    assert not any(hasattr(kind, "kind") for kind in (*KINDS.values(), BaseField))


def test_nobody_compares_anything_with_the_name_of_a_kind() -> None:
    for name, tree in outside():
        found = {value for part in ast.walk(tree) for value in compared(part)}
        assert not found & set(KINDS), name


def test_nobody_asks_for_one_kind_and_then_for_another() -> None:
    for name, tree in outside():
        for part in ast.walk(tree):
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and (name, part.name) not in ABOUT_BOTH:
                assert len(asked_for(part)) <= 1, f"{name}: {part.name} asks for {asked_for(part)}"


# --------------------------------------------------------------------------------------------------------- a fifth kind


class YesNo(BaseField, frozen=True, tag="yes or no"):
    """A kind that the package has never heard of."""

    noun: ClassVar[str] = "yes or no"
    is_short: ClassVar[bool] = True

    def what(self) -> str:
        return "yes or no"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": ["yes", "no"]}

    def regex(self) -> str:
        return "(yes|no)"

    def gbnf(self) -> str:
        return '("yes" | "no")'

    def read(self, value: Any) -> Value:
        if str(value).strip() not in ("yes", "no"):
            raise AnswerError(f"{self.name} must be yes or no")
        return str(value).strip()

    def as_it_came(self, value: Any) -> Value:
        return self.read(value)

    def verdict(self, said: tuple[str, ...], came: tuple[str, ...]) -> Verdict:
        return Verdict(said == came, float(said != came))

    def measures(self) -> tuple[Measure, ...]:
        return (Measure("hit", lambda verdict: float(verdict.right), "share of hits"),)

    def uninformed(self, free: str = "") -> Value:
        return "no"


@pytest.fixture
def rain() -> Task:
    fields = cast("tuple[Field, ...]", (YesNo("rained", "whether it rained", last="wet"), FIELDS["number"]))
    return Task("rain", "Rain", "Say it.", "{{ wet }}", "{{ wet }}", fields, (MemorySection("Notes", "anything"),))


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("method", [*METHODS, *REFERENCES])
def test_a_fifth_kind_is_predicted_and_learned_by_every_method(rain: Task, method: str, form: Any) -> None:
    said = {"predict": rain.spec(form).show({"rained": "yes", "high": 9.0})}
    engine = ScriptedEngine(lambda request: said.get(request.role, ""))
    with Learner(rain, method=method, engine=engine, form=form, budget=100) as learner:
        for t in range(3):
            waiting = learner.predict_one({"wet": "yes"})
            assert waiting.prediction.status.answered
            assert (waiting.prediction.values or {})["rained"] in ("yes", "no")
            told = learner.learn_one(waiting.id, {"rained": "no" if t else "yes", "high": 8.0})
            assert told.fate == "learned"


def test_a_fifth_kind_is_scored_and_shown(rain: Task) -> None:
    answer: dict[str, Value] = {"rained": "yes", "high": 9.0}
    outcome: dict[str, Value] = {"rained": "no", "high": 9.0}
    scores = step_scores(rain, answer, outcome)
    assert scores == {"rained.hit": 0.0, "high.abs_error": 0.0, "high.sq_error": 0.0}
    assert [metric.title for metric in task_metrics(rain)] == ["rained hit", "high MAE"]
    assert facts(rain, Prediction(answer, Status.OK), outcome).startswith("rained: no; the answer was yes, wrong")
    assert is_told(rain, "line")
    card = scorecard.add(scorecard.empty(rain), rain, Observation("s", 0, {"wet": "no"}), answer, outcome)
    assert scorecard.to_text(card, rain).startswith("rained: right 0 of 1; repeating the last would be right 1 of 1")
    packed = viewer(rain, [step(prediction=answer, target=outcome, scores=scores)])
    (trace,) = unpacked(packed.head, packed.parts)["traces"]
    told = [(one["said"], one.get("right")) for one in trace["steps"][0]["answers"]]
    assert told == [("yes", False), ("9.0", None)]
    assert len(rain.digest) == 16


def test_a_fifth_kind_is_checked_for_leaks(rain: Task) -> None:
    """Canaries stand for its outcomes, and guesses for its answers."""
    days = [
        Step(Observation("s", t, {"wet": "yes"}), {"rained": "no" if t % 2 else "yes", "high": float(t)})
        for t in range(4)
    ]
    methods = {name: METHODS[name] for name in ("zero_shot", "recurrent")}
    assert check(rain, [Sequence(SequenceInfo("s"), tuple(days))], Prompts(), methods) == []
