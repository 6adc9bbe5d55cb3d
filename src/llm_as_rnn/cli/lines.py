"""What ``llm-as-rnn predict`` reads and writes, wherever the stream is learned: a line in, a line or two out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TextIO

import msgspec

from llm_as_rnn.core.errors import LlmAsRnnError, UsageError

BOM = b"\xef\xbb\xbf"
"""What some editors and spreadsheets put before the first line."""

Answer = dict[str, Any]
"""A line out, before it is JSON."""


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line of input: an observation, an outcome, or both."""

    id: str | int | None = None
    x: dict[str, Any] | None = None
    y: dict[str, Any] | None = None


def open_pipes(stdin: TextIO | None, stdout: TextIO | None) -> tuple[BinaryIO, BinaryIO]:
    """Give where lines come from and answers go to; Python has nothing in the place of one that was closed."""
    if stdin is None:
        raise UsageError("standard input is closed", "give lines on it: llm-as-rnn predict ... < FILE")
    if stdout is None:
        raise UsageError("standard output is closed", "give answers a place: llm-as-rnn predict ... > FILE")
    return stdin.buffer, stdout.buffer


def lines(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give the lines with their numbers, from 1 on."""
    try:
        for number, text in enumerate(source, 1):
            yield number, text.removeprefix(BOM) if number == 1 else text
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {error.strerror}", "give lines on it") from error


def write(sink: BinaryIO, answer: Answer) -> None:
    """Write an answer, for whoever waits for it."""
    try:
        sink.write(msgspec.json.encode(answer) + b"\n")
        sink.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        hint = "make room there; what was learned is saved: send again what got no answer"
        raise UsageError(f"answers cannot be written to standard output: {error.strerror}", hint) from error


def read_about(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is JSON where it can be read as such, and else text.

    >>> read_about(("sex=f", "age=58"))
    {'sex': 'f', 'age': 58}
    """
    constant: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--about {pair!r} is not NAME=VALUE", "write --about sex=f")
        if name in constant:
            raise UsageError(f"--about names {name!r} twice", "keep one of them")
        try:
            constant[name] = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            constant[name] = value
    return constant


def answers(
    steps: Callable[[Line], Iterator[Answer]], ends: tuple[type[LlmAsRnnError], ...], number: int, text: bytes
) -> Iterator[Answer]:
    """Answer one line.

    Parameters
    ----------
    steps : callable
        Does what a line asks for, and gives the answers to it.
    ends : tuple of type
        Errors that end the stream; others are an answer.
    number : int
        The line's.
    text : bytes
        The line.
    """
    if not text.strip():
        return
    name: str | int | None = None
    try:
        line = msgspec.json.decode(text, type=Line)
        name = line.id
        if line.x is None and (line.y is None or name is None):
            raise UsageError('a line needs "x", or "id" and "y"', "see llm-as-rnn predict --help")
        for answer in steps(line):
            name = answer["id"]
            yield answer
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        yield {"id": name, "line": number, "error": f"not a line of input: {error}"}
    except LlmAsRnnError as error:
        if isinstance(error, ends):
            raise
        yield {"id": name, "line": number, "error": str(error)}


def shown(name: str | int, made: Any) -> Answer:
    """Give the answer to an observation.

    Parameters
    ----------
    name : str or int
        The id of the prediction.
    made : Prediction or PredictionView
        What was predicted.
    """
    answer: Answer = {"id": name, "status": made.status, "prediction": made.values}
    if made.problem:
        answer["problem"] = made.problem
    for part in ("distribution", "believed"):
        figures = getattr(made, part, None)
        if figures:
            answer[part] = {name: {of: round(figure, 4) for of, figure in row.items()} for name, row in figures.items()}
    chance = {name: round(figure, 4) for name, figure in made.chance.items()}
    trust = {"interval": made.interval, "among": made.among, "chance": chance, "abstained": made.abstained}
    return answer | {part: said for part, said in trust.items() if said}
