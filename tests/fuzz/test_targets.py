"""A short, fixed budget of each fuzz target; `make fuzz` runs them longer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import targets

EXAMPLES = 150
"""Inputs a target: a few seconds each."""

NAMES = sorted(targets())

ABORTING = {"parquet"}
"""Targets that some bytes end with their whole process, in a library's own code (polars allocates what a broken page
says): `make fuzz`, which gives each a process, tries them."""


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Take a seed, and change it in a few places: bits, bytes, cuts, repetitions, pieces of another."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["bit", "byte", "cut", "drop", "repeat", "insert"])):
            case "bit" if place < len(content):
                content[place] ^= 1 << draw(st.integers(0, 7))
            case "byte" if place < len(content):
                content[place] = draw(st.integers(0, 255))
            case "cut":
                del content[place:]
            case "drop":
                del content[place : place + draw(st.integers(1, 40))]
            case "repeat":
                content[place:place] = content[place : place + draw(st.integers(1, 40))]
            case _:
                content[place:place] = draw(st.sampled_from(SPICE) | st.binary(max_size=8))
    return bytes(content)


SPICE = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r\n", b"\xe2\x80\xa8", b'"', b"{", b"}", b"[", b"\\",
    b"null", b"NaN", b"1e999", b"-1e308", b"99999999999999999999", b"{{", b"{%", b"&a *a", b"<think>", b"<|channel|>",
    b"```", b",", b";", b": ", b"- ", b"\\ud800",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_read(name: str) -> None:
    for seed in targets()[name].seeds:
        targets()[name].read(seed)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*NAMES} - ABORTING))
def test_no_bytes_break_a_reader(name: str) -> None:
    target = targets()[name]

    @settings(max_examples=EXAMPLES)
    @given(mutated(target.seeds) | st.binary(max_size=200))
    def survives(content: bytes) -> None:
        target.read(content)

    survives()
