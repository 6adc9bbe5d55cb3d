"""Keys and passwords: the one place where they are taken out of an address, and out of what a server says."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "***"
"""What stands where a secret was."""

PART = 8
"""So many characters of a secret in a row give it away."""
SURE = 16
"""Secrets at least this long are taken out of answers as well: a shorter one may be a word that a model writes."""
BOUNDED = 6
"""A shorter secret is hidden where it stands alone, not inside of words."""

_MASK = re.compile(r"[*\u2022\u2026]{2,}|\.{3,}|\u2026")
_EDGE = 3


class Address(NamedTuple):
    """A server's address, and apart from it what must never be shown.

    Attributes
    ----------
    url : str
        For messages, records and keys: without login, query and fragment, and without a slash at its end.
    login : tuple of str or None
        User and password, as they are sent.
    query : str
        What stood after a question mark; it goes with every request, and may hold a key.
    """

    url: str
    login: tuple[str, str] | None = None
    query: str = ""

    @property
    def host(self) -> str:
        """The host's name; empty if there is none."""
        with suppress(ValueError):
            return urlsplit(self.url).hostname or ""
        return ""

    @property
    def scheme(self) -> str:
        """How it is spoken to (``http``); empty if that cannot be read."""
        with suppress(ValueError):
            return urlsplit(self.url).scheme
        return ""


def address(text: str) -> Address:
    """Take an address apart; one that is broken is shown without its login all the same.

    Examples
    --------
    >>> address("https://ann:s%20cret@models.example:8000/v1/?key=abc")
    Address(url='https://models.example:8000/v1', login=('ann', 's cret'), query='key=abc')
    >>> address("ann:secret@models.example/v1").url
    'models.example/v1'
    """
    rest, _, _ = text.strip().partition("#")
    scheme, mark, rest = rest.partition("://") if "://" in rest else ("", "", rest)
    login, at, place = _split_login(rest)
    place, _, query = place.partition("?")
    user, _, password = login.partition(":")
    return Address(f"{scheme}{mark}{place.rstrip('/')}", (unquote(user), unquote(password)) if at else None, query)


def credentials(where: Address) -> list[str]:
    """List what must not be shown of an address: its password, or the user in its place, and keys in its query."""
    user, password = where.login or ("", "")
    asked = [value for part in where.query.split("&") if len(value := part.partition("=")[2]) >= PART]
    alone = [user, f"{user}:"] if user else []
    return [*([password, f"{user}:{password}"] if password else alone), *asked]


def _split_login(rest: str) -> tuple[str, str, str]:
    """Split user and password off, also a password that holds the slash that it should have escaped."""
    host, _, _ = rest.partition("/")
    if "@" in host:
        login, at, name = host.rpartition("@")
        return login, at, name + rest[len(host) :]
    if "@" in rest and ":" in host and not host.rpartition(":")[2].isdigit():
        return rest.rpartition("@")
    return "", "", rest


class Redactor:
    """Hides secrets in what others say.

    Parameters
    ----------
    secrets : iterable of str
        Keys and passwords; empty ones are none.

    Examples
    --------
    >>> hide = Redactor(["sk-12345-abcdefgh-67890"])
    >>> hide("Incorrect API key provided: sk-12345-abcdefgh-67890.")
    'Incorrect API key provided: ***.'
    >>> hide("the key sk-12******7890 is wrong, so is 45-abcdefgh")
    'the key *** is wrong, so is ***'
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        written = {form for secret in secrets if secret for form in _forms(secret)}
        self._secrets = sorted(written, key=len, reverse=True)
        self._parts = {part for secret in self._secrets for part in _parts(secret)}

    def __call__(self, text: str) -> str:
        """Hide them in a message, and parts of them that give them away."""
        for secret in self._secrets:
            if len(secret) >= BOUNDED:
                text = text.replace(secret, HIDDEN)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
        return self._without_edges(self._without_parts(text))

    def body(self, content: bytes) -> bytes:
        """Hide them in an answer, where they stand whole and can be nothing else."""
        for secret in self._secrets:
            if len(secret) >= SURE:
                content = content.replace(secret.encode(), HIDDEN.encode())
        return content

    def _without_parts(self, text: str) -> str:
        if not self._parts:
            return text
        covered = 0  # up to here the text is part of a secret
        kept: list[str] = []
        for place in range(len(text)):
            if text[place : place + PART] in self._parts:
                if place >= covered:
                    kept.append(HIDDEN)
                covered = place + PART
            if place >= covered:
                kept.append(text[place])
        return "".join(kept)

    def _without_edges(self, text: str) -> str:
        """Hide what is left of a secret before and after a mask that others put into it."""
        kept, done = [], 0
        longest = len(self._secrets[0]) if self._secrets else 0
        for mask in _MASK.finditer(text):
            left = text[max(done, mask.start() - longest) : mask.start()]
            right = text[mask.end() : mask.end() + longest]
            before = max((_shared_end(left, secret) for secret in self._secrets), default=0)
            after = max((_shared_start(right, secret) for secret in self._secrets), default=0)
            if max(before, after) >= _EDGE:
                kept += [text[done : mask.start() - before], HIDDEN]
                done = mask.end() + after
        return "".join(kept) + text[done:]


def _forms(secret: str) -> Iterator[str]:
    """Give the ways in which a secret may be written."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode("utf-8", "replace")).decode()


def _parts(secret: str) -> Iterator[str]:
    return (secret[place : place + PART] for place in range(len(secret) - PART + 1))


def _shared_end(text: str, secret: str) -> int:
    """Count the characters at a text's end with which a secret begins."""
    return next((length for length in range(len(secret), 0, -1) if text.endswith(secret[:length])), 0)


def _shared_start(text: str, secret: str) -> int:
    """Count the characters at a text's start with which a secret ends."""
    return next((length for length in range(len(secret), 0, -1) if text.startswith(secret[-length:])), 0)
