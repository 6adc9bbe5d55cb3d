"""Reading a model file's header comes to an end, whatever bytes stand there."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_as_rnn.engines.gguf import CHAT_TEMPLATE, has_chat_template
from tests.engines.test_families import GEMMA, gguf

HUGE = (2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


def header(*entries: tuple[str, int, bytes], count: int | None = None) -> bytes:
    names = [(name.encode(), kind, value) for name, kind, value in entries]
    body = b"".join(
        struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value for name, kind, value in names
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries) if count is None else count) + body


def nested(depth: int) -> bytes:
    return b"".join(struct.pack("<IQ", 9, 1) for _ in range(depth)) + struct.pack("<IQ", 0, 0)


@pytest.mark.parametrize(("length", "there"), [(None, False), (0, False), (12, True)])
def test_a_template_is_found_behind_a_vocabulary(tmp_path: Path, length: int | None, there: bool) -> None:
    words = b"".join(struct.pack("<Q", len(word)) + word for word in (b"", b"a", "é".encode(), b"GGUF" * 100))
    entries = [
        ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 4) + words),
        ("lists of texts", 9, struct.pack("<IQIQ", 9, 1, 8, 4) + words),
        ("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 2) + bytes(8)),
        ("general.name", 8, struct.pack("<Q", 1) + b"m"),
    ]
    if length is not None:
        entries.append((CHAT_TEMPLATE, 8, struct.pack("<Q", length) + b"x" * length))
    path = tmp_path / "m.gguf"
    path.write_bytes(header(*entries))
    assert has_chat_template(path) == there


@pytest.mark.parametrize("huge", HUGE)
def test_figures_beyond_the_file_end_the_reading(tmp_path: Path, huge: int) -> None:
    number = struct.pack("<Q", huge)
    zeros = bytes(200_000)
    for content in (
        header(count=huge) + zeros,
        header(("text", 8, number)) + zeros,
        header(("bytes", 9, struct.pack("<I", 0) + number)) + zeros,
        header(("texts", 9, struct.pack("<I", 8) + number)) + zeros,
        header(("lists", 9, struct.pack("<I", 9) + number)) + zeros,
        header(("lists of nothing", 9, struct.pack("<I", 9) + number + struct.pack("<IQ", 8, 0) * 9)) + zeros,
    ):
        path = tmp_path / "m.gguf"
        path.write_bytes(content)
        assert has_chat_template(path)


@pytest.mark.parametrize("depth", [10, 2_000, 100_000])
def test_lists_in_lists_without_end_are_not_followed(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(header(("deep", 9, nested(depth))))
    assert has_chat_template(path)


@pytest.mark.parametrize("length", [2**62, 2**63, 2**64 - 9])
def test_a_text_that_is_longer_than_any_file_is_given_up(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(header(("texts", 9, struct.pack("<IQQ", 8, 3, length))))
    assert has_chat_template(path)


def test_a_file_of_empty_texts_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(header(("texts", 9, struct.pack("<IQ", 8, 2**40))))
    with path.open("r+b") as file:
        file.truncate(2**33)  # eight gigabytes of zeros that take no room
    assert has_chat_template(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=4),
    st.floats(0, 1),
)
def test_any_change_of_a_header_is_read_or_left_to_llama_cpp(
    tmp_path: Path, changes: list[tuple[float, bytes]], part: float
) -> None:
    content = bytearray(gguf(tmp_path / "whole.gguf", template=GEMMA).read_bytes())
    for share, put in changes:
        place = int(share * len(content))
        content[place : place + len(put)] = put
    path = tmp_path / "m.gguf"
    path.write_bytes(content[: int(part * len(content))])
    assert has_chat_template(path) in (True, False)
