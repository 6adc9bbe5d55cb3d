"""How many tokens a text may hold, where no server tells."""

from __future__ import annotations

import math
import re

_PIECES = re.compile(r"[A-Z]?[a-z]{1,3}|[^ a-z\x80-\U0010ffff]| {2,}")


def estimate_tokens(text: str) -> int:
    r"""Estimate how many tokens a text holds, on the long side: what fits by this count nearly always fits.

    Tokenizers of today's models split a text into words first, with the space before each, and then into the parts
    of words that they know. English words make 1.3 tokens each, about one for four letters; rare words, names and
    other languages in Latin letters come in shorter parts. Most split numbers into single digits, and keep marks and
    line ends apart. Other scripts cost more the less of them a model has read: a character of two to four bytes makes
    from a third of a token to one token a byte. Hence:

    - a token for each three small letters of a word, or what is left of it;
    - a token for each other capital, digit, mark, line end, and run of spaces (a single space goes with what follows);
    - a token for each two bytes (UTF-8) of everything that is not ASCII.

    Measured on Qwen2.5 and Gemma 3 it gives 1.06 times the true count for lines of figures, 1.7 for English prose, 1.0
    to 2.6 for most other languages and scripts, and 0.9 at the least (rare names, Amharic). A model whose vocabulary
    hardly knows a script needs up to twice what this says: that one should be asked on a server that counts.

    Examples
    --------
    >>> estimate_tokens("Sky: sun, high: 12.5")
    11
    >>> estimate_tokens("Überraschung")
    5
    """
    other = "".join(character for character in text if ord(character) > 127)  # noqa: PLR2004
    return len(_PIECES.findall(text)) + math.ceil(len(other.encode("utf-8", "replace")) / 2)
