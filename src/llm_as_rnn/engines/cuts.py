"""Servers that cut long prompts silently: their own figures tell it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.engines.estimate import estimate_tokens

LONG = 256
"""Tokens, by the estimate, below which no prompt is looked at."""
GROWN = 1.25
"""A prompt is counted if it is so much longer than the longest that was counted before: a count is one more call."""
SURE = 0.9
"""Of the tokens that were counted; templates add to a prompt, and take nothing away."""
UNSURE = 0.6
"""Of the words, where nobody counts: a word makes at least one token."""
TIMES = 3
"""So many calls must tell the same where nobody counts: too few tokens, or one figure that no call goes beyond."""


class _Plateau(NamedTuple):
    """The most tokens ever read; fewest and most words of the prompts of which so many were read, and their number."""

    read: int
    least: int
    most: int
    times: int


class CutWatch:
    """Compares what a server read with what it was sent.

    Parameters
    ----------
    count : callable
        Counts a text's tokens.
    """

    def __init__(self, count: Callable[[str], Awaitable[int]]) -> None:
        self._count = count
        self._longest = 0.0
        self._short = 0
        self._plateau = _Plateau(0, 0, 0, 0)
        self._done = False

    async def saw(self, prompt: str, read: int, *, exact: bool) -> str:
        """Take note of a call; say what was found, once.

        Parameters
        ----------
        prompt : str
            All that was sent, without what a template adds.
        read : int
            The tokens that the server read of it, those in its cache too; 0 if it does not say.
        exact : bool
            Whether tokens can be counted.
        """
        words = len(prompt.split())
        if self._done or not read or words < LONG * UNSURE:
            return ""
        if exact:
            sent = estimate_tokens(prompt)
            if sent < LONG or read >= SURE * sent or sent < GROWN * self._longest:
                return ""
            self._longest = sent
            try:
                sent = await self._count(prompt)
            except EngineError:  # no call is lost over this
                return ""
            self._done = read < SURE * sent
        else:
            sent = words
            self._short = self._short + 1 if words >= LONG and read < UNSURE * words else 0
            self._done = self._short >= TIMES or self._is_level(words, read)
        return f"it read {read:,} tokens of about {sent:,}" if self._done else ""

    def _is_level(self, words: int, read: int) -> bool:
        """Tell whether prompts grow while the most that is read of them stays the same: there it ends."""
        if words < LONG or read < self._plateau.read:
            return False
        last = self._plateau if read == self._plateau.read else _Plateau(read, words, words, 0)
        least, most, times = min(last.least, words), max(last.most, words), last.times + 1
        self._plateau = _Plateau(read, least, most, times)
        return times >= TIMES and most >= GROWN * least
