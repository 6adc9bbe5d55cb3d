"""The datasets by name: the shipped ones, those of packages that are installed, and those that are registered by hand.

Each is imported when it is asked for. A package of somebody else's brings a dataset by an entry point of the group
``llm_as_rnn.datasets``, whose name is the dataset's and whose value is where it stands (``tides.data:TIDES``); who has
no package calls `register`. Whatever scores it offers (`Dataset.extras`), tasks can then ask for by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.extras import Extra
from llm_as_rnn.core.fields.stored import KINDS
from llm_as_rnn.core.shelf import load
from llm_as_rnn.datasets.base import Dataset

GROUP = "llm_as_rnn.datasets"

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
        Where each of the first ones stands, as entry points say it.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._entries: dict[str, Dataset | str] = dict(places)
        self._searched = False

    def __getitem__(self, name: str) -> Dataset:
        if name and name not in self._entries:
            self._search()
        entry = self._entries[name]
        if isinstance(entry, str):
            entry = self._entries[name] = _load(name, entry)
        return entry

    def __contains__(self, name: object) -> bool:
        if name and name not in self._entries:
            self._search()
        return name in self._entries

    def __setitem__(self, name: str, dataset: Dataset) -> None:
        self._entries[name] = dataset

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        here = list(self._entries)
        yield from here
        self._search()
        yield from [name for name in self._entries if name not in here]

    def __len__(self) -> int:
        self._search()
        return len(self._entries)

    def _search(self) -> None:
        if self._searched:
            return
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

        self._searched = True
        for point in entry_points(group=GROUP):
            self._entries.setdefault(point.name, point.value)


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
    taken = {name for kind in KINDS.values() for name in kind.may_ask} | {extra.name for extra in extras()}
    for extra in dataset.extras:
        if extra.name in taken:
            raise DatasetError(f"dataset {dataset.name!r}: there is a score {extra.name!r} already", "rename it")
        if extra.kind not in KINDS:
            hint = f"choose from {', '.join(KINDS)}"
            raise DatasetError(f"dataset {dataset.name!r}: no field is of the kind {extra.kind!r}", hint)
    DATASETS[dataset.name] = dataset


def extras() -> Iterator[Extra]:
    """Give the scores that datasets offer, those that are shipped first: who stops at one imports no more than that."""
    for source in DATASETS.values():
        yield from source.extras


def _load(name: str, place: str) -> Dataset:
    try:
        found = load(place)
    except (ImportError, AttributeError) as error:
        hint = "repair or remove the package that brings it"
        raise DatasetError(f"dataset {name!r} cannot be had from {place}: {error}", hint) from error
    if not isinstance(found, Dataset) or found.name != name:
        raise DatasetError(f"{place} is no dataset of the name {name!r}", "correct the entry point of its package")
    return found
