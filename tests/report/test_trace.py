"""The viewer's data: nothing lost, nothing twice, never too long."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.fields import Field, Label, Number, Ranked
from llm_as_rnn.core.records import Feedback, Status, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.report.packing import Packed, script_json, spread_out, viewer
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.viewer.index import ViewerIndex
from llm_as_rnn.viewer.trace import cap_length
from tests.metrics.steps import call, step
from tests.report.journal import late, weather_journal
from tests.report.page import unpacked
from tests.runs.test_execute import OPTIONS, go


def shown(packed: Packed) -> Any:
    return unpacked(packed.head, packed.parts)


def test_every_step_is_there_with_its_texts(weather: Task) -> None:
    records = weather_journal(sequences=2, steps=12)
    data = shown(viewer(weather, records, 160))
    by_place = {
        (trace["method"], trace["sequence"], one["t"]): (one, trace["pool"])
        for trace in data["traces"]
        for one in trace["steps"]
    }
    assert len(by_place) == len(records)
    for record in records:
        found, pool = by_place[record.method, record.sequence, record.t]
        assert pool[found["raw"]] == record.raw
        assert [pool[one["text"]] for one in found.get("calls", [])] == [one.text for one in record.calls]
        assert (found["outcome"], found["status"]) == (record.update.outcome, record.status.value)
        assert list(pool[found["observation"]]) == list(record.observation)
        if record.memory_after:
            items = [item for _, section in found["memory"]["sections"] for item in section if item[2] != "-"]
            texts = [
                "".join(text for mark, text in item[3] if mark != "-") if item[2] == "~" else pool[item[3]]
                for item in items
            ]
            assert texts == [text for section in record.memory_after.sections for text in section.items]
        else:
            assert "memory" not in found


def test_what_comes_up_again_is_stored_once(weather: Task) -> None:
    data = shown(viewer(weather, weather_journal(sequences=1, steps=6), None))
    assert len({json.dumps(value) for value in data["pool"]}) == len(data["pool"])
    observations = {one["observation"] for trace in data["traces"] for one in trace["steps"]}
    assert len(observations) == 6
    assert "budget" not in data


def test_steps_are_in_order_whatever_the_journal_says(weather: Task) -> None:
    records = weather_journal(["recurrent"], 1, 6)
    assert shown(viewer(weather, records[::-1], 1)) == shown(viewer(weather, records, 1))


def test_numbers_are_shown_as_they_were(weather: Task) -> None:
    data = shown(viewer(weather, [step(observation={"high": 9.0, "wet": True, "past": [1, 2], "x": None})], None))
    assert data["pool"][0] == {"high": "9.0", "wet": "true", "past": "[1,2]", "x": "null"}


RANKED = Ranked("diagnoses", top=2)
HIGH = Number("high", low=-20, high=45)
SKY = Label("sky", options=("rain", "sun"))


@pytest.mark.parametrize(
    ("field", "said", "came", "scores", "right", "note"),
    [
        (SKY, "sun", "sun", {"sky.accuracy": 1.0}, True, None),
        (SKY, "sun", "rain", {"sky.accuracy": 0.0}, False, None),
        (SKY, None, "rain", {"sky.accuracy": 0.0}, False, "no usable answer"),
        (SKY, "sun", None, {}, None, "no outcome yet"),
        (HIGH, 12.0, 9.5, {"high.abs_error": 2.5}, None, "2.5 too high"),
        (HIGH, 9.44, 9.36, {"high.abs_error": 0.08}, None, "exact"),
        (HIGH, 9.5, 12.0, {"high.abs_error": 2.5}, None, "2.5 too low"),
        (RANKED, ("a", "b"), ("b",), {"diagnoses.acc@1": 0.0, "diagnoses.acc@2": 1.0}, False, "further down"),
        (RANKED, ("a", "b"), ("c",), {"diagnoses.acc@1": 0.0, "diagnoses.acc@2": 0.0}, False, None),
    ],
)
def test_answers_are_marked(
    field: Field, said: Value | None, came: Value | None, scores: dict[str, float], right: bool | None, note: str | None
) -> None:
    task = Task("t", "T", "", "", "", (field,), (MemorySection("Patterns", ""),))
    record = step(
        prediction=None if said is None else {field.name: said},
        target=None if came is None else {field.name: came},
        status=Status.INVALID if said is None else Status.OK,
        scores=scores,
    )
    (answer,) = shown(viewer(task, [record], None))["traces"][0]["steps"][0]["answers"]
    assert answer.get("right") is right
    assert (note in answer["note"]) if note else "note" not in answer


def test_an_edit_is_marked_by_its_words(weather: Task) -> None:
    records = weather_journal(["recurrent"], 1, 12)
    data = shown(viewer(weather, records, None))
    edits = [
        item
        for one in data["traces"][0]["steps"]
        for _, items in one["memory"]["sections"]
        for item in items
        if item[2] == "~"
    ]
    assert edits
    for _, _, _, spans in edits:
        assert {mark for mark, _ in spans} == {"=", "-", "+"}


@given(st.text())
def test_no_text_can_end_the_script(text: str) -> None:
    hostile = f"{text}</script><script>alert(1)</script><!--"
    encoded = script_json(ViewerIndex([hostile], [], {}))
    assert not set(encoded) & set("<>&")
    assert json.loads(encoded)["methods"] == [hostile]


def test_what_was_asked_is_stored_line_by_line_and_only_where_all_of_it_is_known(weather: Task) -> None:
    one, other = Message("system", "sky\nrain\nsky"), Message("user", "rain\nsun")
    record = step(calls=(call(), call()), asked=((one.digest, other.digest), (one.digest, "0" * 16)))
    data = shown(viewer(weather, [record], None, asked={one.digest: one, other.digest: other}, unasked="lost"))
    first, second = data["traces"][0]["steps"][0]["calls"]
    told = [(role, [data["pool"][line] for line in lines]) for role, lines in first["asked"]]
    assert told == [("system", ["sky", "rain", "sky"]), ("user", ["rain", "sun"])]
    assert data["pool"].count("rain") == 1
    assert "asked" not in second
    assert data["unasked"] == "lost"


def test_long_prompts_are_cut_by_themselves(weather: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    long = Message("user", "x" * 1000)
    record = step(calls=(call(text="y" * 100),), asked=((long.digest,),))
    monkeypatch.setattr("llm_as_rnn.viewer.trace.TEXT_CHARS", 150)
    pool = shown(viewer(weather, [record], None, asked={long.digest: long}))["pool"]
    assert "y" * 100 in pool
    assert [text for text in pool if text and text[0] in "x["] == ["x" * 150, "[850 more characters: see the journal]"]


def test_advice_is_told_with_who_was_believed_most_first(weather: Task) -> None:
    record = step(
        believed={"sky": {"recurrent": 0.2, "linear": 0.7, "majority": 0.1}, "high": {"linear": 1.0}},
        distribution={"sky": {"rain": 0.1, "sun": 0.6, "fog": 0.2, "snow": 0.06, "drizzle": 0.04}},
    )
    data = shown(viewer(weather, [record, step(t=1)], None))
    first, second = data["traces"][0]["steps"]
    pool = data["pool"]
    (_, sky), (other, _) = first["advice"]
    assert [(pool[text], weight) for text, weight in sky] == [
        ("linear", 0.7), ("recurrent", 0.2), ("majority", 0.1),
    ]  # fmt: skip
    assert other == "high"
    (said,) = first["said"]
    assert [(pool[text], chance) for text, chance in said["given"]] == [("sun", 0.6), ("fog", 0.2), ("rain", 0.1)]
    assert "advice" not in second
    assert second["said"] == []


def test_what_was_said_of_trust_is_told_field_by_field(weather: Task) -> None:
    record = step(
        target={"sky": "sun", "high": 20.0},
        prediction={"sky": "rain", "high": 12.0},
        distribution={"sky": {"rain": 0.55, "fog": 0.25}},
        chance={"sky": 0.55},
        among={"sky": ("rain", "sun")},
        interval={"high": (9.04, 15.0)},
        abstained=("high",),
        guessed=("high",),
        calls=(
            call(chances={"sky": {"snow": 0.9}}),
            call(chances={"sky": {"sun": 0.8, "rain": 0.1}}),
            call(role="update", chances={"sky": {"fog": 1.0}}),
        ),
    )
    data = shown(viewer(weather, [record], None))
    sky, high = data["traces"][0]["steps"][0]["said"]

    def named(figures: list[tuple[int, float]]) -> list[tuple[str, float]]:
        return [(data["pool"][text], chance) for text, chance in figures]

    assert (sky["chance"], [data["pool"][option] for option in data["pool"][sky["among"]]], sky["held"]) == (
        0.55,
        ["rain", "sun"],
        True,
    )
    assert named(sky["given"]) == [("rain", 0.55), ("fog", 0.25)]
    assert named(sky["told"])[:2] == [("sun", 0.8), ("rain", 0.1)]
    assert (high["low"], high["high"], high["held"], high["abstained"]) == ("9.0", "15.0", False, True)
    assert "abstained" not in sky
    assert (high["guessed"], "guessed" in sky) == (True, False)


def test_large_sets_are_cut_and_say_so() -> None:
    options = tuple(f"tag {number}" for number in range(30))
    task = Task("t", "T", "", "", "", (Label("tag", options=options),), (MemorySection("Patterns", ""),))
    record = step(prediction={"tag": "tag 1"}, target=None, among={"tag": options[:20]}, chance={"tag": 0.1})
    data = shown(viewer(task, [record], None))
    (said,) = data["traces"][0]["steps"][0]["said"]
    assert [data["pool"][option] for option in data["pool"][said["among"]]] == list(options[:6])
    assert said["more"] == 14
    assert "held" not in said


@pytest.mark.parametrize(
    ("observation", "date"),
    [
        ({"high": 9.0, "date": "May 6"}, "May 6"),
        ({"visit": 3, "week": 2}, "3"),
        ({"day": 0}, "0"),
        ({"date": None, "time": ""}, None),
        ({"high": 9.0}, None),
    ],
)
def test_a_step_has_the_date_of_its_observation(observation: dict[str, Any], date: str | None) -> None:
    task = Task("t", "T", "", "", "", (SKY,), (MemorySection("P", ""),), data=Columns({"sky": "next"}, order="visit"))
    data = shown(viewer(task, [step(observation=observation)], None))
    place = data["traces"][0]["steps"][0].get("when")
    assert (None if place is None else data["pool"][place]) == date


def test_a_date_that_the_data_has_is_shown_where_the_observation_hides_it(weather: Task) -> None:
    data = shown(viewer(weather, [step(observation={"high": 9.0}, when="2012-05-06"), step(t=1)], None))
    first, second = data["traces"][0]["steps"]
    assert data["pool"][first["when"]] == "2012-05-06"
    assert "when" not in second or data["pool"][second["when"]] != "2012-05-06"


def test_the_memory_that_made_a_prediction_is_told_where_outcomes_come_late(weather: Task) -> None:
    records = weather_journal(["recurrent"], 1, 12)
    by_version = {record.memory_before.version: record.memory_before for record in records if record.memory_before}
    data = shown(viewer(weather, late(records, 3), None))
    seen = 0
    for record, one in zip(late(records, 3), data["traces"][0]["steps"], strict=True):
        memory = one["memory"]
        assert memory["made"] == record.memory_version
        assert record.memory_before is not None
        if record.memory_version == record.memory_before.version:
            assert "shown" not in memory
            assert "before" not in memory
            continue
        seen += 1
        assert record.memory_version is not None
        assert memory["before"] == record.memory_before.version
        made = by_version[record.memory_version]
        told = [(name, tuple(data["pool"][item] for item in items)) for name, items in memory["shown"]]
        assert told == [(section.name, section.items) for section in made.sections]
    assert seen >= 8
    assert all("shown" not in one["memory"] for one in shown(viewer(weather, records, None))["traces"][0]["steps"])


def test_long_texts_are_cut_and_say_so(weather: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        step(t=0, raw="short", calls=(call(text="y" * 1000),), feedback=Feedback("model", "also short")),
        step(t=1, raw="short", calls=(call(text="z" * 800),)),
    ]
    monkeypatch.setattr("llm_as_rnn.viewer.trace.TEXT_CHARS", 215)
    pool = shown(viewer(weather, records, None))["pool"]
    assert "short" in pool
    assert "also short" in pool
    cut = [text for text in pool if isinstance(text, str) and "more characters" in text]
    assert [text[:100] for text in cut] == ["y" * 100, "z" * 100]
    assert "900 more" in cut[0]
    assert "700 more" in cut[1]


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 5000))
def test_the_cap_is_the_largest_that_fits(lengths: list[int], total: int) -> None:
    cap = cap_length(lengths, total)
    assert sum(min(length, cap) for length in lengths) <= total or cap == 0
    if cap < max(lengths, default=0):
        assert sum(min(length, cap + 1) for length in lengths) > total


def test_a_journal_that_went_through_json_gives_the_same(weather: Task) -> None:
    records = weather_journal(sequences=1, steps=3)
    again = msgspec.json.decode(msgspec.json.encode(records), type=list[StepRecord])
    assert shown(viewer(weather, again, 5)) == shown(viewer(weather, records, 5))


def test_each_sequence_is_a_part_with_all_that_it_names(weather: Task) -> None:
    records = weather_journal(sequences=3, steps=6)
    packed = viewer(weather, records, 160)
    index = json.loads(packed.head)
    assert [part["sequence"] for part in index["parts"]] == ["days-00", "days-01", "days-02"]
    assert (packed.shown, packed.sequences, packed.whole) == (3, 3, True)
    methods = dict.fromkeys(record.method for record in records)
    assert index["methods"] == list(methods)
    for part in index["parts"]:
        assert (part["first"], part["last"]) == (0, 5)
        assert [index["methods"][method] for method in part["methods"]] == list(methods)
        assert [index["methods"][method] for method in part["memory"]] == ["recurrent"]


def test_a_long_sequence_is_parted_and_its_items_keep_their_numbers(
    weather: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = weather_journal(["recurrent", "majority"], 1, 12)
    (whole, _) = shown(viewer(weather, records))["traces"]
    monkeypatch.setattr("llm_as_rnn.report.packing.STRETCH", 5)
    packed = viewer(weather, [record for record in records if record.method == "recurrent" or record.t < 4])
    index = json.loads(packed.head)
    assert [(part["first"], part["last"], part["whole"]) for part in index["parts"]] == [
        (0, 4, False), (5, 9, False), (10, 11, False),
    ]  # fmt: skip
    assert [len(part["methods"]) for part in index["parts"]] == [2, 1, 1]
    parts = [trace for trace in shown(packed)["traces"] if trace["method"] == "recurrent"]

    def numbered(traces: list[Any]) -> list[Any]:
        return [
            [(item[0], item[1], item[2]) for _, items in one["memory"]["sections"] for item in items]
            for trace in traces
            for one in trace["steps"]
        ]

    assert numbered(parts) == numbered([whole])


def test_what_has_no_room_is_left_out_evenly_and_told(weather: Task) -> None:
    records = weather_journal(["zero_shot", "majority"], sequences=8, steps=6)
    whole = viewer(weather, records)
    room = 4 * max(map(len, whole.parts)) + 10
    some = viewer(weather, records, room=room)
    assert sum(map(len, some.parts)) <= room
    assert (some.shown, some.sequences, some.whole) == (4, 8, False)
    assert [part["sequence"] for part in json.loads(some.head)["parts"]] == ["days-00", "days-02", "days-04", "days-06"]
    one = viewer(weather, records, room=1)
    assert (len(one.parts), one.shown) == (1, 1)
    named = viewer(weather, records, room=1, sequences=["days-03", "days-05"])
    assert [part["sequence"] for part in json.loads(named.head)["parts"]] == ["days-03", "days-05"]
    assert (named.shown, named.whole) == (2, False)


@given(st.integers(0, 300))
def test_any_beginning_of_the_order_is_spread_out(number: int) -> None:
    order = spread_out(number)
    assert sorted(order) == list(range(number))
    for taken in range(1, number):
        found = [*sorted(order[:taken]), number]
        assert max(b - a for a, b in pairwise(found)) <= 2 * -(-number // taken) + 1


def test_the_memory_that_is_shown_as_the_predictions_own_is_the_one_that_its_prompt_held(tmp_path: Path) -> None:
    go(tmp_path / "run", msgspec.structs.replace(OPTIONS, delay=3))
    directory = RunDirectory(tmp_path / "run")
    task = directory.info().task
    data = shown(viewer(task, directory.records(), None, asked=directory.prompts().messages))
    seen = 0
    for trace in data["traces"]:
        for one in trace["steps"] if trace["method"] == "recurrent" else []:
            lines = [trace["pool"][line] for _, lines in one["calls"][0]["asked"] for line in lines]
            for _, items in one["memory"].get("shown", []):
                for item in items:
                    if trace["pool"][item] == task.initial:  # a section that says nothing is not shown
                        continue
                    seen += 1
                    assert any(trace["pool"][item] in line for line in lines)
    assert seen
