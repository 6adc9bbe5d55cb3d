"""The datasets by name: the shipped ones, those of packages that are installed, and those that are registered by hand.

Each is imported when it is asked for. A package of somebody else's brings a dataset by an entry point of the group
``llm_as_rnn.datasets``, whose name is the dataset's and whose value is where it stands (``tides.data:TIDES``); who has
no package calls `register`. Whatever scores it offers (`Dataset.extras`), tasks can then ask for by name. A score that
goes with no dataset is brought by an entry point of the group ``llm_as_rnn.scores``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.extras import Extra
from llm_as_rnn.core.fields.stored import KINDS
from llm_as_rnn.core.plugins import Plugins
from llm_as_rnn.core.shelf import load
from llm_as_rnn.datasets.base import Dataset

GROUP = "llm_as_rnn.datasets"
SCORES_GROUP = "llm_as_rnn.scores"

SHIPPED = {
    "weather": "weather:WEATHER",
    "weather-text": "weather_text:WEATHER_TEXT",
    "weather-hourly": "weather_hourly:WEATHER_HOURLY",
    "pbc": "pbc:PBC",
    "sp500": "sp500:SP500",
    "mimic": "mimic:MIMIC",
    "finer": "publishers.finer:FINER",
    "ddxplus": "publishers.ddxplus:DDXPLUS",
    "banking77": "publishers.banking77:BANKING77",
    "intents": "publishers.memprompt:INTENTS",
    "probe-recall": "probes:RECALL",
    "probe-drift": "probes:DRIFT",
    "probe-noise": "probes:NOISE",
}
"""Where in this room each shipped dataset stands."""


class Datasets(MutableMapping[str, Dataset]):
    """Datasets by name, each imported when it is looked up, and packages only searched when no other name is left.

    Parameters
    ----------
    places : mapping of str to str
        Where each of ours stands, as entry points say it.

    Attributes
    ----------
    plugins : Plugins
        What other packages bring.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._entries: dict[str, Dataset | str] = dict(places)
        self.plugins: Plugins[Dataset] = Plugins("dataset", GROUP, lambda: places, _flaw_of_plugin, DatasetError)
        self._brought: list[str] | None = None

    def __getitem__(self, name: str) -> Dataset:
        if name not in self._entries:
            found = self.plugins.get(name) if name and name in self._names() else None
            if found is None:
                raise KeyError(name)
            self._entries[name] = found
        entry = self._entries[name]
        if isinstance(entry, str):
            found = load(entry)
            assert isinstance(found, Dataset)  # noqa: S101 - tells mypy what stands in our own places
            entry = self._entries[name] = found
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries or (bool(name) and name in self._names())

    def __setitem__(self, name: str, dataset: Dataset) -> None:
        self._entries[name] = dataset

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        here = list(self._entries)
        yield from here
        yield from [name for name in self._names() if name not in here]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _names(self) -> list[str]:
        """Name what packages bring; they are searched once."""
        if self._brought is None:
            self._brought = self.plugins.names()
        return self._brought


def _flaw_of_plugin(name: str, found: Any) -> str:
    """Say what is wrong with a dataset that a package brings."""
    if not isinstance(found, Dataset):
        return "it is no Dataset"
    if found.name != name:
        return f"it calls itself {found.name!r}"
    return _flaw_of_scores(found.extras, _our_scores() if found.extras else frozenset())


DATASETS = Datasets({name: f"{__package__}.{place}" for name, place in SHIPPED.items()})


def dataset(name: str) -> Dataset:
    """Give a dataset by name.

    Raises
    ------
    DatasetError
        If there is none of that name, or the package that brings it is broken.
    """
    if name not in DATASETS:
        raise DatasetError(f"there is no dataset {name!r}", f"choose from {', '.join(DATASETS)}")
    return DATASETS[name]


def register(dataset: Dataset) -> None:
    """Add a dataset for this process; tasks can then name it, and ask for the scores that it offers.

    Raises
    ------
    DatasetError
        If its name is taken, or that of one of its scores, or a score is for a kind of field that there is not.
    """
    if dataset.name in DATASETS:
        raise DatasetError(f"there is a dataset {dataset.name!r} already", "give it another name")
    taken = _our_scores() | {extra.name for extra in extras()}
    if flaw := _flaw_of_scores(dataset.extras, taken):
        raise DatasetError(f"dataset {dataset.name!r}: {flaw}", "correct its scores")
    DATASETS[dataset.name] = dataset


def extras() -> Iterator[Extra]:
    """Give the scores that datasets and packages offer, those that are shipped first.

    Who stops at one imports no more than that; what is broken of somebody else's is left out.
    """
    for name in DATASETS:
        with suppress(DatasetError):
            yield from DATASETS[name].extras
    yield from SCORES.working()


def _our_scores() -> frozenset[str]:
    """Name the scores that are ours: those that any field of a kind has, and those of shipped datasets."""
    shipped = (extra.name for name in SHIPPED for extra in DATASETS[name].extras)
    return frozenset((*(name for kind in KINDS.values() for name in kind.may_ask), *shipped))


def _flaw_of_scores(offered: tuple[Extra, ...], taken: frozenset[str]) -> str:
    for extra in offered:
        if extra.name in taken:
            return f"there is a score {extra.name!r} already"
        if extra.kind not in KINDS:
            return f"no field is of the kind {extra.kind!r}, there are {', '.join(KINDS)}"
    return ""


def _flaw_of_score(name: str, found: Any) -> str:
    if not isinstance(found, Extra):
        return "it is no Extra"
    return _flaw_of_scores((found,), frozenset()) if found.name == name else f"it calls itself {found.name!r}"


SCORES: Plugins[Extra] = Plugins("score", SCORES_GROUP, _our_scores, _flaw_of_score, DatasetError)
"""Scores that other packages bring and that go with no dataset."""
