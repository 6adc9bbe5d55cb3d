"""What the model was asked is kept beside the journal: each message once, before the step that names it."""

from __future__ import annotations

import os
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.cli.main import main
from llm_as_rnn.core.calls import Call, Message, Request
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.files import sealed, unsealed
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.asked import NO_PROMPTS, RunJournal, read_prompts
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options
from llm_as_rnn.runs.journal import PROMPTS, read_lines
from llm_as_rnn.runs.writing import Journal, whole
from tests.helpers import content, run_options
from tests.report.page import Page
from tests.runs.test_execute import OPTIONS, answer, go
from tests.runs.test_journal import flips, record

CASES = run_options("weather", sequences=3, steps=6, budget=60, rule="cases", watch=True)
LATE = msgspec.structs.replace(OPTIONS, delay=2)
SHARED = run_options("weather", sequences=3, steps=4, budget=60, feedback="model", rule="rewrite", shared=60)
TEXTS = st.text(st.sampled_from("ab\n\u2028é"), max_size=8)
MESSAGES = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXTS)


def told(out: Path) -> list[tuple[str, tuple[Message, ...]]]:
    """List what was asked by what stands in a run's folder: role and messages of each call."""
    directory = RunDirectory(out)
    messages = directory.prompts().messages
    return [
        (call.role, tuple(messages[name] for name in names))
        for step in directory.records()
        for call, names in zip(step.calls, step.asked, strict=True)
    ]


def as_key(asked: tuple[str, tuple[Message, ...]]) -> tuple[str, str]:
    return asked[0], repr(asked[1])


@pytest.mark.parametrize("options", [OPTIONS, CASES, LATE, SHARED], ids=["rewrite", "cases", "late", "shared"])
def test_a_run_keeps_what_was_asked_whether_interrupted_or_not(tmp_path: Path, options: Options) -> None:
    requests: list[Request] = []

    def listening(request: Request) -> str:
        requests.append(request)
        return answer(request)

    go(tmp_path / "whole", options, answerer=listening)
    asked = [(request.role, request.messages) for request in requests]
    assert sorted(told(tmp_path / "whole"), key=as_key) == sorted(asked, key=as_key)
    kept = read_lines(tmp_path / "whole/prompts.jsonl", PROMPTS)
    assert set(kept) == {message for _, messages in asked for message in messages}
    with pytest.raises(RunError, match="a crash"):
        go(tmp_path / "run", options, crash_after=7)
    go(tmp_path / "run", options, resume=True)
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert told(tmp_path / "run") == told(tmp_path / "whole")
    again = read_lines(tmp_path / "run/prompts.jsonl", PROMPTS)
    assert len(again) == len(set(again))
    assert set(again) == set(kept)


def asking(*texts: str) -> tuple[Request, StepRecord]:
    """Give a request, and a step that names its messages."""
    request = Request("predict", tuple(Message("user", text) for text in texts))
    names = tuple(message.digest for message in request.messages)
    call = Call("", "stop", 0, 0, None, 0.0, 0, role="predict")
    return request, msgspec.structs.replace(record(0), calls=(call,), asked=(names,))


def test_what_was_asked_is_written_before_its_step_and_waits_for_the_disk_at_the_end_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    steps, prompts = tmp_path / "steps.jsonl", tmp_path / "prompts.jsonl"

    def fsync(file: int) -> None:
        path = next(path for path in (steps, prompts) if path.stat().st_ino == os.fstat(file).st_ino)
        synced.append((path.name, len(read_prompts(prompts).messages)))

    first, step = asking("sun ->", "fog ->")
    again, next_step = asking("fog ->")
    with RunJournal(steps, prompts) as journal:
        monkeypatch.setattr(os, "fsync", fsync)
        journal.hear(first)
        journal.append(step)
        journal.hear(again)
        journal.append(msgspec.structs.replace(next_step, t=1))
    assert synced == [("steps.jsonl", 2), ("steps.jsonl", 2), ("prompts.jsonl", 2)]


@given(st.lists(MESSAGES, unique=True, max_size=6))
def test_whatever_was_asked_is_read_again(messages: list[Message]) -> None:
    written = whole(messages, PROMPTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llm_as_rnn.runs.journal.opened", lambda path: nullcontext(BytesIO(written)))
        assert read_lines(Path("prompts.jsonl"), PROMPTS) == messages


def test_a_line_of_text_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    memory = [f"- day {number}: rain all day long" for number in range(40)]
    with Journal(path, PROMPTS) as journal:
        for number in range(20):
            journal.append(Message("system", "\n".join(memory[number : number + 20])))
    content = path.read_bytes()
    assert all(content.count(line.encode()) == 1 for line in memory[:39])


def test_every_flipped_bit_of_a_prompt_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prompts.jsonl"
    messages = [Message("system", "sky\nrain"), Message("user", "rain\nsun"), Message("user", "sun")]
    path.write_bytes(whole(messages, PROMPTS))
    for line, _ in flips(path.read_bytes(), monkeypatch):
        with pytest.raises(RunError, match=f"line {line} is damaged"):
            read_lines(path, PROMPTS)
        assert [*read_prompts(path).messages.values()] in [messages[:number] for number in range(max(1, line - 1))]


def test_a_message_under_the_name_of_another_is_found(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    one, other = Message("user", "sun"), Message("user", "fog")
    head, line = whole([one], PROMPTS).splitlines()
    renamed = unsealed(line).replace(one.digest.encode(), other.digest.encode())
    path.write_bytes(head + b"\n" + sealed(renamed) + b"\n")
    with pytest.raises(RunError, match="line 2 is damaged: its text is not the one that it is named after"):
        read_lines(path, PROMPTS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with pytest.raises(RunError, match="a crash"):
        go(tmp_path / "run", crash_after=9)
    return tmp_path / "run"


def lost(path: Path) -> None:
    path.unlink()


def damaged(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b'"new"', b'"now"', 1), *lines[4:]]))


def another(path: Path) -> None:
    path.write_bytes(b"what\nis\nthis\n")


@pytest.mark.parametrize(("harm", "left"), [(lost, 0), (damaged, 2), (another, 0)])
def test_a_run_without_its_prompts_is_reported_and_gone_on_with(
    run: Path, harm: Any, left: int, tmp_path: Path
) -> None:
    prompts = run / "prompts.jsonl"
    harm(prompts)
    harmed = prompts.read_bytes() if prompts.exists() else None
    found = RunDirectory(run).prompts()
    assert len(found.messages) == left
    assert "prompts.jsonl" in found.problem
    with pytest.raises(SystemExit):
        main(["report", str(run)])
    data = Page((run / "report.html").read_text()).data
    assert data["unasked"] == found.problem
    known = [call.get("asked") for trace in data["traces"] for step in trace["steps"] for call in step.get("calls", [])]
    assert not all(known)
    before = content(run)
    go(run, resume=True)
    go(tmp_path / "whole")
    assert content(run) == content(tmp_path / "whole")
    after = RunDirectory(run).prompts()
    assert after.problem == ""
    done = {(step.method, step.sequence, step.t) for step in before}
    new = [step for step in content(run) if (step.method, step.sequence, step.t) not in done]
    assert new
    assert {name for step in new for names in step.asked for name in names} <= set(after.messages)
    aside = run / "prompts.damaged.jsonl"
    assert (aside.read_bytes() if aside.exists() else None) == harmed, "nothing is thrown away"


def test_no_file_is_no_prompts(tmp_path: Path) -> None:
    assert read_prompts(tmp_path / "prompts.jsonl") == NO_PROMPTS._replace(problem="prompts.jsonl is not there")
