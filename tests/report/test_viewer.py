"""The trace viewer, in a real browser: walking, marks, keys, and nothing that leaves the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from llm_as_rnn.cases.case import came
from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.report.html import write_report
from llm_as_rnn.runs.asked import Prompts
from tests.browsing import MARKS, comes_true, launched
from tests.report.journal import RUN, late, trusting, weather_journal, weather_prompts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = MARKS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


class Viewer:
    """A page in the browser, and everything that it asked for or complained about."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.address = path.as_uri()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.refused: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("requestfailed", lambda request: self.refused.append(f"{request.failure} {request.url}"))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, where: str = "") -> None:
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}{where}")
        self.page.wait_for_selector("#viewer:not([hidden])")

    def choose(self, selector: str, value: str) -> None:
        """Choose another trace, and wait until its steps are unpacked."""
        self.page.select_option(selector, value)
        self.page.wait_for_selector("#viewer:not([aria-busy])")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    @property
    def t(self) -> int:
        return int(self.text("#position").split()[2])


@pytest.fixture(scope="module")
def records() -> list[StepRecord]:
    return weather_journal(sequences=2, steps=12)


@pytest.fixture
def viewer(browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path) -> Iterator[Viewer]:
    path = tmp_path / "report.html"
    write_report(path, weather, RUN, records, summarise(weather, records), prompts=weather_prompts(records))
    page = browser.new_page()
    viewer = Viewer(page, path)
    viewer.open()
    yield viewer
    page.close()
    assert viewer.complaints == []
    assert {url.partition("#")[0] for url in viewer.asked} <= {viewer.address, "about:blank", "data:,"}


def find(records: list[StepRecord], method: str, sequence: str, t: int) -> StepRecord:
    return next(one for one in records if (one.method, one.sequence, one.t) == (method, sequence, t))


def test_buttons_slider_and_keys_walk_through_the_steps(viewer: Viewer) -> None:
    page = viewer.page
    assert viewer.t == 0
    assert page.is_disabled("#previous")
    page.click("#next")
    assert viewer.t == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert viewer.t == 2
    page.focus("#step")
    page.keyboard.press("ArrowRight")
    assert viewer.t == 3
    page.keyboard.press("End")
    assert viewer.t == 11
    assert page.is_disabled("#next")
    page.focus("body")
    page.keyboard.press("ArrowRight")
    assert viewer.t == 11
    page.click("#previous")
    assert viewer.t == 10
    page.locator("#timeline .hit").nth(4).click()
    assert viewer.t == 4


def test_keys_alone_reach_every_control(viewer: Viewer) -> None:
    page = viewer.page
    page.focus("#method")
    reached = [page.evaluate("document.activeElement.id")]
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached[:2] == ["method", "sequence"]
    assert reached[2:4] == ["step", "next"]
    page.focus("#next")
    page.keyboard.press("Enter")
    assert viewer.t == 1


def test_a_step_shows_what_the_journal_says(viewer: Viewer, records: list[StepRecord]) -> None:
    for t in (0, 5, 10):
        viewer.open(f"#method=recurrent&sequence=days-01&t={t}")
        record = find(records, "recurrent", "days-01", t)
        shown = dict(
            zip(
                viewer.page.locator("#observation dt").all_inner_texts(),
                viewer.page.locator("#observation dd").all_inner_texts(),
                strict=True,
            )
        )
        assert shown == {name: str(value) for name, value in record.observation.items()}
        assert viewer.text("#status") == record.status.value
        assert record.update.outcome.replace("_", " ") in viewer.text("#feedback")
        assert record.update.reason in viewer.text("#feedback")
        if record.feedback:
            assert record.feedback.text in viewer.text("#feedback")
        rows = viewer.page.locator("#answers tr").all_inner_texts()
        assert len(rows) == 2
        for row, name in zip(rows, ("sky", "high"), strict=True):
            for values in (record.prediction, record.target):
                assert values is None or str(values[name]) in row
        verdict = {1.0: "✓ right", 0.0: "✗ wrong", None: ""}[record.scores.get("sky.accuracy")]
        assert verdict in rows[0]
        assert ("✓" in rows[0], "✗" in rows[0]) == ("✓" in verdict, "✗" in verdict)


