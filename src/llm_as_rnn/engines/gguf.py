"""What a GGUF file says of itself, read from its header without loading the model.

The layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 2 and 3): magic, version, number of
tensors, number of entries; then each entry's name, type and value, little-endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
CHAT_TEMPLATE = "tokenizer.chat_template"

_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value, by the number of its type."""

_LONGEST_NAME = 65_535


def has_chat_template(path: Path) -> bool:
    """Tell whether a model file brings a chat template: base models do not.

    Returns
    -------
    bool
        True also where the header cannot be understood: whoever loads the file then says what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            return _has(file, CHAT_TEMPLATE)
    except (OSError, ValueError, KeyError, struct.error, UnicodeDecodeError):
        return True


def _has(file: BinaryIO, wanted: str) -> bool:
    if file.read(len(MAGIC)) != MAGIC or _number(file, "<I") not in (2, 3):
        raise ValueError
    _number(file, "<Q")  # tensors
    for _ in range(_number(file, "<Q")):
        length = _number(file, "<Q")
        if length > _LONGEST_NAME:
            raise ValueError
        name = file.read(length).decode()
        kind = _number(file, "<I")
        if name == wanted:
            return kind == _STRING and _number(file, "<Q") > 0
        _skip(file, kind)
    return False


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        file.seek(_number(file, "<Q"), 1)
    elif kind == _ARRAY:
        inner, count = _number(file, "<I"), _number(file, "<Q")
        if inner in _SIZES:
            file.seek(_SIZES[inner] * count, 1)
        else:
            for _ in range(count):
                _skip(file, inner)
    else:
        file.seek(_SIZES[kind], 1)


def _number(file: BinaryIO, form: str) -> int:
    (number,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(number)
