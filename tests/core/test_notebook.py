"""What notebooks show: HTML in which data is text, and what `repr` says in a line."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn import AsyncLearner, Learner
from llm_as_rnn.core import notebook
from llm_as_rnn.core.chances import likeliest
from llm_as_rnn.core.records import Memory, Prediction, Section, Status
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.fetching import in_notebook
from tests.helpers import good_answer

TODAY = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Parts(HTMLParser):
    """Notes the elements, attributes and texts of an output, and that each element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.styled: list[tuple[str, str]] = []
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not [tag for tag, _ in self._open if tag != "br"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self._open.append((tag, dict(attrs).get("style") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        self.styled.append((data, self._open[-1][1]))

    @property
    def text(self) -> str:
        return "".join(self.texts)


OURS = {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "b", "br"}


def parts(value: Any) -> Parts:
    found = Parts(value._repr_html_())
    assert found.tags <= OURS
    assert found.attributes <= {"style"}
    return found


def memory(*notes: str, version: int = 1) -> Memory:
    return Memory((Section("Patterns", notes),), version, 12)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.floats(0, 1))
def test_data_is_never_more_than_text(word: str, number: float, option: str, chance: float) -> None:
    evil = f"{EVIL}{word}"
    made = Prediction(
        {"sky": evil, "high": number, "list": (evil, option)},
        Status.OK,
        distribution={"sky": {evil: chance, option: 1 - chance}},
        interval={"high": (-abs(number), abs(number))},
        chance={"sky": chance},
        abstained=("high",),
    )
    parts(made)
    parts(Prediction(None, Status.INVALID, problem=evil))
    parts(Memory((Section(evil, (evil, word)),), 3))


def test_a_prediction_shows_answer_chances_and_interval() -> None:
    made = Prediction(
        {"sky": "sun", "high": 12.8},
        Status.OK,
        distribution={"sky": {"sun": 0.7, "rain": 0.3}},
        interval={"high": (9.1, 16.4)},
        chance={"sky": 0.7},
        abstained=("sky",),
    )
    text = parts(made).text
    for said in ("sun", "12.8", "70% likely", "held back", "9.1", "16.4", "rain", "30%"):
        assert said in text
    wide = Prediction({"n": 3.0}, Status.OK, interval={"n": (0.124865, 5.87513)})
    assert "0.12  5.88" in parts(wide).text, "no more digits than the width gives a meaning"
    assert "no answer (refused): not I" in parts(Prediction(None, Status.REFUSED, problem="not I")).text


def test_many_options_are_summed_up() -> None:
    made = Prediction({"x": "o0"}, Status.OK, distribution={"x": {f"o{n}": 1 / 20 for n in range(20)}})
    assert "12 others" in parts(made).text
    assert "60%" in parts(made).text


def test_options_that_are_not_named_have_a_part_in_what_is_left() -> None:
    named = likeliest({f"o{n}": 1.0 for n in range(40)})
    text = parts(Prediction({"x": "o0"}, Status.OK, distribution={"x": named})).text
    assert "all others" in text
    assert "80%" in text
    few = parts(Prediction({"x": "a"}, Status.OK, distribution={"x": {"a": 0.6, "b": 0.2}})).text
    assert ("all others" in few, few.count("20%")) == (True, 2)


def test_what_changed_in_a_memory_is_marked() -> None:
    before, after = memory("fog is rare", "right 1 of 2"), memory("right 2 of 3", "sun in July", version=2)
    found = Parts(notebook.page(notebook.memory(after, before)))
    styles = dict(found.styled)
    assert styles["sun in July"] == styles["2"] == notebook.NEW or styles["3"] == notebook.NEW
    assert styles["fog is rare"] == styles["1"] == notebook.GONE
    alone = Parts(notebook.page(notebook.memory(after)))
    assert notebook.NEW not in dict(alone.styled).values()


def test_pinned_notes_are_said_to_be() -> None:
    pinned = Memory((Section("Patterns", ("a", "b")),), 1, 5, pinned=("b",))
    assert "b (pinned)" in parts(pinned).text
    assert "a (pinned)" not in parts(pinned).text


@pytest.fixture
def learner() -> Any:
    with Learner("weather", engine=ScriptedEngine(good_answer("json")), budget=200) as learner:
        yield learner


def test_a_learner_shows_where_it_stands(learner: Learner) -> None:
    first = parts(learner).text
    assert "0 steps" in first
    assert "as it began" in first
    for _ in range(2):
        made = learner.predict_one(TODAY)
        learner.learn_one(made.id, {"sky": "sun", "high": 12.0})
    waits = learner.predict_one(TODAY)
    text = parts(learner).text
    for said in ("Tomorrow's weather", "advised", "3 steps", "1 waiting", f"latest prediction, {waits.id}",
                 "memory, version", "of at most 200", "last change by the outcome of step"):  # fmt: skip
        assert said in text
    assert f"prediction {waits.id}" in parts(waits).text
    assert "high 9.4" in parts(waits).text


def test_a_learner_that_is_not_open_says_so() -> None:
    unopened = AsyncLearner("weather", engine=ScriptedEngine(good_answer("json")))
    assert "not open" in parts(unopened).text


def test_a_learner_without_a_memory_shows_none() -> None:
    with Learner("weather", method="repeat_last", engine=ScriptedEngine(good_answer("json"))) as learner:
        assert "memory" not in parts(learner).text


def test_nothing_says_a_page_of_internals(learner: Learner) -> None:
    made = learner.predict_one(TODAY)
    learner.learn_one(made.id, {"sky": "sun", "high": 12.0})
    for value in (learner, learner.memory, made, made.prediction, learner.task, learner.versions[-1]):
        assert len(repr(value)) < 200, value
        assert "\n" not in repr(value)
    assert repr(memory("a", "b")) == "Memory(version=1, tokens=12, notes=2)"
    assert repr(learner.task) == "Task('weather': sky, high)"


# --- downloads --------------------------------------------------------------------------------------------------------


class Kernel:
    """Stands for IPython in a notebook, and keeps what a cell's output said."""

    def __init__(self, kernel: bool) -> None:
        self.said: list[str] = []
        shell = SimpleNamespace(kernel=object()) if kernel else SimpleNamespace()
        self.get_ipython = lambda: shell
        self.display = SimpleNamespace(display=self._display)

    def _display(self, shown: dict[str, str], raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.update(shown, raw)
        return self

    def update(self, shown: dict[str, str], raw: bool) -> None:
        Parts(shown["text/html"])
        self.said.append(shown["text/plain"])


def test_a_download_is_shown_in_a_notebook_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(kernel=True)
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    times = iter([0.0, 0.1, 0.6, 0.7])
    progress = in_notebook("llamacpp:small", lambda: next(times))
    assert progress is not None
    for done in (0, 20_000_000, 50_000_000, 98_000_000):
        progress(done, 98_000_000)
    fetching = "fetching llamacpp:small"
    assert kernel.said == [f"{fetching}: 0 of 98 MB", f"{fetching}: 50 of 98 MB", "fetched llamacpp:small: 98 MB"]


@pytest.mark.parametrize("ipython", [None, Kernel(kernel=False)])
def test_elsewhere_no_download_is_shown(monkeypatch: pytest.MonkeyPatch, ipython: Any) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert in_notebook("llamacpp:small") is None
