"""Whether a package brings something under a name that a stream or a run was given, and does not get it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_as_rnn import catalogue
from llm_as_rnn.core.plugins import Plugins
from llm_as_rnn.core.variants import read_variant
from llm_as_rnn.engines import resolve
from llm_as_rnn.recurrence import rules

KINDS: Mapping[str, Plugins[Any]] = {
    "method": catalogue.PLUGINS,
    "rule": rules.PLUGINS,
    "engine": resolve.PLUGINS,
}
"""What packages can bring that a stream uses, by kind."""


def clashes_of(methods: Iterable[str], rule: str | None, models: Iterable[str]) -> list[str]:
    """Say which packages bring something under a name that was given, and that is another's: a line each.

    Parameters
    ----------
    methods : iterable of str
        Methods, with what is said of each (``recurrent:cases``).
    rule : str, optional
        The update rule that was named besides.
    models : iterable of str
        Model strings; what stands before the colon names an engine.
    """
    variants = [read_variant(name) for name in methods]
    asked = {
        "method": [variant.method for variant in variants],
        "rule": [*(variant.rule for variant in variants if variant.rule), *([rule] if rule else [])],
        "engine": [model.partition(":")[0] for model in models],
    }
    return clashes(KINDS, asked)


def clashes(kinds: Mapping[str, Plugins[Any]], asked: Mapping[str, Iterable[str]]) -> list[str]:
    """Say the same of names by kind; each line once."""
    lines = (line for kind, names in asked.items() for name in names for line in kinds[kind].clashes(name))
    return list(dict.fromkeys(lines))
