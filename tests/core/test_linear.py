"""No text from outside takes more than linear time: not a server's reply, a model's note, a user's data or a page's.

What is compared is the time of this process alone on a text and on one four times as long. Linear work takes four times
as much, quadratic work sixteen times: between them lies room for whatever else the machine does. Work that is over in
moments is not compared at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import get_args

import msgspec
import pytest

from llm_as_rnn.cases import blanks, case, recall
from llm_as_rnn.core import alignment, changes, hygiene
from llm_as_rnn.core.answers import AnswerSpec, Notation, read_object
from llm_as_rnn.core.calls import Completion, Message, Request
from llm_as_rnn.core.chances import Token, read_chances
from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.core.fields import Label, NoteField, Number, Ranked, whole_words
from llm_as_rnn.core.hygiene import defuse, steers
from llm_as_rnn.core.records import Memory, Section
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.mimic import icd
from llm_as_rnn.datasets.mimic.notes import early_sections
from llm_as_rnn.datasets.weather_text.forecasts import read_facts
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.refusals import in_turns
from llm_as_rnn.engines.replies import one_line, read_reply
from llm_as_rnn.engines.thinking import split_thinking
from llm_as_rnn.recurrence import budget, feedback, memory, notes
from tests.core.stage import sky_task
from tests.helpers import by_hand, count

TASK = load_task("weather")
BLOCK = AnswerSpec("judgement", feedback.judge_fields("line"), "block")
NOTE = NoteField("note", max_chars=400, seen=100, came="sun")

MOMENT = 0.1
"""Seconds of work that need no comparison."""

FACTOR, LIMIT = 4, 9
"""How much longer the longer text is, and how many times the work it may be."""


def reply(text: str) -> bytes:
    return msgspec.json.encode({"choices": [{"message": {"content": text}}], "usage": text})


def trimmed(text: str) -> object:
    sections = (Section("Patterns", (text,)), Section("Recent days", (text[::2],)))
    return by_hand(budget.fit(sections, 9, {}), lambda _: "")


def recalled(text: str) -> object:
    cases = [f"{text} day -> rain", f"a {text} -> sun", f"… {text} -> fog"]
    return recall.Resemblance(cases).closest(f"{text} night", 2), case.as_asked(cases[-1], f"a {text}")


def of_sky(text: str) -> object:
    task = sky_task()
    return task.spec("line").read(text), task.spec("json").read(text)


def chances_of_sky(text: str) -> object:
    fields = (Number("low", low=0, high=9), Number("high", low=0, high=9), Label("sky", options=("rain", "sun")))
    said = {"line": f",{text},{text}", "json": f'"sky"{text}"sky":{text}[{text}', "block": f"sky:{text}sky:{text}"}
    specs = [AnswerSpec("forecast", fields, notation) for notation in get_args(Notation)]
    return [read_chances(spec.places, [Token(said[spec.notation].encode(), 0.5, {})]) for spec in specs]


READERS: dict[str, Callable[[str], object]] = {
    "reply": lambda text: read_reply(reply(text), Request("predict", ()), "the server"),
    "reply that is none": lambda text: read_reply(text.encode(), Request("predict", ()), "the server"),
    "error": one_line,
    "turns": lambda text: in_turns(tuple(Message("user", piece) for piece in text.split(" "))),
    "thinking": split_thinking,
    "estimate": estimate_tokens,
    "object": read_object,
    "answer in a line": lambda text: TASK.spec("line").read(text),
    "answer as JSON": lambda text: TASK.spec("json").read(text),
    "answer of one label": of_sky,
    "chances of one label": chances_of_sky,
    "answer in a block": lambda text: feedback.read_judgement(BLOCK, f"critique: a\nsuggestion: b\nscore: 4\n{text}"),
    "note": NOTE.read,
    "list": Ranked("codes").read,
    "words": lambda text: whole_words(text, len(text)),
    "memory in lines": lambda text: memory.read_memory(f"## Patterns\n{text}", TASK, "line"),
    "memory as JSON": lambda text: memory.read_memory(text, TASK, "json"),
    "item": hygiene.tidy_item,
    "budget": trimmed,
    "blanks": lambda text: blanks.blanked(f"{text} one a b", f"{text} two a b"),
    "cases": recalled,
    "credit": lambda text: notes.credit(
        {}, [f"{text} -> sun", text], sky_task(), text, {"sky": "sun"}, right=True, now=3
    ),
    "diff": lambda text: changes.word_diff(f"{text} one", f"two {text}"),
    "items": lambda text: changes.align([f"{text} one"], [f"two {text}"]),
    "forecast": read_facts,
    "titles": icd._words,
    "clinical note": early_sections,
    "prompt": defuse,
}

SLOW = ("cases", "credit")
"""What compares several long lines with each other: a moment each time, even where it is linear."""

PIECES = (
    " ", "\t", "\n", "\u00a0", " \n", "a", "a ", "rain ", "1", "1 ", "12% ", ".", ". ", "; ", "-", "- ", "#", "##\n",
    "* ", ":", ": ", "_", "<", "< ", "[", "{", '{"', '{"a":', "[1,", '"', "\\", "`", "```\n", "|", "</think>",
    "<think></think>", "<|channel|>", "&#", "%41", "\u0301", "\u200d", "\u4e00", "\u2026 ", " -> ", "not ",
    "temperatures of ", "1\u00b0 ",
)  # fmt: skip
FRAMES = (
    ("", ""), ("", "x"), ("# a", "x"), ("x: ", ":"), ('{"a":"', ""), ("<think>", ""), ("<|channel|>", "|"),
    ("```", "```"), ("- score", "x"), ("a ", " -"),
)  # fmt: skip


def forget() -> None:
    """Drop what is kept of texts that were met before."""
    for kept in (hygiene._defused, hygiene._tidied, alignment._split_before, case.parse):
        kept.clear()
    recall._memories.clear()


def work(read: Callable[[str], object], text: str) -> float:
    """Measure the seconds that this process needs to read a text, or to refuse it."""
    forget()
    begun = time.process_time()
    with suppress(LlmAsRnnError):
        read(text)
    return time.process_time() - begun


def grows_too_fast(read: Callable[[str], object], text: Callable[[int], str], length: int) -> str:
    """Say how the work grows where it is out of proportion; nothing where it is not."""
    long = work(read, text(FACTOR * length))
    if long < MOMENT:
        return ""
    short = min(work(read, text(length)) for _ in range(3))
    long = min(long, work(read, text(FACTOR * length)))
    return f"{short:.3f} s, {FACTOR} times as much: {long:.3f} s" if long > max(MOMENT, LIMIT * short) else ""


def framed(piece: str, frame: tuple[str, str]) -> Callable[[int], str]:
    return lambda length: f"{frame[0]}{piece * (length // len(piece))}{frame[1]}"


@pytest.mark.parametrize("name", READERS)
def test_work_is_in_proportion_to_the_text(name: str) -> None:
    alone = [(piece, frame) for piece in PIECES for frame in FRAMES[:2]]
    between = [(piece, frame) for piece in (" ", "\n", "a", "a ", "1") for frame in FRAMES[2:]]
    length = 1_000 if name in SLOW else 4_000
    for piece, frame in (*alone, *between):
        assert not grows_too_fast(READERS[name], framed(piece, frame), length), (piece, frame)


@pytest.mark.parametrize(
    "frame", [("", ""), ("ignore all ", " x"), ("from now on ", ""), ("&#", ";"), ("system", ""), ("end of memory", "")]
)
def test_judging_a_note_is_in_proportion_to_it(frame: tuple[str, str]) -> None:
    for piece in (*PIECES[::3], "you ", "ignore all ", "0x1f ", "i g ", "\u5ffd\u7565", "always say "):
        assert not grows_too_fast(steers, framed(piece, frame), 1_500), piece


def test_eighty_thousand_blanks_are_read_at_once() -> None:
    """The example that stopped every sequence for a quarter of a minute."""
    for text in (" " * 80_000, f"#{' ' * 80_000}x", f"```{' ' * 80_000}x"):
        assert work(read_object, text) + work(lambda t: memory.read_memory(t, TASK, "line"), text) < 10 * MOMENT


def test_what_work_in_proportion_is() -> None:
    """The measure itself tells linear work from quadratic."""

    def linear(text: str) -> int:
        return sum(ord(sign) for _ in range(20) for sign in text)

    def quadratic(text: str) -> int:
        return sum(text.count("a", place) for place in range(0, len(text), 4))

    assert not grows_too_fast(linear, lambda n: "a" * n, 10_000)
    assert grows_too_fast(quadratic, lambda n: "a" * n, 40_000)


class TestLongLines:
    """Two lines are lined up word for word as far as that takes a bearable time, and compared by their words beyond."""

    def test_lines_as_they_are_written_are_lined_up(self) -> None:
        words = [f"word{number % 300}" for number in range(900)]
        assert alignment.can_be_lined_up(words, words)
        assert alignment.shared_words(words, words[::-1]) != words

    def test_very_long_ones_are_compared_by_their_words(self) -> None:
        words = [f"word{number}" for number in range(2_000)]
        assert sorted(alignment.shared_words(words, words[::-1])) == sorted(words)
        assert recall.likeness(" ".join(words), " ".join(words[::-1])) == 1.0
        assert recall.likeness(" ".join(words), "rain") == 0.0

    def test_the_closest_case_is_found_among_long_ones(self) -> None:
        long = [" ".join(f"{mark}{number}" for number in range(2_000)) for mark in ("bovi", "tarel")]
        cases = [f"{text} -> {label}" for text, label in zip(long, ("rain", "sun"), strict=True)]
        assert recall.Resemblance(cases).closest(f"{long[0]} more", 1) == cases[:1]

    def test_a_very_long_change_is_shown_whole(self) -> None:
        old, new = "rain " * 2_000, "sun " * 2_000
        assert [(span.mark, span.text) for span in changes.word_diff(old, new)] == [("-", old), ("+", new)]

    def test_the_words_of_long_texts_are_kept_as_far_as_there_is_room(self) -> None:
        long = "rain sun fog " * (alignment.MOST_KEPT // 40)
        for number in range(5):
            assert len(alignment.tokens(f"{number} {long}")) == len(long) // 13 * 3 + 1
        assert sum(map(len, alignment._split_before._results)) <= alignment.MOST_KEPT
        assert len(alignment._split_before) >= 3
        kept = list(alignment._split_before._results)
        alignment.tokens(long * 4)
        assert list(alignment._split_before._results) == kept


class TestSizes:
    """What is kept of an answer has an end."""

    def test_a_long_answer_is_cut_and_counts_as_cut(self) -> None:
        answer = Completion("rain, " * 50_000)
        assert (len(answer.text), answer.finish_reason) == (65_536, "length")
        assert Completion("rain, " * 50_000, "content_filter").finish_reason == "content_filter"
        assert Completion("rain").finish_reason == "stop"

    def test_a_long_error_is_cut(self) -> None:
        assert len(Completion("", "error", error="no \ud800 " * 9_000).error.encode()) <= 2_000

    def test_what_a_journal_holds_of_a_refused_memory_is_short(self) -> None:
        text = msgspec.json.encode({"x" * 60_000: {}, **{section.name: [] for section in TASK.memory}}).decode()
        with pytest.raises(LlmAsRnnError) as caught:
            memory.read_memory(text, TASK, "json")
        assert len(caught.value.message) < 200


def test_trimming_keeps_what_fits_of_many_sentences() -> None:
    sections = (Section("Patterns", ("It rains. " * 5_000,)), Section("Recent days", ("Dry. Wet.",)))
    fitted = by_hand(budget.fit(sections, 100, {}), lambda _: "")
    assert fitted is not None
    assert fitted.tokens == count(str(Memory(fitted.sections))) <= 100
    assert fitted.sections[0].items[0].startswith("It rains. It rains.")
    assert fitted.sections[1].items == ("Dry. Wet.",)
