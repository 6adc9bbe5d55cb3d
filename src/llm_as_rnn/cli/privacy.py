"""What a report leaves out that is to be shown to others: keys, logins, and who somebody is."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from llm_as_rnn.engines.secrecy import HIDDEN, Redactor, address, credentials

KEYS = ("OPENAI_API_KEY", "LLM_AS_RNN_KEY", "HF_TOKEN")
"""Variables that hold a secret."""

URLS = ("OPENAI_BASE_URL", "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "RAY_ADDRESS")
"""Variables that hold an address, and so perhaps a login."""

_OF_OTHERS = re.compile(r"((?:^|(?<=[^\w]))(?:/home/|/Users/|[A-Za-z]:\\+Users\\+))[^/\\\s'\"]+")


def hider(urls: Iterable[str] = ()) -> Callable[[str], str]:
    """Give what takes secrets and users' names out of a text.

    Parameters
    ----------
    urls : iterable of str
        Addresses that were given, besides those of the environment.
    """
    keys = [os.environ.get(name, "").strip() for name in KEYS]
    named = [*urls, *(os.environ.get(name, "") for name in URLS)]
    secret = Redactor([*keys, *(part for url in named for part in credentials(address(url)))])
    names = list(_names())

    def hide(text: str) -> str:
        text = secret(text)
        for home, shown in names:
            text = re.sub(home, shown, text)
        return _OF_OTHERS.sub(rf"\1{HIDDEN}", text)

    return hide


def hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """Take secrets out of all texts of a JSON value.

    >>> hidden({"a": ["b", 1]}, str.upper)
    {'a': ['B', 1]}
    """
    match value:
        case str():
            return hide(value)
        case dict():
            return {name: hidden(part, hide) for name, part in value.items()}
        case list() | tuple():
            return [hidden(part, hide) for part in value]
    return value


def _names() -> Iterator[tuple[str, str]]:
    """Give patterns for where a path tells who somebody is, and what stands there instead."""
    home = str(Path.home())
    if len(home) > 1:
        yield rf"(?<![\w/\\]){re.escape(home)}(?![\w-])", "~"
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # nobody has a name here: in a container, say
        return
    yield rf"(?<=[/\\]){re.escape(user)}(?=[/\\])", HIDDEN
