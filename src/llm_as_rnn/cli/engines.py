"""How a command is given again that asked an engine."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.engines.secrecy import HIDDEN, address

BASE_URL = "--base-url"


def given_again(words: Iterable[str]) -> str:
    """Write a command as it can be given again, without what its server's address must not show.

    Parameters
    ----------
    words : iterable of str
        The command, without the program's name.

    Examples
    --------
    >>> given_again(["judge", "my run"])
    "llm-as-rnn judge 'my run'"
    >>> print(given_again(["run", "weather", "--base-url", "http://ann:secret@localhost/v1"]))
    llm-as-rnn run weather --base-url http://localhost/v1
    (put the login or query of --base-url back in, which is not shown)
    """
    shown, hidden, before = [], False, ""
    for word in words:
        option, equals, url = word.partition("=") if word.startswith(f"{BASE_URL}=") else (before, "", word)
        if option == BASE_URL:
            safe = _safe(url)
            hidden |= safe != url
            shown.append(f"{option}={safe}" if equals else safe)
        else:
            shown.append(word)
        before = word
    note = f"\n(put the login or query of {BASE_URL} back in, which is not shown)" if hidden else ""
    return shlex.join(["llm-as-rnn", *shown]) + note


def _safe(url: str) -> str:
    """Give an address without what must not be shown; as it is, where there is nothing of the kind."""
    try:
        shown = address(url).url
    except LlmAsRnnError:
        return HIDDEN
    return url if shown == url.strip().rstrip("/") else shown
