"""The journal: durable, whole lines, one writer; whatever is not what was written is found and named."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Call, Completion
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.files import sealed
from llm_as_rnn.core.records import Feedback, Memory, Section, Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.judged import Judgement
from llm_as_rnn.runs.directory import JUDGEMENTS
from llm_as_rnn.runs.journal import PROMPTS, STEPS, Expected, read_journal, read_lines
from llm_as_rnn.runs.lines import StepLines
from llm_as_rnn.runs.writing import Journal, whole


def record(t: int, raw: str = "") -> StepRecord:
    text = Completion(raw).text
    nothing = (None, None, None, None)
    return StepRecord(
        "m", "s", t, {"x": 1}, {"y": 2.0}, None, Status.INVALID, text, *nothing, Update("skipped"), None, (), {}
    )


def kept_steps(number: int) -> list[StepRecord]:
    """Give steps of which each adds a note to the memory, and takes the first one away."""
    steps = []
    before = Memory((Section("Patterns", ("rain", "fog", "rain")), Section("Corrections", ())), 0, None)
    for t in range(number):
        patterns = (*before.sections[0].items[1:], f'said "{t}"')
        after = Memory((Section("Patterns", patterns), before.sections[1]), before.version + 1, 9 + t)
        calls = (Call(" rain, 9.0", "stop", 7, 3, None, 0.1, 0, role="predict"),)
        step = msgspec.structs.replace(record(t, " rain, 9.0"), memory_before=before, memory_after=after, calls=calls)
        told = {"memory_version": before.version, "memory_tokens": after.tokens, "recalled": ("rain",)}
        steps.append(msgspec.structs.replace(step, **told, asked=(("0123456789abcdef",),)))
        before = after
    return steps


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with Journal(path) as journal:
        for t in range(3):
            journal.append(record(t, "line\nbreak \u2028 é"))
    assert read_journal(path) == [record(t, "line\nbreak \u2028 é") for t in range(3)]


@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=6), st.integers(0, 400))
def test_a_journal_cut_anywhere_loses_only_its_torn_line(texts: list[str], cut: int) -> None:
    import tempfile  # noqa: PLC0415 - hypothesis runs many examples in one tmp_path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.jsonl"
        with Journal(path) as journal:
            for t, text in enumerate(texts):
                journal.append(record(t, text))
        content = path.read_bytes()
        kept = content[: max(0, len(content) - cut)]
        path.write_bytes(kept)
        ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
        done = max(0, sum(end <= len(kept) for end in ends) - 1)  # a line that lacks its end alone is whole
        before = [record(t, text) for t, text in enumerate(texts)][:done]
        assert read_journal(path) == before
        with Journal(path) as journal:
            journal.append(record(done, "next"))
        assert read_journal(path) == [*before, record(done, "next")]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with Journal(path) as journal:
        journal.append(record(0))
    path.write_bytes(path.read_bytes() + b"{broken}\n")
    with pytest.raises(RunError, match="line 3 is damaged"):
        read_journal(path)


def journal_of(path: Path, *steps: StepRecord) -> bytes:
    with Journal(path) as journal:
        for step in steps:
            journal.append(step)
    return path.read_bytes()


TRUST = ("interval", "among", "chance", "abstained", "guessed")
"""What a step's record says of how far its prediction can be trusted."""


def in_old(step: StepRecord) -> bytes:
    """Give a step's line as earlier versions wrote it: all of it, and nothing of prompts."""
    told = msgspec.to_builtins(step)
    told = {
        name: value
        for name, value in told.items()
        if name not in ("recalled", "asked", "taught", "distribution", "believed", "when", *TRUST)
    }
    told["update"] = {"outcome": step.update.outcome, "reason": step.update.reason}
    return msgspec.json.encode(told)


def old_journal(*steps: StepRecord) -> bytes:
    """Give a journal as the first versions wrote it: no head, no checks."""
    return b"".join(in_old(step) + b"\n" for step in steps)


