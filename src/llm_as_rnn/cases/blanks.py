"""Lines with a blank: what two lines have in common that differ in one place alone.

A line with a blank says as much as all the lines that it fits, in fewer tokens. (It is their least general
generalisation, Plotkin 1970, where only one run of words may be left out.)
"""

from __future__ import annotations

from llm_as_rnn.core.alignment import WORD, tokens

BLANK = "\N{HORIZONTAL ELLIPSIS}"
"""What stands for the words that differ."""

FILLERS = ("bovi", "tarel", "ulok")
"""Words without a meaning, for the place of a blank."""

FEWEST_WORDS = 2
"""A line that is left with fewer words than this says too little."""


def blanked(one: str, other: str) -> str | None:
    """Write what two lines have in common, a blank for what differs; None if that is more than one run of words.

    Marks on both sides of the blank are left out with it. A line that has a blank already stays as it is, if it fits.

    Examples
    --------
    >>> blanked("< ship > can be used how ?", "< big flag > can be used how ?")
    '… can be used how ?'
    >>> blanked("… can be used how ?", "< tree > can be used how ?")
    '… can be used how ?'
    >>> blanked("rain, high 9", "fog, high 8") is None
    True
    """
    words, others = tokens(one), tokens(other)
    shorter = min(len(words), len(others))
    start = _alike(words, others, shorter)
    end = len(words) - _alike(words[::-1], others[::-1], shorter - start)
    gap, other_gap = words[start:end], others[start : len(others) - (len(words) - end)]
    if not gap or not other_gap or set(gap) & set(other_gap):
        return None
    spans = [match.span() for match in WORD.finditer(one)]
    if len(spans) != len(words):
        return None
    while start and end < len(words) and _is_mark(words[start - 1]) and _is_mark(words[end]):
        start, end = start - 1, end + 1
    if sum(not _is_mark(word) for word in (*words[:start], *words[end:])) < FEWEST_WORDS:
        return None
    before = one[: spans[start][0]]
    after = one[spans[end - 1][1] :]
    return f"{before}{BLANK}{after}"


def aligned(one: str, other: str) -> tuple[str, str]:
    """Leave out of one line what a blank in the other stands for, so that the rest can be compared.

    >>> aligned("… means what ?", "< ship > means what ?")
    ('… means what ?', ' means what ?')
    >>> aligned("… means what ?", "what is < ship > ?")
    ('… means what ?', 'what is < ship > ?')
    """
    if BLANK in one:
        return one, _without_run(other, one)
    return (_without_run(one, other), other) if BLANK in other else (one, other)


def filled(pattern: str, line: str) -> list[str]:
    """Write a line with a blank once for each of the `FILLERS`, in the marks of a line that it fits.

    So a model sees that it holds whatever stands there: a blank itself, or letters in its place, small models follow
    less (docs/results/memory.md). A line that does not fit gives nothing.

    >>> filled("… means what ?", "< big ship > means what ?")
    ['< bovi > means what ?', '< tarel > means what ?', '< ulok > means what ?']
    """
    run = _run(line, pattern)
    words = [match.span() for match in WORD.finditer(line, *run) if not _is_mark(match[0])] if run else []
    if not run or not words:
        return []
    before, after = line[run[0] : words[0][0]], line[words[-1][1] : run[1]]
    return [pattern.replace(BLANK, f"{before}{filler}{after}", 1) for filler in FILLERS]


def _without_run(line: str, pattern: str) -> str:
    run = _run(line, pattern)
    return line if run is None else line[: run[0]] + line[run[1] :]


def _run(line: str, pattern: str) -> tuple[int, int] | None:
    """Find where in a line that is stands which a pattern leaves blank; None if the pattern does not fit."""
    words, parts = tokens(line), tokens(pattern)
    if BLANK not in parts:
        return None
    place = parts.index(BLANK)
    before, after = parts[:place], parts[place + 1 :]
    rest = len(words) - len(after)
    if rest <= place or words[:place] != before or words[rest:] != after:
        return None
    spans = [match.span() for match in WORD.finditer(line)]
    return None if len(spans) != len(words) else (spans[place][0], spans[rest - 1][1])


def _alike(ones: tuple[str, ...], others: tuple[str, ...], most: int) -> int:
    """Count how many words are the same from the start on."""
    return next((n for n in range(most) if ones[n] != others[n]), most)


def _is_mark(token: str) -> bool:
    return not any(sign.isalnum() for sign in token) and token != BLANK
