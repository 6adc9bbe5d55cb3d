"""A run in the browser while it goes on: what is read of its journal, who may read it, and what is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import RunError, UsageError
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.report.live import Server, Watch
from llm_as_rnn.report.packing import viewer
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.journal import STEPS
from llm_as_rnn.runs.spec import RunSpec
from llm_as_rnn.runs.writing import whole
from llm_as_rnn.viewer import HEADERS
from tests.browsing import MARKS, barriers, launched
from tests.report.journal import trusting, weather_journal
from tests.report.page import unpacked

if TYPE_CHECKING:
    from playwright.sync_api import Browser

METHODS = ("recurrent", "majority")


@pytest.fixture(scope="module")
def records() -> list[StepRecord]:
    """Give steps as a run makes them: of both methods and sequences in turn."""
    found = trusting(weather_journal(METHODS, sequences=2, steps=12))
    return sorted(found, key=lambda step: (step.sequence, step.t, METHODS.index(step.method)))


@pytest.fixture
def run(tmp_path: Path, weather: Task) -> RunDirectory:
    """Give the folder of a run that has just begun."""
    directory = RunDirectory(tmp_path / "run")
    spec = RunSpec("weather", "", "scripted:x", "", METHODS, 2, 12, "development", "", Settings())
    directory.begin(spec, weather, EngineInfo("scripted:x"), resume=False)
    return directory


def write(run: RunDirectory, records: list[StepRecord], torn: bytes = b"") -> None:
    run.journal.write_bytes(whole(records, STEPS) + torn)


@pytest.fixture
def server(run: RunDirectory) -> Iterator[Server]:
    found = Server(Watch(run))
    thread = threading.Thread(target=found.serve, daemon=True)
    thread.start()
    yield found
    found.stop()
    thread.join(10)


def asking(server: Server, key: str | None = None, **headers: str) -> httpx2.Client:
    url, _, mine = server.url.partition("/#key=")
    shown = {"Authorization": f"Bearer {mine if key is None else key}", **headers}
    return httpx2.Client(base_url=url, headers=shown, trust_env=False, timeout=20)


# What is read


def test_the_parts_are_those_of_the_report(run: RunDirectory, weather: Task, records: list[StepRecord]) -> None:
    write(run, records)
    watch = Watch(run)
    index = watch.index()
    packed = viewer(weather, records, run.info().spec.settings.budget)
    expected = unpacked(packed.head, packed.parts)
    assert index.steps == len(records)
    assert msgspec.json.decode(msgspec.json.encode(index.parts)) == msgspec.json.decode(packed.head)["parts"]
    for number, part in enumerate(index.parts):
        view = msgspec.json.decode(msgspec.json.encode(watch.part(part.sequence, part.first, part.methods)))
        again: Any = [one for one in expected["traces"] if one["sequence"] == part.sequence]
        assert view["pool"] == again[0]["pool"]
        assert len(view["traces"]) == len(again) == len(METHODS), number


def test_steps_appear_as_they_are_written_and_a_half_line_waits(run: RunDirectory, records: list[StepRecord]) -> None:
    watch = Watch(run)
    assert (watch.index().steps, watch.index().parts) == (0, [])
    content = whole(records, STEPS)
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    before = watch.tag()
    for number in (1, 2, 3, 7, len(records)):
        run.journal.write_bytes(content[: ends[number] + 20])
        index = watch.index()
        assert index.steps == number
        assert watch.tag() != before
        before = watch.tag()
        last = index.parts[-1]
        shown = watch.part(last.sequence, last.first, last.methods)
        assert shown.traces[0].t[-1] == last.last


def test_the_stretches_of_a_long_sequence_follow_its_memory(
    run: RunDirectory, records: list[StepRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(run, records)
    whole_one = Watch(run).part("days-00", 0, [0]).traces[0].steps["memory"]
    monkeypatch.setattr("llm_as_rnn.report.live.watch.STRETCH", 5)
    watch = Watch(run)
    parts = [part for part in watch.index().parts if part.sequence == "days-00"]
    assert [(part.first, part.last, part.whole) for part in parts] == [(0, 4, False), (5, 9, False), (10, 11, False)]
    found = [memory for part in parts for memory in watch.part("days-00", part.first, [0]).traces[0].steps["memory"]]

    def marks(memories: Any) -> list[Any]:
        return [[[item[:3] for item in items] for _, items in memory.sections] for memory in memories]

    assert marks(found) == marks(whole_one)


def test_a_run_that_is_over_or_was_killed_says_so(run: RunDirectory, records: list[StepRecord]) -> None:
    write(run, records[:5], b'{"torn')
    run.journal.with_suffix(".lock").touch()
    index = Watch(run).index()
    assert (index.steps, index.status) == (5, "interrupted")
    run.save(msgspec.structs.replace(run.info(), status="finished"))
    assert Watch(run).index().status == "finished"


def test_another_run_in_the_same_folder_takes_its_place(run: RunDirectory, records: list[StepRecord]) -> None:
    write(run, records)
    watch = Watch(run)
    write(run, records[:3])
    assert watch.index().steps == 3


def test_what_is_no_run_or_damaged_is_refused_in_a_line(
    run: RunDirectory, records: list[StepRecord], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="holds no run"):
        Watch(RunDirectory(tmp_path))
    run.journal.write_bytes(whole(records, STEPS).replace(b'"t":1', b'"t":7', 1))
    with pytest.raises(RunError, match="damaged"):
        Watch(run)


# Who may read it


def test_data_are_given_to_those_who_have_the_key(server: Server) -> None:
    with asking(server) as ask:
        assert ask.get("/data/index").json()["status"] == "interrupted"
        assert ask.get("/data/part?sequence=none&first=0&methods=0").status_code == 404
        assert ask.get("/data/part?sequence=none&first=x&methods=").status_code == 404
        assert ask.get("/data/nothing").status_code == 404
    for key in ("x", "nonsense", "\N{SNOWMAN}"):
        with asking(server) as ask:
            answer = ask.get("/data/index", headers={b"Authorization": f"Bearer {key}".encode()})
            assert answer.status_code == 401
            assert "open the address" in answer.json()["hint"]
    with asking(server, Host="evil.example") as ask:
        assert ask.get("/").status_code == 403
        assert ask.get("/data/index").status_code == 403


def test_the_page_loads_nothing_but_its_own_files(server: Server) -> None:
    with asking(server, "x") as ask:
        for name in ("", "run.js", "viewer.js", "talk.js", "base.css"):
            answer = ask.get(f"/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        for name in ("watch.py", "..%2fserver.py", "../server.py", "nothing"):
            assert ask.get(f"/{name}").status_code == 404


def test_a_port_that_is_taken_is_told(server: Server, run: RunDirectory) -> None:
    port = int(server.url.split(":")[2].partition("/")[0])
    with pytest.raises(UsageError, match=f"port {port} cannot be listened at"):
        Server(Watch(run), port)


def test_what_cannot_be_read_any_more_is_told(server: Server, run: RunDirectory) -> None:
    run.journal.write_bytes(b"nonsense\n")
    with asking(server) as ask:
        answer = ask.get("/data/index")
    assert answer.status_code == 409
    assert "damaged" in answer.json()["detail"]


# What is shown


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@MARKS[0]
@MARKS[1]
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_the_page_grows_with_the_run(
    browser: Browser, server: Server, run: RunDirectory, records: list[StepRecord], width: int, scheme: Any
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url)
    page.locator("#count", has_text="No step is recorded yet.").wait_for()
    assert "key=" not in page.url
    assert barriers(page) == []
    write(run, records[:9], b'{"half')
    page.locator("#count", has_text="9 steps").wait_for()
    page.wait_for_selector("#viewer:not([hidden])")
    page.keyboard.press("End")
    page.focus("#step")
    page.keyboard.press("End")
    at = page.inner_text("#position")
    assert at.startswith("t = 4 (5 of 5)")
    write(run, records)
    page.locator("#position", has_text="t = 11 (12 of 12)").wait_for()
    page.select_option("#method", "majority")
    page.locator("#memory", has_text="keeps no memory").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert barriers(page) == []
    page.reload()
    page.wait_for_selector("#viewer:not([hidden])")
    assert page.input_value("#method") == "majority"
    assert page.inner_text("#position").startswith("t = 11")
    assert complaints == []
    page.close()
