"""The objects of a JSON file: a list of them, or one on each line. Each comes with the line that it begins in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from llm_as_rnn.core.door import BYTE_ORDER_MARK
from llm_as_rnn.core.errors import DatasetError

_BLANKS = re.compile(r"[ \t\r\n]*")
_NO_JSON = "JSON knows neither NaN nor infinity: write null"
_AS_LIST = 'write a list of objects: [{"column": value, ...}, ...]'


def objects(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""Give the objects of a file; its first sign, and not its name, tells whether they are in a list.

    Parameters
    ----------
    path : Path
        The file's name, for messages.
    text : str
        What it holds.

    Raises
    ------
    DatasetError
        If something else stands there; the message names the line.

    Examples
    --------
    >>> list(objects(Path("t.json"), '[{"a": 1},\n {"a": 2}]'))
    [(1, {'a': 1}), (2, {'a': 2})]
    >>> list(objects(Path("t.jsonl"), '{"a": 1}\n{"a": 2}'))
    [(1, {'a': 1}), (2, {'a': 2})]
    """
    return _in_list(path, text) if text.lstrip(f"{BYTE_ORDER_MARK} \t\r\n").startswith("[") else _on_lines(path, text)


def _on_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, given in enumerate(text.split("\n"), 1):
        bare = given.removeprefix(BYTE_ORDER_MARK)
        if not bare.strip():
            continue
        try:
            value = msgspec.json.decode(bare)
        except (msgspec.DecodeError, RecursionError) as error:
            no_json = "NaN" in bare or "Infinity" in bare
            hint = _NO_JSON if no_json else "write one JSON object on each line, or a list of objects"
            raise DatasetError(f"{path}, line {line}: {error}", hint) from error
        if not isinstance(value, dict):
            raise DatasetError(f"{path}, line {line}: not a JSON object", 'write {"column": value, ...} on each line')
        yield line, value


def _in_list(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    place = _after_blanks(text, text.index("[") + 1)
    line, counted = 1, 0
    while text[place : place + 1] != "]":
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, place = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}, line {error.lineno}: {error.msg}", _AS_LIST) from error
        except (ValueError, RecursionError) as error:
            hint = _NO_JSON if str(error) == _NO_JSON else _AS_LIST
            raise DatasetError(f"{path}, line {line}: {'not JSON' if hint == _NO_JSON else error}", hint) from error
        if not isinstance(value, dict):
            raise DatasetError(f"{path}, line {line}: not a JSON object", _AS_LIST)
        yield line, value
        place = _after_blanks(text, place)
        if text[place : place + 1] == ",":
            place = _after_blanks(text, place + 1)
        elif text[place : place + 1] != "]":
            line += text.count("\n", counted, place)
            raise DatasetError(f"{path}, line {line}: the list breaks off, or lacks a comma", _AS_LIST)
    behind = _after_blanks(text, place + 1)
    if behind < len(text):
        line += text.count("\n", counted, behind)
        raise DatasetError(f"{path}, line {line}: something stands behind the list", "write one list alone")


def _after_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return place if found is None else found.end()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(_NO_JSON)


_DECODER = json.JSONDecoder(parse_constant=_refuse)
