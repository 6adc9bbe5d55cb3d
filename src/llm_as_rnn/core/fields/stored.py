"""Fields as they stand in files: which attributes a kind has there, and the form that digests of tasks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec

from llm_as_rnn.core.fields import BaseField, Field

KINDS: dict[str, type[BaseField]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Field)}
"""The kinds by the name that files call them."""

WHOLE: dict[str, Any] = {
    "about": "",
    "options": [],
    "unit": "",
    "low": 0.0,
    "high": 0.0,
    "decimals": 1,
    "top": 5,
    "max_chars": 400,
    "last": "",
}
"""What every field once had, whatever its kind, unless its task said otherwise. It never changes,
whatever a kind comes to have, and whichever defaults."""


def whole(field: BaseField) -> dict[str, Any]:
    """Give a field as it was stored when all kinds had the same attributes.

    The digest of a task is made of this form, because runs and streams are known by digests that were made of it.

    >>> from llm_as_rnn.core.fields import Text
    >>> sorted(whole(Text("words")))
    ['about', 'decimals', 'high', 'kind', 'last', 'low', 'max_chars', 'name', 'options', 'top', 'unit']
    """
    return {**WHOLE, **msgspec.to_builtins(field)}


def strange(given: Mapping[str, Any]) -> Iterator[str]:
    """Name what a field in a task file has and its kind does not, but for what once stood in every field.

    >>> list(strange({"name": "high", "kind": "number", "options": [], "top": 3, "hihg": 9}))
    ['top', 'hihg']
    """
    kind = given.get("kind")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    for name, value in given.items() if known else ():
        if name not in attributes(kind) and not (name in WHOLE and value == WHOLE[name]):
            yield name


def attributes(kind: Any) -> tuple[str, ...]:
    """List what a field of a kind may have in a file.

    >>> attributes("text")
    ('kind', 'name', 'about', 'last', 'metrics', 'judged', 'max_chars')
    """
    return ("kind", *KINDS[kind].__struct_fields__)


def kinds_with(attribute: str) -> list[str]:
    """Name the kinds that have an attribute.

    >>> kinds_with("options"), kinds_with("colour")
    (['label', 'ranked'], [])
    """
    return [kind for kind in KINDS if attribute in attributes(kind)]
