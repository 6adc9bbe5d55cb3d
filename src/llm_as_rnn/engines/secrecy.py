"""Keys and passwords: the one place where they are taken out of an address, and out of what a server says."""

from __future__ import annotations

import base64
import hashlib
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
"""Secrets at least this long are taken out of answers as well, and shorter ones (`PART`) that hold letters and digits:
others may be words that a model writes."""
BOUNDED = 6
"""A shorter secret is hidden where it stands alone, not inside of words."""

ESCAPED = "; write @ in it as %40, and in a login also / as %2F, ? as %3F and # as %23"
"""Goes on a hint where an address does not tell for sure where its login ends."""
NO_KEYS = frozenset(
    (
        *("none", "null", "empty", "n/a", "x", "xx", "xxx", "no-key", "no_key", "nokey", "no-key-needed", "not-needed"),
        *("no-key-required", "sk-no-key-required", "sk-no-key", "sk-none", "dummy", "dummy-key", "sk-dummy", "fake"),
        *("fake-key", "sk-fake", "test", "test-key", "sk-test", "local", "localhost", "placeholder", "unused", "any"),
        *("anything", "key", "api-key", "api_key", "ollama", "lm-studio", "lmstudio", "vllm", "sglang", "llama.cpp"),
    )
)
"""What stands for a key where none is needed, in lower case: no secrets, but words that messages need."""

_MASK = re.compile(r"[*\u2022\u2026]{2,}|\.{3,}|\u2026")
_ROUNDS = 100_000
"""Of hashing what tells accounts apart: a short password must not be found by trying."""
_EDGE = 3
"""So many characters of a secret beside a mask give it away."""
_LONGEST = 256
"""Nobody shows more of a secret before or after a mask."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OF_SECRETS = re.compile(
    r"(?:key|token|sig|signature|secret|pass\w*|pwd?|auth\w*|cred\w*|code|login|session\w*)$", re.IGNORECASE
)
"""Names of what is secret in a query, however short it is."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class Address(NamedTuple):
    """A server's address, and apart from it what must never be shown.

    Attributes
    ----------
    url : str
        For messages, records and keys: without login, query and fragment, and without a slash at its end. Where it
        cannot be told where the login ends, ``***@`` stands for all before the last ``@``, and there is no host.
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
        """The host's name; empty if there is none, or none for sure."""
        with suppress(ValueError):
            return "" if "@" in self.url else urlsplit(self.url).hostname or ""
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
    written = text.strip()
    scheme = found[0] if (found := _SCHEME.match(written)) else ""
    login, at, rest = written[len(scheme) :].rpartition("@")
    place, _, query = rest.partition("#")[0].partition("?")
    unsure = HIDDEN + at if at and not _is_login(login) else ""
    user, _, password = login.partition(":")
    url = f"{scheme}{unsure}{place.rstrip('/')}"
    return Address(url, (unquote(user), unquote(password)) if at else None, query)


def credentials(where: Address) -> list[str]:
    """List what must not be shown of an address: its password, or the user in its place, and keys in its query."""
    user, password = where.login or ("", "")
    alone = [user, f"{user}:"] if user else []
    return [*([password, f"{user}:{password}"] if password else alone), *_asked(where.query)]


def account(where: Address) -> str:
    """Give what tells an address's login and query apart from others, and does not tell them; empty if it has neither.

    Examples
    --------
    >>> account(address("http://host/v1"))
    ''
    >>> account(address("http://host/v1?tenant=a")) == account(address("http://host/v1?tenant=b"))
    False
    """
    if where.login is None and not where.query:
        return ""
    told = json.dumps([where.login, where.query]).encode()
    return hashlib.pbkdf2_hmac("sha256", told, where.url.encode("utf-8", "replace"), _ROUNDS).hex()


def _is_login(text: str) -> bool:
    """Tell whether what stands before an address's last ``@`` is a login for sure, and no host with a path.

    A password may hold what it should have escaped, as long as what follows the first colon can be no port.

    Examples
    --------
    >>> [_is_login(text) for text in ("ann:p@ss", "ann:pa/ss", "ann:pa#ss", "ann:1234/w0rd", "host/v1", "host:80/v1/")]
    [True, True, True, False, False, False]
    """
    host = re.split(r"[/?#]", text, maxsplit=1)[0]
    if host == text:
        return True
    port = host.partition(":")[2]
    return bool(port) and not port.isdigit() and not host.startswith("[") and "@" not in text


def _asked(query: str) -> Iterator[str]:
    """Give what is secret in a query, or may be."""
    for part in query.split("&"):
        name, named, value = part.partition("=")
        if not named:
            name, value = "", name
        if len(value) >= PART or _OF_SECRETS.search(name):
            yield value


