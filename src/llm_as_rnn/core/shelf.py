"""Things by name that are imported when they are asked for: who only lists the names waits for none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")


def load(place: str) -> Any:
    """Import what stands at a place.

    Parameters
    ----------
    place : str
        ``module:attribute``, as entry points write it.

    Raises
    ------
    ImportError
        If there is no such module.
    AttributeError
        If it has no such attribute.

    Examples
    --------
    >>> load("math:pi")
    3.141592653589793
    """
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


class Shelf(Mapping[str, T]):
    """A mapping of names to things whose places are known, each imported when it is looked up.

    An import that is written so is no way round the contracts between rooms: ``tests/cli/test_startup.py`` holds
    places to the same layers as imports.

    Parameters
    ----------
    places : mapping of str to str
        Where each of them stands, as for `load`.

    Examples
    --------
    >>> constants = Shelf[float]({"pi": "math:pi", "nobody": "there.is:none"})
    >>> list(constants), constants["pi"]
    (['pi', 'nobody'], 3.141592653589793)
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)

    def __getitem__(self, name: str) -> T:
        found: T = load(self.places[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)