READ = """(elements, without) => elements.map((element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(without).forEach((part) => part.remove());
    return copy.textContent;
})"""
"""Reads texts without some of their parts."""


def test_the_memory_is_shown_with_what_changed(viewer: Viewer, records: list[StepRecord]) -> None:
    seen: set[str] = set()
    for t in range(12):
        viewer.open(f"#method=recurrent&sequence=days-00&t={t}")
        record = find(records, "recurrent", "days-00", t)
        before = _items(record.memory_before)
        after = _items(record.memory_after)
        # As a reader's eye: what is not struck out is the new memory, what is not underlined the old one.
        new = viewer.page.locator(".items li:not(.removed) .body").evaluate_all(READ, "del, .hidden")
        old = viewer.page.locator(".items li:not(.added) .body").evaluate_all(READ, "ins, .hidden")
        assert new == after
        assert sorted(old) == sorted(before)
        for mark in ("same", "added", "removed", "edited"):
            if viewer.page.locator(f".items li.{mark}").count():
                seen.add(mark)
        assert f"{record.memory_tokens} of 160 tokens" in viewer.text("#memory")
        assert f"version {record.memory_after.version if record.memory_after else ''}" in viewer.text("#memory")
    assert seen == {"same", "added", "removed", "edited"}


def _items(memory: object) -> list[str]:
    assert memory is not None
    sections = msgspec.to_builtins(memory)["sections"]
    return [item for section in sections for item in section["items"]]


def test_an_item_keeps_its_number_while_it_lives(viewer: Viewer) -> None:
    numbers: dict[str, str] = {}
    for _ in range(12):
        for row in viewer.page.locator(".items li.same").all():
            text, number = row.locator(".body").inner_text(), str(row.get_attribute("data-item"))
            assert numbers.setdefault(text, number) == number
        viewer.page.keyboard.press("ArrowRight")
    assert numbers


def test_methods_without_a_memory_show_their_calls(viewer: Viewer, records: list[StepRecord]) -> None:
    page = viewer.page
    page.click("#next")
    viewer.choose("#method", "zero_shot")
    assert viewer.t == 1
    assert "keeps no memory" in viewer.text("#memory")
    record = find(records, "zero_shot", "days-00", 1)
    assert page.locator("#call-list pre.answer").all_inner_texts() == [call.text for call in record.calls]
    assert f"{record.calls[0].prompt_tokens} tokens read" in viewer.text("#call-list")
    viewer.choose("#method", "recurrent")
    assert not page.locator("#call-list").is_visible()
    page.click("#calls-title")
    assert page.locator("#call-list pre.answer").first.is_visible()
    viewer.choose("#method", "majority")
    assert viewer.text("#calls-title") == "no model calls"


def test_what_was_asked_unfolds_beside_each_call(viewer: Viewer, records: list[StepRecord]) -> None:
    page, messages = viewer.page, weather_prompts(records).messages
    viewer.open("#method=recurrent&sequence=days-00&t=4")
    record = find(records, "recurrent", "days-00", 4)
    page.click("#calls-title")
    folded = page.locator("#call-list details.asked")
    assert folded.count() == len(record.calls)
    assert not folded.first.locator("pre").first.is_visible()
    folded.first.locator("summary").click()
    assert folded.first.locator("summary").inner_text() == "asked in 2 messages"
    assert folded.first.locator("p").all_inner_texts() == ["system", "user"]
    assert folded.first.locator("pre").all_inner_texts() == [messages[name].content for name in record.asked[0]]