def second_journal(*steps: StepRecord) -> bytes:
    """Give a journal in format 2: a head, and checks."""
    return b"".join(line + b"\n" for line in [STEPS.head_of(2), *(sealed(in_old(step)) for step in steps)])


def flips(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, bytes]]:
    """Let every reader see each content that is one bit away, and say in which line it differs; no disk is asked."""
    for place in range(len(content)):
        line = content[:place].count(b"\n") + 1
        for bit in range(8):
            flipped = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            monkeypatch.setattr(
                "llm_as_rnn.runs.journal.opened", lambda path, flipped=flipped: nullcontext(BytesIO(flipped))
            )
            yield line, flipped


def test_every_flipped_bit_is_found_and_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.jsonl"
    content = journal_of(path, record(0, "sun"), *kept_steps(3)[1:])
    for line, _ in flips(content, monkeypatch):
        with pytest.raises(RunError, match=f"line {line} is damaged"):
            read_journal(path)
    flipped = content[:-1] + b"\x0b"
    path.write_bytes(flipped)
    with pytest.raises(RunError, match="is damaged"), Journal(path):
        pass
    assert path.read_bytes() == flipped, "damage is not cut off as a torn line"


def test_every_flipped_bit_of_a_judgement_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "judgements.jsonl"
    judgement = Judgement("say", "sun", "rain", "m", "d", "r", 0, Status.OK, {"score": 40.0}, "", ())
    with Journal(path, JUDGEMENTS) as journal:
        journal.append(judgement)
    assert read_lines(path, JUDGEMENTS) == [judgement]
    lost = msgspec.structs.replace(judgement, repeat=1, status=Status.ENGINE_ERROR, values=None)
    with Journal(path, JUDGEMENTS) as journal:
        for again in (lost, lost):  # it was asked again, in vain
            journal.append(again)
    assert read_lines(path, JUDGEMENTS) == [judgement, lost, lost]
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines(keepends=True)[1])
    with pytest.raises(RunError, match="line 5 is damaged: line 2 settled the same already"):
        read_lines(path, JUDGEMENTS)
    path.write_bytes(content)
    with pytest.raises(RunError, match="holds 'judgements', not steps"):
        read_journal(path)
    for line, _ in flips(path.read_bytes(), monkeypatch):
        with pytest.raises(RunError, match=f"line {line} is damaged"):
            read_lines(path, JUDGEMENTS)


def test_a_journal_cut_at_any_length_is_torn_and_never_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # the disk is not what is tried here
    path = tmp_path / "steps.jsonl"
    steps = [record(0, "sun"), *kept_steps(3)[1:]]
    content = journal_of(path, *steps)
    for length in range(len(content) + 1):
        for lost in (b"", b"\0\0\0"):  # a power cut leaves zeros where the rest should be
            path.write_bytes(content[:length] + lost)
            found = read_journal(path)
            assert found == steps[: len(found)]
            with Journal(path) as journal:
                for step in steps[len(found) :]:
                    journal.append(step)
            assert path.read_bytes() == content


def test_doubled_missing_and_disordered_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    head, *lines = journal_of(path, *(record(t) for t in range(4))).splitlines(keepends=True)

    def found(*kept: int) -> str:
        path.write_bytes(head + b"".join(lines[t] for t in kept))
        with pytest.raises(RunError) as caught:
            read_journal(path)
        return caught.value.message

    assert "line 4 is damaged: step 1 of m/s stands there once more" in found(0, 1, 1, 2, 3)
    assert "line 3 is damaged: step 2 of m/s stands there before step 1" in found(0, 2, 3)
    assert "line 2 is damaged: step 1 of m/s stands there before step 0" in found(1, 0, 2, 3)
    path.write_bytes(head + head + lines[0])
    with pytest.raises(RunError, match="line 2 is damaged"):
        read_journal(path)


