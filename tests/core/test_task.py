"""Tasks, prompts and templates: what is broken is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.core import documents
from llm_as_rnn.core.errors import PromptError, TaskError
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.core.templates import render

GOOD = """
name: t
title: T
instructions: Predict.
observation: "{{ x }}"
line: "{{ x }}"
answer:
  - {name: y, kind: label, options: [a, b]}
memory:
  - {name: Notes, about: anything}
"""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("kind: label", "kind: lable"), r"line 8: Invalid value 'lable' .*did you mean 'label'"),
        (("kind: label, ", ""), "line 8: .* missing required field `kind`"),
        (
            ("kind: label, options: [a, b]", "kind: number, low: 1.2, high: 1.8, decimals: 0"),
            "line 8: number field 'y' has no answer: no number with decimals 0 lies between 1.2 and 1.8; give it more",
        ),
        (("kind: label", "kind: 3"), r"line 8: Expected `str`, got `int` - at `\$.answer\[0\].kind`"),
        (("  - {name: y, kind: label, options: [a, b]}", "  - y"), "line 8: Expected `object`"),
        (
            ("options: [a, b]", "options: [a, b], decimals: 2"),
            "line 8: .* unknown field `decimals`, which only a number has, and 'y' is a label .*choose from kind, name",
        ),
        (
            ("kind: label, options: [a, b]", "kind: number, high: 2, options: [a, b]"),
            "line 8: .* unknown field `options`, which only a label or ranked has, and 'y' is a number",
        ),
        (("label, options: [a, b]", "number, high: 2, hihg: 3"), "line 8: .* field `hihg` .*did you mean 'high'"),
        (("label, options: [a, b]", "text, metrics: [icd]"), "metric icd: a text may ask for facts"),
        (("label, options: [a, b]", "number, high: 2, metrics: [log]"), "only a number with a low above 0 has one"),
        (("options: [a, b]", "options: [a]"), "two different options"),
        (("options: [a, b]", "option: [a, b]"), "line 8: .* unknown field `option` .*did you mean 'options'"),
        (("options: [a, b]", "options: [a, b, A]"), "line 8: option 'A' of field 'y' differs only in case, blanks or"),
        (("options: [a, b]", "options: [Masse, Maße]"), "option 'Maße' .* 'Masse'"),
        (("options: [a, b]", 'options: [a b, "a  b"]'), "case, blanks or Unicode form from 'a b': rename or drop one"),
        (("options: [a, b]", "options: [a, b, a]"), "option 'a' of field 'y' is the same as 'a'"),
        (("options: [a, b]", 'options: ["caf\\u00e9", "cafe\\u0301"]'), "differs only in"),
        (("options: [a, b]", "options: [up, up -> down]"), "'up -> down' of field 'y' holds an arrow"),
        (
            ("options: [a, b]", 'options: [up, "up  ->  down"]'),
            "holds an arrow, which comes before an outcome in notes",
        ),
        (("options: [a, b]", 'options: [up, "-> down"]'), "'-> down' of field 'y' holds an arrow"),
        (
            ("kind: label, options: [a, b]", 'kind: ranked, options: ["a; b", c]'),
            "'a; b' of field 'y' holds a semicolon",
        ),
        (
            ("y, kind: label, options: [a, b]}", 'y, kind: label, options: [a, "a, b"]}\n  - {name: z, kind: text}'),
            "'a, b' of field 'y' holds a comma, .* put the field last",
        ),
        (
            ("y, kind: label, options: [a, b]}", 'y, kind: ranked, options: ["a, b", c]}\n  - {name: z, kind: text}'),
            "'a, b' of field 'y' holds a comma",
        ),
        (
            ("  - {name: Notes, about: anything}", '  - {name: "No  tes", about: a}\n  - {name: NO TES, about: b}'),
            "memory sections have the same name",
        ),
        (("title: T\n", ""), "title"),
        (("name: Notes", "nam: Notes"), "memory"),
        (("kind: label, options: [a, b]", "kind: number, low: 3, high: 1"), "range"),
        (("name: y", "name: y y"), "plain word"),
        (("answer:\n  - {name: y, kind: label, options: [a, b]}", "answer: []"), "at least one answer field"),
        (("title: T", "title: [T"), "YAML"),
        (("name: t\n", "name: t\nnonsense: 1\n"), "nonsense"),
    ],
)
def test_a_broken_task_file_is_named_with_its_problem(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(*change), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != GOOD
    with pytest.raises(TaskError, match=problem) as caught:
        load_task(str(path))
    assert "mine.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_good_task_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert load_task(str(path)).answer[0].options == ("a", "b")


def test_what_once_stood_in_every_field_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    plain = load_task(str(path))
    path.write_text(GOOD.replace("[a, b]", "[a, b], unit: '', low: 0, high: 0.0, decimals: 1, top: 5, max_chars: 400"))
    assert load_task(str(path)) == plain


@pytest.mark.parametrize("name", ["nothing", "missing.yaml", "../weather", ""])
def test_an_unknown_task_is_refused(name: str) -> None:
    with pytest.raises(TaskError):
        load_task(name)


def test_an_observation_that_lacks_a_field_is_named(weather: Task) -> None:
    with pytest.raises(TaskError, match="date"):
        weather.show(Observation("s", 0, {"sky": "sun"}), "line")


def test_the_digest_tells_tasks_apart(weather: Task) -> None:
    assert msgspec.structs.replace(weather, instructions="Other.").digest != weather.digest
    assert load_task("weather").digest == weather.digest


def test_a_users_templates_replace_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "recurrence").mkdir()
    (tmp_path / "recurrence/update.j2").write_text("Mine: {{ task.name }}")
    prompts = Prompts.with_folder(tmp_path)
    assert prompts.digest != Prompts().digest
    assert prompts.render("recurrence/update", task={"name": "w"}) == "Mine: w"
    assert prompts.render("recurrence/repair", problem="p") == Prompts().render("recurrence/repair", problem="p")


def test_a_template_that_nothing_uses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "updaet.j2").write_text("")
    with pytest.raises(PromptError, match="updaet"):
        Prompts.with_folder(tmp_path)


def test_templates_are_strict_and_sandboxed() -> None:
    with pytest.raises(PromptError, match="missing"):
        render("{{ missing }}")
    with pytest.raises(PromptError):
        render("{{ ''.__class__.__mro__ }}")
    with pytest.raises(PromptError, match="line 2"):
        render("a\n{% if %}")


def test_a_file_is_read_again_and_taken_apart_only_where_its_text_is_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    first = load_task(str(path))
    assert load_task(str(path)) is first
    path.write_text(GOOD.replace("name: y", "name: z"))
    assert [field.name for field in load_task(str(path)).answer] == ["z"]
    for number in range(documents.AT_HAND + 3):
        path.write_text(f"{GOOD}\n# {number}")
        assert load_task(str(path)) == first
    assert len(documents._made) == documents.AT_HAND
