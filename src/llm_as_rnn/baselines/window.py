"""Prompts that fit the engine's context window: as many entries as there is room for."""

from __future__ import annotations

from collections.abc import Callable

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.method import Calls, count_tokens

MARGIN = 64
"""Tokens left free for what a chat template adds around the messages."""

Messages = tuple[Message, ...]


def fitted(build: Callable[[int], Messages], entries: int, window: int, answer: int) -> Calls[tuple[Messages, int]]:
    """Build a prompt without more of its entries than have to go; find how many by bisection.

    Parameters
    ----------
    build : callable
        Gives the prompt without so many of its entries.
    entries : int
        How many there are.
    window : int
        The engine's context window, in tokens.
    answer : int
        The most tokens of the answer.

    Returns
    -------
    tuple of Message, int
        The prompt, and how many entries it lacks. Where it does not fit without any, it lacks all.
    """
    best = build(0)
    fits = yield from _fits(best, window - answer - MARGIN)
    if fits or not entries:
        return best, 0
    low, high = 1, entries
    best = build(high)
    while low < high:
        middle = (low + high) // 2
        messages = build(middle)
        fits = yield from _fits(messages, window - answer - MARGIN)
        low, high, best = (low, middle, messages) if fits else (middle + 1, high, best)
    return best, high


def _fits(messages: Messages, room: int) -> Calls[bool]:
    tokens = yield from count_tokens("\n\n".join(message.content for message in messages))
    return tokens <= room