def test_steps_that_the_run_cannot_have_are_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    journal_of(path, record(0), record(1))
    assert len(read_journal(path, Expected(["m"], steps=2))) == 2
    assert len(read_journal(path, Expected(["m"], lengths={"s": 2}))) == 2
    for expected, problem in [
        (Expected(["other"]), "line 2 is damaged: it is of the method 'm', which the run does not have"),
        (Expected(["m"], steps=1), "line 3 is damaged: it is step 1 of 's', of which the run has 1"),
        (
            Expected(["m"], lengths={"r": 2}),
            "line 2 is damaged: it is of the sequence 's'",
        ),
        (Expected(["m"], lengths={"s": 1}), "line 3 is damaged: it is step 1 of 's', of which the run has 1"),
    ]:
        with pytest.raises(RunError, match=problem):
            read_journal(path, expected)


@pytest.mark.parametrize("journal_as", [old_journal, second_journal])
def test_a_journal_of_an_earlier_version_is_read_and_gone_on_with(
    tmp_path: Path, journal_as: Callable[..., bytes]
) -> None:
    path = tmp_path / "steps.jsonl"
    steps = kept_steps(3)
    content = journal_as(*steps)
    before = content.splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(before) + content.splitlines()[-1][:30])
    without_prompts = [msgspec.structs.replace(step, recalled=(), asked=()) for step in steps]
    assert read_journal(path) == without_prompts[:2]
    with Journal(path) as journal:
        journal.append(steps[2])
    assert path.read_bytes() == content
    assert read_journal(path) == without_prompts


def test_formats_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    new = journal_of(path, record(0))
    path.write_bytes(new + old_journal(record(1)))
    with pytest.raises(RunError, match="line 3 is damaged: there is no check at its end"):
        read_journal(path)
    path.write_bytes(second_journal(record(0)) + new.split(b"\n", 1)[1].replace(b'"t":0', b'"t":1'))
    with pytest.raises(RunError, match="line 3 is damaged"):
        read_journal(path)
    path.write_bytes(old_journal(record(0)) + sealed(msgspec.json.encode(record(1))) + b"\n")
    with pytest.raises(RunError, match="line 2 is damaged"):
        read_journal(path)
    path.write_bytes(new.split(b"\n", 1)[1])
    with pytest.raises(RunError, match="line 1 is damaged"):
        read_journal(path)


@pytest.mark.parametrize("seal", [sealed, bytes])
def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path, seal: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "steps.jsonl"
    content = seal(b'{"format":4,"journal":"steps"}') + b'\n{"what":"ever"}\n'
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"newer version, in format 4 \(upgrade"):
        read_journal(path)
    with pytest.raises(RunError, match="newer version"), Journal(path):
        pass
    assert path.read_bytes() == content


@given(st.binary(max_size=60), st.integers(0, 2000), st.binary(max_size=8), st.booleans())
def test_any_bytes_are_records_or_damage_and_nothing_else(junk: bytes, place: int, put: bytes, old: bool) -> None:
    """No content makes a reader fail in another way, and what it takes for records it gives again."""
    steps = [record(0, "sun"), *kept_steps(2)[1:]]
    content = old_journal(*steps) if old else whole(steps, STEPS)
    for changed in (junk, junk + b"\n", content[:place] + put + content[place:], content[:place] + junk):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("llm_as_rnn.runs.journal.opened", lambda path, changed=changed: nullcontext(BytesIO(changed)))
            for read in (
                read_journal,
                lambda path: read_lines(path, JUDGEMENTS),
                lambda path: read_lines(path, PROMPTS),
            ):
                try:
                    found = read(Path("steps.jsonl"))
                except RunError as error:
                    assert "\n" not in str(error)
                else:
                    assert old or found == steps[: len(found)]


