"""What other packages bring, of all kinds: how it is listed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_as_rnn import catalogue
from llm_as_rnn.core.plugins import Plugins
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.variants import read_variant
from llm_as_rnn.datasets.registry import DATASETS, SCORES
from llm_as_rnn.engines import resolve
from llm_as_rnn.recurrence import rules

KINDS: Mapping[str, Plugins[Any]] = {
    "dataset": DATASETS.plugins,
    "method": catalogue.PLUGINS,
    "rule": rules.PLUGINS,
    "engine": resolve.PLUGINS,
    "score": SCORES,
}
"""The kinds of things that packages can bring."""


class Brought(Record, frozen=True):
    """One thing that a package brings: which kind, under which name, and whose."""

    kind: str
    name: str
    package: str


def brought() -> tuple[Brought, ...]:
    """List what packages bring; none of it is imported."""
    return tuple(
        Brought(kind, offer.name, offer.package) for kind, plugins in KINDS.items() for offer in plugins.offers()
    )


def troubles() -> list[str]:
    """Say what is wrong with what packages bring, a line each; for that all of it is imported."""
    return [line for plugins in KINDS.values() for line in plugins.troubles()]


def clashes(**names: Iterable[str]) -> list[str]:
    """Say which packages bring something under a name that a command was given, and that is another's: a line each.

    Parameters
    ----------
    **names : iterable of str
        By kind (`KINDS`), what the command was given.
    """
    return [line for kind, given in names.items() for name in given for line in KINDS[kind].clashes(name)]


def clashes_of(dataset: str, methods: Iterable[str], rule: str | None, model: str) -> list[str]:
    """Say the same of what a run or a stream is given."""
    variants = [read_variant(name) for name in methods]
    return clashes(
        dataset=[dataset] if dataset else [],
        method=[variant.method for variant in variants],
        rule=[*(variant.rule for variant in variants if variant.rule), *([rule] if rule else [])],
        engine=[model.partition(":")[0]],
    )
