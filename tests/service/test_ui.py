"""The page `/ui` in a real browser, on a real service: what it shows, what can be done, and that everybody can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2
import pytest

from llm_as_rnn.service.ui import FILES
from llm_as_rnn.viewer import HEADERS, STATIC
from tests.browsing import MARKS, barriers, launched
from tests.service.watched import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = MARKS

HOSTILE = "</script><img src=x onerror=alert(1)>"
FIELDS = ("date", "sky", "high", "low", "precipitation", "wind")
NONE = "\N{EN DASH}"
LIVE = 8_000
"""Milliseconds within which the page has to show what happened."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("service")) as served:
        served.begin("oslo", steps=14, learned=10)
        served.begin("bergen")
        yield served


class Looking:
    """A page of the service in the browser, and everything that it complained about."""

    def __init__(self, browser: Browser, service: Served, width: int = 1200, scheme: Any = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(LIVE)
        self.service = service
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def enter(self, session: str | None = None, t: int | None = None) -> Page:
        """Show the key, and open the list or a session."""
        self.page.goto(f"{self.service.url}/ui")
        if self.service.key:
            self.page.fill("#key", self.service.key)
            self.page.get_by_role("button", name="Look").click()
        self.page.wait_for_selector("table.sessions")
        if session is not None:
            self.open(session, t)
        return self.page

    def open(self, session: str, t: int | None = None) -> None:
        self.page.goto(f"{self.service.url}/ui#/sessions/{quote(session, safe='')}{'' if t is None else f'?t={t}'}")
        self.page.locator("h1", has_text=session).wait_for()
        self.page.wait_for_selector("#steps .note", state="attached")

    def until(self, name: str, said: str) -> None:
        """Wait until a fact is so: each is asked for by itself, and they come in any order."""
        for _ in range(200):
            if self.fact(name) == said:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{name} is {self.fact(name)}, and not {said}")

    def fact(self, name: str) -> str:
        pair = self.page.locator(".facts div", has=self.page.locator(f"dt:text-is('{name}')"))
        return str(pair.locator("dd").inner_text())

    def close(self) -> None:
        self.context.close()
        assert [text for text in self.complaints if "status of 4" not in text] == []
        assert all(url.startswith((self.service.url, "data:")) for url in self.asked)
        assert not any(self.service.key in url for url in self.asked if self.service.key)


@pytest.fixture
def looking(browser: Browser, service: Served) -> Iterator[Looking]:
    found = Looking(browser, service)
    yield found
    found.close()


def wait_for(page: Page, selector: str, text: str) -> None:
    page.locator(selector, has_text=text).first.wait_for()


# What it is made of


def test_nothing_runs_or_loads_but_the_pages_own_files(service: Served) -> None:
    with httpx2.Client(base_url=service.url, trust_env=False) as ask:
        found = ask.get("/ui")
        assert found.headers["content-type"] == "text/html; charset=utf-8"
        names = re.findall(r'(?:href|src)="/ui/([^"]+)"', found.text)
        assert {"app.js", "viewer.css"} <= set(names)
        for name in ["", *names, "viewer.js", "talk.js"]:
            given = ask.get(f"/ui/{name}" if name else "/ui")
            assert {key: given.headers[key] for key in HEADERS} == HEADERS
        policy = HEADERS["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none';")
        assert not re.search(r"<style|<script>|\son\w+=|\sstyle=", found.text)
        for odd in ("__init__.py", "%2e%2e/app.py", "nothing.js"):
            assert ask.get(f"/ui/{odd}").status_code == 404


def test_what_comes_from_data_is_only_ever_set_as_text() -> None:
    for path in [*STATIC.glob("*.js"), *FILES.glob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )


# Who may look


def test_a_key_is_asked_for_and_kept_for_the_tab(browser: Browser, service: Served) -> None:
    looking = Looking(browser, service)
    page = looking.page
    page.goto(f"{service.url}/ui#/sessions/oslo")
    page.fill("#key", "nonsense")
    page.get_by_role("button", name="Look").click()
    page.wait_for_selector("#problem:not([hidden])")
    assert "key" in page.inner_text("#problem")
    page.fill("#key", service.key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer:not([hidden])")
    assert page.locator("h1").inner_text() == "oslo"
    page.reload()
    page.wait_for_selector("#viewer:not([hidden])")
    assert service.key not in page.url
    page.get_by_role("button", name="Forget the key").click()
    page.wait_for_selector("#key")
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    looking.close()


def test_an_open_door_asks_for_no_key(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path, with_keys=False) as service:
        service.begin("s", steps=2, learned=1)
        looking = Looking(browser, service)
        page = looking.enter("s")
        page.wait_for_selector("#viewer:not([hidden])")
        assert not page.get_by_role("button", name="Forget the key").is_visible()
        looking.close()


# Sessions


def test_sessions_are_searched_filtered_and_paged(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        for number in range(60):
            service.begin(f"s-{number:02}")
        service.ask("POST", "/v1/sessions/s-07/archive")
        looking = Looking(browser, service)
        page = looking.enter()
        names = page.locator("table.sessions tbody th")
        assert names.all_inner_texts() == [f"s-{number:02}" for number in range(50)]
        page.get_by_role("button", name="Next").click()
        wait_for(page, "main [role=status]", "51 to 60")
        assert names.all_inner_texts() == [f"s-{number:02}" for number in range(50, 60)]
        assert page.get_by_role("button", name="Next").is_disabled()
        page.get_by_role("button", name="Previous").click()
        wait_for(page, "main [role=status]", "1 to 50")
        page.fill("#search", "-1")
        wait_for(page, "main [role=status]", "1 to 10,")
        assert names.all_inner_texts() == [f"s-{number:02}" for number in range(10, 20)]
        page.reload()
        wait_for(page, "main [role=status]", "1 to 10,")
        assert page.input_value("#search") == "-1"
        page.fill("#search", "")
        page.select_option("#of-status", "archived")
        wait_for(page, "main [role=status]", "1 to 1,")
        assert names.all_inner_texts() == ["s-07"]
        page.select_option("#of-status", "")
        page.select_option("#task", "weather")
        wait_for(page, "main [role=status]", "1 to 50")
        page.fill("#search", "nowhere")
        wait_for(page, "main [role=status]", "There is no such session.")
        looking.close()


def test_a_session_that_is_not_there_is_told_in_a_line(looking: Looking) -> None:
    page = looking.enter()
    page.goto(f"{looking.service.url}/ui#/sessions/nowhere")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith("there is no session 'nowhere'")


# One session


def test_scores_stand_beside_what_the_advisers_would_have_scored(looking: Looking) -> None:
    page = looking.enter("oslo")
    total = looking.service.ask("GET", "/v1/sessions/oslo/scores")["total"]
    page.wait_for_selector("#scores h3 + .scroll table")
    heads = page.locator("#scores h3 + .scroll thead th").all_inner_texts()
    rows = page.locator("#scores h3 + .scroll tbody tr").all()
    shown = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}
    advisers = {name.partition(":")[0] for name in total if ":" in name}
    assert set(shown) == {"answers", *advisers}
    assert "repeat_last" in advisers
    for who, cells in shown.items():
        for score, cell in zip(heads[1:], cells, strict=True):
            number, value = total.get(score if who == "answers" else f"{who}:{score}", (0, 0.0))
            assert cell == NONE if not number else abs(float(cell) - value / number) <= 0.006 * abs(value / number)
    chart = page.locator("#scores svg.chart")
    assert "answers: from" in str(chart.get_attribute("aria-label"))
    assert chart.locator("path.line").count() == 1 + len(advisers)
    page.select_option("#scores select", "high.abs_error")
    assert "high.abs_error over time" in str(page.locator("#scores svg.chart").get_attribute("aria-label"))


def test_an_answer_is_explained_by_prompt_chances_interval_and_who_was_believed(looking: Looking) -> None:
    page = looking.enter("oslo", 12)
    page.wait_for_selector("#viewer:not([hidden])")
    step = looking.service.ask("GET", "/v1/sessions/oslo/predictions/day-12")
    said = step["prediction"]
    assert page.inner_text("#position").startswith("t = 12")
    low, high = said["interval"]["high"]
    assert f"high: between {low:.1f} and {high:.1f} degrees C" in page.inner_text("#said")
    assert f"right with a chance of {said['chance']['sky']:.2f}" in page.inner_text("#said")
    for name in step["believed"]["sky"]:
        assert name in page.inner_text("#advice")
    assert "they said: " in page.inner_text("#advice")
    page.click("#calls-title")
    wait_for(page, "#call-list pre.answer", step["asked"]["answer"])
    assert page.locator("#call-list details pre").all_inner_texts() == [
        message["content"] for message in step["asked"]["messages"]
    ]
    page.keyboard.press("ArrowLeft")
    other = looking.service.ask("GET", "/v1/sessions/oslo/predictions/day-11")
    wait_for(page, "#call-list pre", other["asked"]["messages"][-1]["content"].splitlines()[0])
    assert page.url.endswith("?t=11")


def test_the_steps_show_outcomes_and_what_they_did_to_the_memory(looking: Looking) -> None:
    page = looking.enter("oslo", 0)
    page.wait_for_selector("#viewer:not([hidden])")
    first = looking.service.ask("GET", "/v1/sessions/oslo/steps?limit=1")[0]
    assert first["outcome"]["y"]["sky"] in page.inner_text("#answers")
    assert first["outcome"]["update"]["outcome"] in page.inner_text("#feedback")
    assert page.locator("#memory .items .removed").count() > 0
    assert page.locator("#memory .items .added").count() > 0
    assert f"version {first['outcome']['memory_version']}" in page.inner_text("#memory")


def test_an_outcome_is_told_by_hand_and_the_page_shows_what_it_brought(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        service.begin("s", steps=3, learned=1)
        looking = Looking(browser, service)
        page = looking.enter("s")
        page.wait_for_selector("#viewer:not([hidden])")
        wait_for(page, "#live", "live")
        page.get_by_role("button", name="Tell what came of day-1").click()
        page.locator("dialog").get_by_label("sky").select_option("rain")
        page.locator("dialog").get_by_label("high, degrees C").fill("11.5")
        service.ask("POST", "/v1/sessions/s/archive")
        page.get_by_role("button", name="Tell it").click()
        page.wait_for_selector("dialog [role=alert]:not([hidden])")
        assert "archived" in page.inner_text("dialog [role=alert]")
        service.ask("POST", "/v1/sessions/s/activate")
        page.get_by_role("button", name="Tell it").click()
        page.wait_for_selector("dialog", state="detached")
        page.locator("#waiting tbody tr").nth(1).wait_for(state="detached")
        assert service.ask("GET", "/v1/sessions/s/predictions/day-1/outcome")["y"] == {"sky": "rain", "high": 11.5}
        looking.open("s", 1)
        wait_for(page, "#answers", "11.5")
        page.get_by_role("button", name="Correct the outcome").click()
        page.locator("dialog").get_by_label("sky").select_option("sun")
        page.locator("dialog").get_by_label("high, degrees C").fill("12")
        page.get_by_role("button", name="Tell it").click()
        wait_for(page, "#answers", "12.0")
        looking.close()


def test_what_happens_elsewhere_appears(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        service.begin("s")
        looking = Looking(browser, service)
        page = looking.enter("s")
        assert "Nothing has been predicted yet." in page.inner_text("#steps")
        wait_for(page, "#live", "live")
        service.step("s", 0)
        page.wait_for_selector("#viewer:not([hidden])")
        wait_for(page, "#position", "t = 0")
        service.step("s", 1)
        wait_for(page, "#position", "t = 1 (2 of 2)")
        page.click("#previous")
        service.step("s", 2)
        wait_for(page, "#position", "t = 0 (1 of 3)")
        service.tell("s", 0)
        wait_for(page, "#feedback", "accepted")
        wait_for(page, "#history summary", "version 1")
        looking.until("waiting", "2")
        service.ask("DELETE", "/v1/sessions/s")
        page.wait_for_selector("#problem:not([hidden])")
        assert page.inner_text("#problem") == "this session was deleted"
        looking.close()


def test_a_person_edits_pins_and_restores(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        service.begin("s", steps=2, learned=1)
        looking = Looking(browser, service)
        page = looking.enter("s")
        wait_for(page, "#live", "live")
        page.get_by_role("button", name="Edit").click()
        page.locator("dialog").get_by_label("Recent days").fill("it rained\n\n  it rained again ")
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("dialog", state="detached")
        wait_for(page, "#memory-now .notes", "it rained again")
        wait_for(page, "#history summary", "version 2 by ann")
        memory = service.ask("GET", "/v1/sessions/s/memory")
        assert memory["author"] == "ann"
        assert next(one["items"] for one in memory["sections"] if one["name"] == "Recent days") == [
            "it rained",
            "it rained again",
        ]
        page.locator("#history summary").first.click()
        added = page.locator("#history li").first.locator(".added .body")
        assert added.all_inner_texts()[-1].endswith("it rained again")
        page.get_by_role("button", name="Pin this note: it rained again").click()
        page.wait_for_selector("#memory-now button[aria-pressed=true]")
        assert service.ask("GET", "/v1/sessions/s/memory")["pinned"] == ["it rained again"]
        page.get_by_role("button", name="Pinned this note: it rained again").click()
        page.wait_for_selector("#memory-now button[aria-pressed=true]", state="detached")
        page.locator("#history summary").nth(1).click()
        page.get_by_role("button", name="Restore version 1").click()
        page.get_by_role("button", name="Restore", exact=True).click()
        wait_for(page, "#history summary", "version 3 by ann")
        assert "it rained again" not in service.ask("GET", "/v1/sessions/s/memory")["text"]
        looking.close()


def test_an_edit_of_what_is_another_version_by_now_is_refused_and_kept(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        service.begin("s", steps=2, learned=0)
        looking = Looking(browser, service)
        page = looking.enter("s")
        page.get_by_role("button", name="Edit").click()
        page.locator("dialog").get_by_label("Recent days").fill("mine")
        service.tell("s", 0)
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("dialog [role=alert]:not([hidden])")
        assert "version 1" in page.inner_text("dialog [role=alert]")
        assert page.locator("dialog").get_by_label("Recent days").input_value() == "mine"
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        looking.close()


def test_notes_say_what_became_of_them(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        service.begin("s", steps=8, learned=7, rule="cases")
        looking = Looking(browser, service)
        page = looking.enter("s")
        steps = service.ask("GET", "/v1/sessions/s/steps")
        kept = service.ask("GET", "/v1/sessions/s/memory")["text"]
        note = next(note for step in steps for note in step["recalled"] if f"- {note}" in kept)
        shown = sum(note in step["recalled"] for step in steps)
        row = page.locator("#memory-now .notes li", has_text=note).first
        row.wait_for()
        assert f"shown again at {shown} of the steps below" in row.inner_text()
        looking.close()


def test_hostile_texts_are_shown_and_never_run(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path) as service:
        service.begin("s")
        service.ask("POST", "/v1/sessions/s/predictions", {"id": HOSTILE, "x": dict.fromkeys(FIELDS, HOSTILE)})
        looking = Looking(browser, service)
        page = looking.enter("s")
        page.wait_for_selector("#viewer:not([hidden])")
        assert HOSTILE in page.inner_text("#waiting")
        assert page.inner_text("#observation").count(HOSTILE) == len(FIELDS)
        assert page.locator("img").count() == 0
        page.click("#calls-title")
        wait_for(page, "#call-list pre", HOSTILE)
        page.get_by_role("button", name="Tell the outcome").click()
        assert HOSTILE in page.inner_text("dialog h2")
        page.locator("dialog").get_by_label("sky").select_option("sun")
        page.locator("dialog").get_by_label("high, degrees C").fill("3")
        page.get_by_role("button", name="Tell it").click()
        page.wait_for_selector("dialog", state="detached")
        looking.close()


# Everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, service: Served, scheme: str) -> None:
    looking = Looking(browser, service, scheme=scheme)
    page = looking.page
    page.goto(f"{service.url}/ui")
    page.wait_for_selector("#key")
    assert barriers(page) == []
    looking.enter()
    assert barriers(page) == []
    looking.open("oslo", 3)
    page.wait_for_selector("#viewer:not([hidden])")
    page.click("#calls-title")
    page.locator("#history summary").first.click()
    page.locator("#scores summary").click()
    wait_for(page, "#call-list pre", "Seattle")
    assert barriers(page) == []
    for opened in ("Tell what came of day-12", "Correct the outcome", "Edit", "Restore version 0"):
        if opened.startswith("Restore"):
            page.locator("#history summary").nth(1).click()
        page.get_by_role("button", name=opened).first.click()
        page.wait_for_selector("dialog[open]")
        assert barriers(page) == []
        page.keyboard.press("Escape")
    page.evaluate("location.hash = '#/sessions/nowhere'")
    page.wait_for_selector("#problem:not([hidden])")
    assert barriers(page) == []
    looking.close()


@pytest.mark.parametrize("width", [360, 820])
def test_it_fits_a_phone(browser: Browser, service: Served, width: int) -> None:
    looking = Looking(browser, service, width=width)
    page = looking.enter()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    looking.open("oslo")
    page.wait_for_selector("#viewer:not([hidden])")
    page.locator("#history summary").first.click()
    page.click("#calls-title")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Edit").click()
    assert page.evaluate("document.querySelector('dialog').getBoundingClientRect().right") <= width
    looking.close()


def test_the_keyboard_alone_is_enough(looking: Looking) -> None:
    page = looking.page
    page.goto(f"{looking.service.url}/ui")
    page.wait_for_selector("#key")
    page.keyboard.type(looking.service.key)
    page.keyboard.press("Enter")
    page.wait_for_selector("table.sessions")
    page.reload()
    page.wait_for_selector("table.sessions")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "oslo")
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer:not([hidden])")
    button = tab_to(page, "Tell what came of day-10")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("document.activeElement.textContent") == button
    tab_to(page, "Step by step")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "steps-title"
    tab_to(page, "←")
    page.keyboard.press("ArrowLeft")
    wait_for(page, "#position", "t = 12")


def tab_to(page: Page, text: str) -> str:
    """Go on from where the keyboard is, all around the page at most, until something with this text is reached."""
    for _ in range(200):
        page.keyboard.press("Tab")
        found = str(page.evaluate("document.activeElement.textContent"))
        if found.strip() == text or found.replace("Tell ", "Tell", 1).strip() == text.replace("Tell ", "Tell", 1):
            return found
    raise AssertionError(f"the keyboard does not reach {text!r}")