def test_what_would_be_read_as_something_else_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    before = journal_of(path, record(0))
    replace = msgspec.structs.replace
    for broken, field in [
        (replace(record(1), scores={"high.mae": math.inf}), "scores"),
        (replace(record(1), target={"y": math.nan}), "target"),
        (replace(record(1), observation={"x": {"deep": [1.0, -math.inf]}}), "observation"),
        (replace(record(1), feedback=Feedback("scorecard", fields={"error": math.nan})), "feedback"),
    ]:
        with Journal(path) as journal, pytest.raises(RunError, match=f"step 1 of m/s cannot be written: .*{field}"):
            journal.append(broken)
    for strange in ({"x": "\ud800"}, {"x": object()}):
        step = record(1)
        msgspec.structs.force_setattr(step, "observation", strange)
        with Journal(path) as journal, pytest.raises(RunError, match="step 1 of m/s cannot be written"):
            journal.append(step)
    assert path.read_bytes() == before
    shown = replace(record(1), feedback=Feedback("scorecard", fields={"pair": (1, 2)}))  # as a list, it is the same
    with Journal(path) as journal:
        journal.append(shown)
    assert len(read_journal(path)) == 2


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_journal(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "steps.jsonl"
    make(path)
    with pytest.raises(RunError, match=r"it is a (named pipe|directory), not a file"):
        read_journal(path)
    with pytest.raises(RunError, match=r"it is a (named pipe|directory), not a file"), Journal(path):
        pass


def test_a_new_journal_is_there_after_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    journal_of(tmp_path / "steps.jsonl")
    assert tmp_path.stat().st_ino in synced
    assert (tmp_path / "steps.jsonl").read_bytes() == STEPS.head + b"\n"


def test_no_journal_is_no_steps(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none.jsonl") == []


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    code = (
        f"from llm_as_rnn.runs.writing import Journal; Journal(__import__('pathlib').Path({str(path)!r})).__enter__()"
    )
    with Journal(path):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process is writing" in result.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.jsonl"
    write = os.write

    def half_then_full(file: int, content: bytes) -> int:
        if len(content) > 100:
            return write(file, content[:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path) as journal:
        journal.append(record(0))
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", half_then_full)
        with pytest.raises(RunError, match="No space left"):
            journal.append(record(1))
        assert path.read_bytes() == before
        monkeypatch.undo()
        journal.append(record(1))
    assert read_journal(path) == [record(0), record(1)]


def test_nothing_is_written_behind_what_could_not_be_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.jsonl"
    write = os.write

    def half(file: int, content: bytes) -> int:
        write(file, content[:50])
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def stuck(file: int, length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Journal(path) as journal:
        journal.append(record(0))
        with monkeypatch.context() as failing:
            failing.setattr(os, "write", half)
            failing.setattr(os, "ftruncate", stuck)
            with pytest.raises(RunError, match="cannot be written"):
                journal.append(record(1))
        with pytest.raises(RunError, match="cannot be written"):  # as other sequences try meanwhile
            journal.append(record(1))
    assert read_journal(path) == [record(0)]
    with Journal(path) as journal:
        journal.append(record(1))
    assert read_journal(path) == [record(0), record(1)]


def test_options_of_sets_are_named_by_their_places_once_they_were_named() -> None:
    writing, reading = StepLines(), StepLines()
    tags = tuple(f"tag of a long name {number}" for number in range(100))
    sizes = []
    for t, among in enumerate((tags, tags[::-1], (*tags[40:60], "another"), tags[3:90])):
        record = msgspec.structs.replace(bare_record(t), among={"tag": among})
        line = writing.line(record)
        sizes.append(len(line))
        assert reading.record(line).among == record.among
        for lines in (writing, reading):
            lines.passed(record)
    assert sizes[0] > 2_000
    assert sizes[1] < 800
    assert sizes[3] < sizes[2] < 400


def bare_record(t: int) -> StepRecord:
    return StepRecord(
        "m", "s", t, {}, None, {"tag": "x"}, Status.OK, "", None, None, None, None, Update("skipped"), None, (), {}
    )
