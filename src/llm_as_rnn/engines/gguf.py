"""What a GGUF file says of itself, read from its header without loading the model.

The layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 2 and 3): magic, version, number of
tensors, number of entries; then each entry's name, type and value, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

MAGIC = b"GGUF"
CHAT_TEMPLATE = "tokenizer.chat_template"

_INT, _LONG = struct.Struct("<I"), struct.Struct("<Q")
_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value, by the number of its type."""

_LONGEST_NAME = 65_535

_DEEPEST = 4
"""Lists within lists; writers make one of each."""

_MOST_VALUES = 2**21
"""Values that are passed over before a header counts as none; the largest vocabularies make half as many."""


def has_chat_template(path: Path) -> bool:
    """Tell whether a model file brings a chat template: base models do not.

    Returns
    -------
    bool
        True also where the header cannot be understood: whoever loads the file then says what is wrong with it.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Header(content).has(CHAT_TEMPLATE)
    except (OSError, ValueError, KeyError, OverflowError, struct.error):
        return True


class _Header:
    """A header that is read from its beginning; whatever it says of itself, reading it comes to an end."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._size = len(content)
        self._at = 0
        self._values = 0

    def has(self, wanted: str) -> bool:
        if self._take(len(MAGIC)) != MAGIC or self._number(_INT) not in (2, 3):
            raise ValueError
        self._number(_LONG)  # tensors
        for _ in range(self._number(_LONG)):
            length = self._number(_LONG)
            if length > _LONGEST_NAME:
                raise ValueError
            name = self._take(length).decode()
            kind = self._number(_INT)
            if name == wanted:
                return kind == _STRING and self._number(_LONG) > 0
            self._pass_value(kind)
        return False

    def _pass_value(self, kind: int, depth: int = 0) -> None:
        self._count(1)
        if depth > _DEEPEST:
            raise ValueError
        if kind == _STRING:
            self._pass_bytes(self._number(_LONG))
        elif kind == _ARRAY:
            inner, count = self._number(_INT), self._number(_LONG)
            if inner in _SIZES:
                self._pass_bytes(_SIZES[inner] * count)
            elif inner == _STRING:
                self._pass_texts(count)
            else:
                for _ in range(count):
                    self._pass_value(inner, depth + 1)
        else:
            self._pass_bytes(_SIZES[kind])

    def _pass_texts(self, count: int) -> None:
        """Pass over a list of texts: vocabularies are such lists, and nearly all that a header holds."""
        self._count(count)
        content, at, length_at = self._content, self._at, _LONG.unpack_from
        for _ in range(count):
            at += _LONG.size + length_at(content, at)[0]
        self._pass_bytes(at - self._at)

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > _MOST_VALUES:
            raise ValueError

    def _pass_bytes(self, count: int) -> None:
        if count > self._size - self._at:
            raise ValueError
        self._at += count

    def _take(self, count: int) -> bytes:
        before = self._at
        self._pass_bytes(count)
        return self._content[before : self._at]

    def _number(self, form: struct.Struct) -> int:
        (number,) = form.unpack_from(self._content, self._at)
        self._at += form.size
        return int(number)