def test_prompts_that_are_not_there_are_told(
    browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    known = weather_prompts(records).messages
    first = find(records, "zero_shot", "days-00", 0)
    some = {name: message for name, message in known.items() if name != first.asked[0][1]}
    prompts = Prompts(some, "prompts.jsonl, line 7 is damaged")
    write_report(path, weather, RUN, records, summarise(weather, records), prompts=prompts)
    viewer = Viewer(browser.new_page(), path)
    viewer.open("#method=zero_shot&sequence=days-00&t=0")
    assert "What was asked is not recorded: prompts.jsonl, line 7 is damaged." in viewer.text("#call-list")
    assert viewer.page.locator("#call-list pre.answer").count() == len(first.calls)
    viewer.open("#method=zero_shot&sequence=days-00&t=5")
    assert "asked in 2 messages" in viewer.text("#call-list")
    viewer.page.close()


def test_recalled_notes_say_whether_they_were_followed(
    viewer: Viewer, weather: Task, records: list[StepRecord]
) -> None:
    seen = set()
    for t in range(12):
        viewer.open(f"#method=recurrent&sequence=days-00&t={t}")
        record = find(records, "recurrent", "days-00", t)
        rows = viewer.page.locator("#recalled li").all_inner_texts()
        assert len(rows) == len(record.recalled)
        for row, note in zip(rows, reversed(record.recalled), strict=True):
            assert note in row
            told, said = came(weather, note), record.prediction or {}
            same = [name for name in told or {} if name in said and said[name] == (told or {})[name]]
            words = {0: "not followed", 2: "followed"}
            word = "" if told is None else words.get(len(same), f"followed in {', '.join(same)}")
            assert row.replace(note, "").strip() == word
            seen.add(word)
    assert seen >= {"", "followed", "not followed", "followed in sky"}
    viewer.choose("#method", "zero_shot")
    assert viewer.text("#recalled") == ""


def test_the_address_leads_back_to_a_step(viewer: Viewer) -> None:
    page = viewer.page
    viewer.choose("#method", "memprompt")
    viewer.choose("#sequence", "days-01")
    page.click("#next")
    where = "#" + page.url.partition("#")[2]
    viewer.open(where)
    chosen = page.locator("#sequence option:checked").inner_text()
    assert (page.input_value("#method"), chosen, viewer.t) == ("memprompt", "days-01", 1)
    viewer.open("#method=none&t=99")
    assert viewer.t == 0


def test_a_long_sequence_is_chosen_by_stretches_and_its_steps_are_found(
    browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_as_rnn.report.packing.STRETCH", 5)
    path = tmp_path / "report.html"
    write_report(path, weather, RUN, records, summarise(weather, records))
    viewer = Viewer(browser.new_page(), path)
    viewer.open("#method=recurrent&sequence=days-01&t=7")
    page = viewer.page
    assert page.locator("#sequence option").all_inner_texts() == [
        f"days-{number:02}, t = {part}" for number in range(2) for part in ("0 to 4", "5 to 9", "10 to 11")
    ]
    assert page.locator("#sequence option:checked").inner_text() == "days-01, t = 5 to 9"
    assert viewer.text("#position").startswith("t = 7 (3 of 5)")
    assert find(records, "recurrent", "days-01", 7).update.reason in viewer.text("#feedback")
    viewer.choose("#method", "majority")
    assert viewer.t == 7
    viewer.choose("#sequence", "days-01, t = 10 to 11")
    assert viewer.t == 10
    viewer.open("#" + page.url.partition("#")[2])
    assert viewer.t == 10
    assert viewer.complaints == []
    page.close()


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_the_page_is_as_wide_as_the_window(viewer: Viewer, width: int) -> None:
    viewer.page.set_viewport_size({"width": width, "height": 800})
    # The timeline is drawn again a moment later, for the room that it then has.
    fits = "Math.abs(timeline.clientWidth - timeline.firstChild.clientWidth) < 1 && timeline.clientWidth < innerWidth"
    assert comes_true(viewer.page, fits)
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= width


def test_long_labels_do_not_widen_the_page(browser: Browser, weather: Task, tmp_path: Path) -> None:
    plain = msgspec.json.encode(trusting(weather_journal(["recurrent"], 1, 6)))
    long = plain.replace(b'"rain"', b'"' + b"SharesIssuedInPeriodUnderArrangements" * 2 + b'"')
    records = msgspec.json.decode(long, type=list[StepRecord])
    path = tmp_path / "report.html"
    write_report(path, weather, RUN, records, summarise(weather, records))
    viewer = Viewer(browser.new_page(), path)
    viewer.page.set_viewport_size({"width": 400, "height": 800})
    for t in range(6):
        viewer.open(f"#method=recurrent&sequence=days-00&t={t}")
        assert viewer.page.evaluate("document.documentElement.scrollWidth") <= 400
    viewer.page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_names_in_pictures_are_not_cut_off(browser: Browser, weather: Task, tmp_path: Path, width: int) -> None:
    records = [
        msgspec.structs.replace(one, method=f"{one.method}:budget=MMM")
        for one in trusting(weather_journal(["recurrent", "full_history"], 2, 12))
    ]
    path = tmp_path / "report.html"
    write_report(path, weather, RUN, records, summarise(weather, records))
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(path.as_uri())
    ends = page.evaluate(
        """[...document.querySelectorAll("svg.chart")].filter(chart => chart.clientWidth).flatMap(chart => {
          const isOpen = getComputedStyle(chart).overflow === "visible";
          const edge = isOpen ? innerWidth : chart.getBoundingClientRect().right;
          return [...chart.querySelectorAll("text")].map(text => edge - text.getBoundingClientRect().right);
        })"""
    )
    assert len(ends) > 50
    assert min(ends) >= 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_dark_and_light_are_both_readable(viewer: Viewer) -> None:
    script = "getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color"
    looks = set()
    for scheme in ("light", "dark"):
        viewer.page.emulate_media(color_scheme=scheme)
        looks.add(viewer.page.evaluate(script))
    assert len(looks) == 2


def test_without_javascript_table_and_charts_remain(
    browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    write_report(path, weather, RUN, records, summarise(weather, records))
    page = browser.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    assert page.locator("#results table").first.is_visible()
    assert page.locator("#curves svg.chart").count() == 4
    assert page.locator("svg.chart").first.is_visible()
    assert _panels(page) == [True, False, False, False, False, False]
    page.click(".tabs label:nth-of-type(4)")
    assert _panels(page) == [False, False, False, True, False, False]
    assert not page.locator("#viewer").is_visible()
    assert page.locator("noscript p").is_visible()
    page.close()


def _panels(page: Page) -> list[bool]:
    return [panel.is_visible() for panel in page.locator(".tabs > .panel").all()]


def test_keys_choose_a_method_without_walking_through_the_steps(viewer: Viewer) -> None:
    viewer.page.click(".tabs label:nth-of-type(1)")
    viewer.page.keyboard.press("ArrowRight")
    assert _panels(viewer.page) == [False, True, False, False, False, False]
    assert viewer.t == 0


def test_a_step_tells_how_far_to_trust_it_its_date_and_its_memory(
    browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    told = late(trusting(records), 3)
    write_report(path, weather, RUN, told, summarise(weather, told))
    viewer = Viewer(browser.new_page(), path)
    by_version = {r.memory_before.version: r.memory_before for r in records[::-1] if r.memory_before and _first(r)}
    for record in filter(_first, told):
        viewer.open(f"#method=recurrent&sequence=days-00&t={record.t}")
        assert viewer.text("#position").endswith(f", {record.observation['date']}")
        made = viewer.page.locator("#memory .made")
        assert f"version {record.memory_version}" in viewer.text("#memory")
        assert record.memory_before is not None
        if record.memory_version != record.memory_before.version:
            assert record.memory_version is not None
            assert made.locator("li").all_inner_texts() == _items(by_version[record.memory_version])
            assert f"when the memory was at version {record.memory_before.version}" in viewer.text("#memory")
        said = viewer.text("#said")
        if record.prediction is None:
            assert said == ""
            continue
        low, high = record.interval["high"]
        assert f"high: between {low} and {high} degrees C" in said
        assert f"right with a chance of {record.chance['sky']:.2f}; among {', '.join(record.among['sky'])}" in said
        assert "chances: " in said
        assert "as the model said: " in said
        assert ("held back" in said) == bool(record.abstained)
        assert ("a guess: nothing to go by yet" in said) == bool(record.guessed)
        row = viewer.page.locator("#said li").nth(1).inner_text()
        came = (record.target or {}).get("high")
        word = "" if came is None else "held" if low <= float(str(came)) <= high else "missed"
        assert row.endswith(f"degrees C{word}")
    assert viewer.complaints == []
    viewer.page.close()


def test_a_step_whose_outcome_never_came_is_not_told_to_have_been_learned_late(
    browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path
) -> None:
    told = [msgspec.structs.replace(one, target=None, scores={}) if one.t == 5 else one for one in late(records, 3)]
    path = tmp_path / "report.html"
    write_report(path, weather, RUN, told, summarise(weather, told))
    viewer = Viewer(browser.new_page(), path)
    for t, is_late in ((4, True), (5, False)):
        viewer.open(f"#method=recurrent&sequence=days-00&t={t}")
        assert ("Its outcome came late, when" in viewer.text("#memory")) == is_late
        assert ("No outcome came, as was seen when" in viewer.text("#memory")) != is_late
    viewer.page.close()


def _first(record: StepRecord) -> bool:
    return (record.method, record.sequence) == ("recurrent", "days-00")


HOSTILE = '</script><script>window.taken=1</script><img src="http://192.0.2.1/x.png" onerror="window.taken=1">'


def test_what_models_write_is_never_run_or_fetched(
    browser: Browser, weather: Task, records: list[StepRecord], tmp_path: Path
) -> None:
    encoded = msgspec.json.encode(trusting(records))
    for word in (b"rain", b"drizzle", b"recurrent", b"days-00", b"Patterns", b"after", b"highs", b" ", b"2013"):
        encoded = encoded.replace(b'"' + word, b'"' + HOSTILE.replace('"', '\\"').encode() + word)
    hostile = msgspec.json.decode(encoded, type=list[StepRecord])
    path = tmp_path / "report.html"
    task = msgspec.structs.replace(weather, title=HOSTILE)
    shown = [Message("user", f"{HOSTILE}\n{record.t}") for record in hostile]
    hostile = [
        msgspec.structs.replace(record, asked=((message.digest,),) * len(record.calls))
        for record, message in zip(hostile, shown, strict=True)
    ]
    prompts = Prompts({message.digest: message for message in shown}, HOSTILE)
    write_report(path, task, {**RUN, "status": HOSTILE}, hostile, summarise(weather, hostile), prompts=prompts)
    viewer = Viewer(browser.new_page(), path)
    viewer.open()
    for _ in range(12):
        viewer.page.keyboard.press("ArrowRight")
    assert viewer.page.evaluate("window.taken") is None
    assert viewer.page.locator("img").count() == 0
    assert HOSTILE in viewer.text("#memory")
    viewer.page.click("#calls-title")
    viewer.page.locator(".asked summary").first.click()
    assert HOSTILE in viewer.text(".asked pre >> nth=0")
    assert HOSTILE in viewer.text("h1")
    assert viewer.complaints == []
    assert not any("192.0.2.1" in url for url in viewer.asked)
    viewer.page.close()


def test_the_policy_stops_what_should_ever_get_in(viewer: Viewer) -> None:
    viewer.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.taken = 1';
            document.body.append(script);
            const image = new Image();
            image.src = 'http://192.0.2.1/x.png';
            document.body.append(image);
        }"""
    )
    assert viewer.page.evaluate("window.taken") is None
    assert comes_true(viewer.page, "document.images[0].complete")
    assert len([text for text in viewer.complaints if "Content Security Policy" in text]) >= 2
    assert viewer.refused == ["csp http://192.0.2.1/x.png"]
    viewer.complaints.clear()
    viewer.asked.clear()
