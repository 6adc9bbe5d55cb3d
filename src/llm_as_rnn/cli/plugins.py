"""What other packages bring, of all kinds: how it is listed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_as_rnn.core.plugins import Plugins
from llm_as_rnn.core.records import Record
from llm_as_rnn.datasets.registry import DATASETS, SCORES
from llm_as_rnn.streams import brought
from llm_as_rnn.streams.brought import clashes

KINDS: Mapping[str, Plugins[Any]] = {"dataset": DATASETS.plugins, **brought.KINDS, "score": SCORES}
"""The kinds of things that packages can bring."""


class Brought(Record, frozen=True):
    """One thing that a package brings: which kind, under which name, and whose."""

    kind: str
    name: str
    package: str


def listed() -> tuple[Brought, ...]:
    """List what packages bring; none of it is imported."""
    return tuple(
        Brought(kind, offer.name, offer.package) for kind, plugins in KINDS.items() for offer in plugins.offers()
    )


def troubles() -> list[str]:
    """Say what is wrong with what packages bring, a line each; for that all of it is imported."""
    return [line for plugins in KINDS.values() for line in plugins.troubles()]


def clashes_of(dataset: str, methods: Iterable[str], rule: str | None, *models: str) -> list[str]:
    """Say which packages bring something under a name that a run was given, and that is another's: a line each."""
    return [*(clashes(KINDS, {"dataset": [dataset]}) if dataset else []), *brought.clashes_of(methods, rule, models)]


def refused() -> list[str]:
    """Say which names that packages bring are refused, a line each; none is imported."""
    return [line for plugins in KINDS.values() for line in plugins.clashes()]
