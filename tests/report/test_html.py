"""The page: complete, closed to the outside, and safe whatever a journal holds."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.records import Feedback, Memory, Section, Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.report.html import render_report, write_report
from llm_as_rnn.report.html import settings as render_settings
from tests.metrics.steps import step
from tests.report.journal import METHODS, RUN, trusting, weather_journal
from tests.report.page import Page

HOSTILE = "</script><script>alert(1)</script>"


def render(task: Task, records: list[StepRecord], run: dict[str, Any] | None = None) -> Page:
    return Page(render_report(task, RUN if run is None else run, records, summarise(task, records)))


@pytest.fixture(scope="module")
def page() -> Page:
    return render(load_task("weather"), weather_journal())


def test_the_page_says_what_run_it_is(page: Page) -> None:
    assert page.text("h1") == "Tomorrow's weather in Seattle"
    told = ("llamacpp:smollm2-135m", "6 methods, 4 sequences, 288 steps in all", "160 tokens", "6 min 53 s")
    for known in (*told, "line, completion, chained", "rewrite", "greedy"):
        assert known in page.text("dd")
    assert page.data["budget"] == 160
    for known in ("python", "3.11.7", "context_window", "8192", "smollm2-135m-q8_0", "chained"):
        assert known in page.text()


def test_the_table_and_charts_need_no_script(page: Page) -> None:
    text = page.text()
    rows = [attributes for tag, attributes in page.tags if tag == "th" and attributes.get("scope") == "row"]
    assert len(rows) == 6 + (4 + 1) + 5 + 6 + 6 * 5  # the last ones: 6 matrices of 5 labels
    assert all(text.count(method) >= 3 for method in METHODS)
    assert sum(attributes.get("class") == "chart" for tag, attributes in page.tags if tag == "svg") == 4
    assert sum(attributes.get("class") == "chart square" for tag, attributes in page.tags if tag == "svg") == 6


def test_the_page_asks_for_nothing_from_outside(page: Page) -> None:
    addresses = {
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset", "data", "poster", "background")
    }
    assert addresses == {"data:,", "#results", "#curves", "#answers-by-method", "#steps", "#settings"}
    style = page.text("style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_lets_only_the_pages_own_style_and_script_in(page: Page) -> None:
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    scripts = [text for attributes, text in page.scripts if "id" not in attributes]
    for kind, (text,) in (("script", scripts), ("style", [page.text("style")])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert not any(name == "style" or name.startswith("on") for _, attributes in page.tags for name in attributes)


def hostile_record(text: str) -> StepRecord:
    """Put a text wherever a journal takes one."""
    memory = Memory((Section(text, (text, f"{text} twice")),), 1, 5)
    return StepRecord(
        method=text,
        sequence=text,
        t=0,
        observation={text: text, "nested": [text, {text: text}]},
        target={"sky": text, "high": 3.0},
        prediction={"sky": text, "high": 3.0},
        status=Status.REPAIRED,
        raw=text,
        memory_version=0,
        memory_before=Memory((Section(text, (text, f"{text} once")),), 0, 5),
        memory_after=memory,
        memory_tokens=5,
        update=Update("accepted", text),
        feedback=Feedback(text, text, (text,), {text: text}),
        calls=(Call(text, text, 5, 5, None, 0.1, 0, text, role="predict", chances={"sky": {f"{text} not": 0.6}}),),
        scores={"sky.accuracy": 1.0, "high.abs_error": 0.0, "high.sq_error": 0.0},
        problem=text,
        notes=(text,),
        recalled=(f"{text} -> {text}",),
        distribution={"sky": {text: 0.4, f"{text} not": 0.3}},
        believed={"high": {text: 1.0}},
        interval={"high": (1.0, 5.0)},
        among={"sky": (text,)},
        chance={"sky": 0.4},
        abstained=(text,),
    )


def hostile_page(text: str) -> Page:
    task = msgspec.structs.replace(load_task("weather"), title=text, name=text)
    run = {"spec": {"model": text, text: [text, text], "layout": text}, text: text, "versions": {text: text}}
    first = hostile_record(text)
    second = msgspec.structs.replace(first, t=1, memory_version=7, prediction={"sky": f"{text} not", "high": 9.0})
    return render(task, [first, second], {**run, "status": text})


@settings(max_examples=60)
@example(HOSTILE)
@example('"><img src=x onerror=alert(1)>')
@example("' autofocus onfocus=alert(1) x='")
@example("{{ 7 * 7 }}{% raw %}")
@example("<!--")
@example("]]><svg/onload=alert(1)>")
@given(st.text().map(lambda text: f"{text}!"))  # not by chance one of run.json's own names
def test_no_text_in_any_field_becomes_markup(text: str) -> None:
    plain, hostile = hostile_page("x"), hostile_page(text)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert [set(attributes) for _, attributes in hostile.tags] == [set(attributes) for _, attributes in plain.tags]
    assert len(hostile.scripts) == len(plain.scripts)
    assert hostile.scripts[-1] == plain.scripts[-1]
    assert hostile.text("h1") == text
    assert hostile.data["traces"][0]["method"] == text
    assert text in hostile.data["pool"]


def test_settings_show_parts_of_any_shape() -> None:
    run = {"a": 1, "b": None, "c": ["x", 2], "d": {"e": [{"f": 1}, {"f": 2}], "g": {"h": True}}, "i": {}}
    assert render_settings(run) == [
        ("run", [("a", "1"), ("b", ""), ("c", "x, 2")]),
        ("d", [("e", '{"f":1}\n{"f":2}'), ("g", '{"h":true}')]),
    ]


def test_an_unfinished_run_says_so(weather: Task, page: Page) -> None:
    unfinished = render(weather, weather_journal(steps=2), {**RUN, "status": "interrupted"})
    assert "not finished" in unfinished.text("p")
    assert "not finished" not in page.text("p")


def test_few_sequences_are_named_as_a_limit(weather: Task) -> None:
    one, few, many = (render(weather, weather_journal(["majority"], n, 2)).text("p") for n in (1, 4, 10))
    assert "no interval can be given" in one
    assert "It says nothing of other sequences." in render(weather, weather_journal(["majority"], 1, 40)).text("p")
    assert "with 4 sequences it is rough" in few
    assert "it is rough" not in many
    assert "95 % interval" in many


def test_sequences_without_an_outcome_are_not_among_those_that_intervals_are_over(weather: Task) -> None:
    def known_in(told: int) -> str:
        records = weather_journal(["zero_shot", "majority"], 4, 40)
        names = sorted({record.sequence for record in records})[:told]
        return render(weather, [one if one.sequence in names else unknown(one) for one in records]).text("p")

    def unknown(record: StepRecord) -> StepRecord:
        return msgspec.structs.replace(record, target=None, scores={})

    alone = known_in(1)
    assert "over other stretches of this one sequence" in alone
    assert "whole sequences;" not in alone
    assert "with 4 sequences" not in alone
    assert "with 3 sequences it is rough" in known_in(3)
    assert "with 3 sequences none can be below 0.25" in known_in(3)


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"spec": None},
        {"spec": [1, {"a": 2}]},
        {"spec": {"settings": 3}},
        {"seconds": "soon"},
        {"x": {}, "y": {"z": {}}},
    ],
)
def test_any_run_json_will_do(weather: Task, run: dict[str, Any]) -> None:
    assert render(weather, weather_journal(["zero_shot"], 1, 2), run).text("h1")


def test_a_run_without_a_step_has_a_page(weather: Task) -> None:
    page = render(weather, [])
    assert "No step is recorded yet." in page.text()
    assert "No step has an outcome yet." in page.text()
    assert page.data["traces"] == []


def test_steps_without_outcomes_have_a_page(weather: Task) -> None:
    page = render(weather, [step(target=None), step(t=1, target=None, prediction=None, status=Status.ENGINE_ERROR)])
    assert "No step has an outcome yet." in page.text()
    assert len(page.data["traces"][0]["steps"]) == 2


def test_parts_with_nothing_to_show_are_absent(weather: Task) -> None:
    bare = render(weather, [step(target=None)])
    told = {name for _, attributes in bare.tags for name in [attributes.get("id")] if name}
    assert not told & {"answers-by-method", "trust"}
    assert "Find, then follow" not in bare.text()
    assert "own answer" not in bare.text()
    records = trusting(weather_journal(sequences=2))
    case = Memory((Section("Patterns", ("a day -> rain, 9.0",)),))
    held = msgspec.structs.replace(records[0], memory_before=case, memory_version=0)
    whole = render(weather, [held, *records[1:]])
    told = {name for _, attributes in whole.tags for name in [attributes.get("id")] if name}
    assert told >= {"answers-by-method", "trust"}
    assert "Find, then follow" in whole.text("h3")
    assert "own answer" in whole.text("h3")
    links = {attributes.get("href") for tag, attributes in whole.tags if tag == "a"}
    assert links >= {"#answers-by-method", "#trust"}


def test_what_is_said_of_trust_does_not_make_the_page_heavy(weather: Task) -> None:
    records = weather_journal(METHODS[:5], sequences=8, steps=60)
    sizes = [
        len(render_report(weather, RUN, steps, summarise(weather, steps)).encode())
        for steps in (records, trusting(records))
    ]
    assert sizes[1] < 1.5 * sizes[0]


def test_the_aim_is_what_the_run_was_asked_for(weather: Task) -> None:
    records = trusting(weather_journal(["zero_shot"], 2, 12))
    asked = {**RUN, "spec": {**RUN["spec"], "settings": {**RUN["spec"]["settings"], "coverage": 0.8}}}
    assert "aimed at: 0.8" in render(weather, records, asked).text("span")
    assert "aimed at: 0.9" in render(weather, records).text("span")


def test_a_large_run_stays_small(weather: Task) -> None:
    methods = [*METHODS, "recurrent_2", "recurrent_3"]
    records = weather_journal(methods, sequences=12, steps=30)
    assert len(render_report(weather, RUN, records, summarise(weather, records)).encode()) < 4_000_000


def test_the_file_is_written_at_once(weather: Task, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    records = weather_journal(["zero_shot"], 1, 2)
    write_report(path, weather, RUN, records, summarise(weather, records))
    assert path.read_text(encoding="utf-8") == render_report(weather, RUN, records, summarise(weather, records))
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_page(weather: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError("no space left on device")

    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="no space left"):
        write_report(path, weather, RUN, [], [])
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_named(weather: Task, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=re.escape("check the folder")):
        write_report(tmp_path / "none" / "report.html", weather, RUN, [], [])
