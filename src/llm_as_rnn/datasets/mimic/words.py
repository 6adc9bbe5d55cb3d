"""The wing's lists of words, which stand in `words.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from llm_as_rnn.core.records import Record


class Words(Record, frozen=True):
    """What the file holds, which says what its parts mean."""

    late: tuple[str, ...]
    late_rest: tuple[str, ...]
    other: tuple[str, ...]
    sections: dict[str, str]
    services: dict[str, str]
    abbreviations: dict[str, str]
    same: dict[str, str]


@cache
def words() -> Words:
    """Read the file."""
    return msgspec.convert(tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8")), Words)