class Redactor:
    """Hides secrets in what others say.

    Parameters
    ----------
    secrets : iterable of str
        Keys and passwords; empty ones are none, and neither are `NO_KEYS`.

    Examples
    --------
    >>> hide = Redactor(["sk-12345-abcdefgh-67890"])
    >>> hide("Incorrect API key provided: sk-12345-abcdefgh-67890.")
    'Incorrect API key provided: ***.'
    >>> hide("the key sk-12******7890 is wrong, so is 45-abcdefgh")
    'the key *** is wrong, so is ***'
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        written = {form for secret in secrets if secret.casefold() not in NO_KEYS for form in _forms(secret) if form}
        self._secrets = sorted(written, key=len, reverse=True)
        self._sure = list(filter(_is_sure, self._secrets))
        self._parts = {part for secret in self._secrets for part in _parts(secret)}
        self._ends, self._sure_ends = _Ends.of(self._secrets), _Ends.of(self._sure)

    def __call__(self, text: str) -> str:
        """Hide them in a message, and parts of them that give them away."""
        for secret in self._secrets:
            if len(secret) >= BOUNDED:
                text = text.replace(secret, HIDDEN)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
        return self._without_parts(self._ends.hidden(text, _EDGE))

    def answer(self, text: str) -> str:
        """Hide them in what a model wrote, which may be any text: whole or masked, if they can be nothing else."""
        for secret in self._sure:
            text = text.replace(secret, HIDDEN)
        return self._sure_ends.hidden(text, PART)

    def body(self, content: bytes) -> bytes:
        """Hide them in an answer, where they stand whole and can be nothing else."""
        for secret in self._secrets:
            if len(secret) >= SURE:
                content = content.replace(secret.encode("utf-8", "replace"), HIDDEN.encode())
        return content

    def _without_parts(self, text: str) -> str:
        """Hide what is part of a secret, unless it is a word: such may stand in any message."""
        if not self._parts:
            return text
        found: list[list[int]] = []  # from where to where the text is part of a secret
        for place in range(len(text) - PART + 1):
            if text[place : place + PART] in self._parts:
                if found and place <= found[-1][1]:
                    found[-1][1] = place + PART
                else:
                    found.append([place, place + PART])
        kept, done = [], 0
        for start, end in found:
            if not _WORD.fullmatch(text, start, end):
                kept += [text[done:start], HIDDEN]
                done = end
        return "".join(kept) + text[done:]


class _Ends(NamedTuple):
    """How secrets begin and end, by which they are told where others put a mask into them."""

    heads: frozenset[str]
    tails: frozenset[str]
    longest: int

    @classmethod
    def of(cls, secrets: Iterable[str]) -> _Ends:
        cuts = [(secret, cut) for secret in secrets for cut in range(1, min(len(secret), _LONGEST) + 1)]
        heads, tails = ({secret[:cut] for secret, cut in cuts}, {secret[-cut:] for secret, cut in cuts})
        return cls(frozenset(heads), frozenset(tails), max(map(len, heads), default=0))

    def hidden(self, text: str, least: int) -> str:
        """Hide what is left of a secret before and after a mask, where that is at least so much."""
        kept, done = [], 0
        for mask in _MASK.finditer(text) if self.longest else ():
            left = text[max(done, mask.start() - self.longest) : mask.start()]
            right = text[mask.end() : mask.end() + self.longest]
            before = next((size for size in range(len(left), 0, -1) if left[-size:] in self.heads), 0)
            after = next((size for size in range(len(right), 0, -1) if right[:size] in self.tails), 0)
            if max(before, after) >= _EDGE and before + after >= least:
                kept += [text[done : mask.start() - before], HIDDEN]
                done = mask.end() + after
        return "".join(kept) + text[done:]


def _is_sure(secret: str) -> bool:
    """Tell whether what looks like a secret can hardly be anything else."""
    mixed = any(map(str.isalpha, secret)) and any(map(str.isdigit, secret))
    return len(secret) >= (PART if mixed else SURE)


def _forms(secret: str) -> Iterator[str]:
    """Give the ways in which a secret may be written."""
    for text in (secret, unquote(secret)):
        yield text
        yield quote(text, safe="", errors="replace")
        yield json.dumps(text)[1:-1]
        yield json.dumps(text)[1:-1].replace("/", "\\/")
        yield base64.b64encode(text.encode("utf-8", "replace")).decode()


def _parts(secret: str) -> Iterator[str]:
    """Give the parts of a secret that give it away; one of words alone has none, as they may stand in any message."""
    if all(map(_WORD.fullmatch, filter(None, re.split(r"[\W_]", secret)))):
        return iter(())
    return (secret[place : place + PART] for place in range(len(secret) - PART + 1))
