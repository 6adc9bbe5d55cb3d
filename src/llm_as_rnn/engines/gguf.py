"""What a GGUF file says of itself, read from its header without loading the model.

The layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 2 and 3): magic, version, number of
tensors, number of entries; then each entry's name, type and value, little-endian.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
CHAT_TEMPLATE = "tokenizer.chat_template"

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
        with path.open("rb") as file:
            return _Header(file).has(CHAT_TEMPLATE)
    except (OSError, ValueError, KeyError, struct.error):
        return True


class _Header:
    """A header that is read from its beginning; whatever it says of itself, reading it comes to an end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self._values = 0
        file.seek(0)

    def has(self, wanted: str) -> bool:
        if self._file.read(len(MAGIC)) != MAGIC or self._number("<I") not in (2, 3):
            raise ValueError
        self._number("<Q")  # tensors
        for _ in range(self._number("<Q")):
            length = self._number("<Q")
            if length > _LONGEST_NAME:
                raise ValueError
            name = self._file.read(length).decode()
            kind = self._number("<I")
            if name == wanted:
                return kind == _STRING and self._number("<Q") > 0
            self._pass_value(kind)
        return False

    def _pass_value(self, kind: int, depth: int = 0) -> None:
        self._values += 1
        if self._values > _MOST_VALUES or depth > _DEEPEST:
            raise ValueError
        if kind == _STRING:
            self._pass_bytes(self._number("<Q"))
        elif kind == _ARRAY:
            inner, count = self._number("<I"), self._number("<Q")
            if inner in _SIZES:
                self._pass_bytes(_SIZES[inner] * count)
            else:
                for _ in range(count):
                    self._pass_value(inner, depth + 1)
        else:
            self._pass_bytes(_SIZES[kind])

    def _pass_bytes(self, count: int) -> None:
        if count > self._size - self._file.tell():
            raise ValueError
        self._file.seek(count, io.SEEK_CUR)

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self._file.read(struct.calcsize(form)))
        return int(number)
