"""What other packages bring by entry points: datasets, methods, rules, engines and scores, by name.

A package names what it brings in its ``pyproject.toml``, in the group of the kind. Nothing of it is imported before
somebody asks for it by that name. What is broken is one line where it is asked for and where all are listed, and costs
nothing else. A name that is ours stays ours; of two packages that bring the same name the first in the alphabet counts,
on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.shelf import load

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

REPAIR = "repair or remove the package that brings it"


class Offer(NamedTuple):
    """One thing that a package brings.

    Attributes
    ----------
    name : str
        What it is called here.
    place : str
        Where it stands: ``module:attribute``.
    package : str
        Whose it is, with the version.
    """

    name: str
    place: str
    package: str


class Plugins(Generic[T]):
    """Things of one kind that other packages bring.

    Parameters
    ----------
    noun : str
        What one of them is called in messages.
    group : str
        The group of entry points.
    taken : callable
        Gives the names that are ours.
    flaw : callable
        Takes a name and what stands there, and says what is wrong with it; nothing where it is one of the kind. It may
        raise a `UsageError` instead.
    error : type
        What is raised where something is wrong.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        taken: Callable[[], Collection[str]],
        flaw: Callable[[str, Any], str],
        error: type[UsageError] = UsageError,
    ) -> None:
        self.noun = noun
        self.group = group
        self._taken = taken
        self._flaw = flaw
        self._error = error
        self._loaded: dict[Offer, T] = {}

    def names(self) -> list[str]:
        """Name those that can be asked for, in the order of their packages' names; none is imported."""
        return [offer.name for offer in self._usable()]

    def get(self, name: str) -> T | None:
        """Give one by its name; None if no package brings it.

        Raises
        ------
        UsageError
            If it is broken: the line names the package.
        """
        offer = next((offer for offer in self._usable() if offer.name == name), None)
        if offer is None:
            return None
        if offer not in self._loaded:
            self._loaded[offer] = self._load(offer)
        return self._loaded[offer]

    def working(self) -> Iterator[T]:
        """Give all that can be had; what is broken is left out (see `troubles`)."""
        for name in self.names():
            with suppress(UsageError):
                if (found := self.get(name)) is not None:
                    yield found

    def clashes(self, name: str | None = None) -> list[str]:
        """Say which names are refused, of all or of one: a line each."""
        usable = list(self._usable())
        return [
            f"the {self.noun} {offer.name!r} of {offer.package} is refused: {self._why(offer)}"
            for offer in self._offers()
            if offer not in usable and name in (None, offer.name)
        ]

    def troubles(self) -> list[str]:
        """Say all that is wrong with what packages bring, a line each; for that everything is imported."""
        broken = []
        for name in self.names():
            try:
                self.get(name)
            except UsageError as error:
                broken.append(str(error))
        return [*self.clashes(), *broken]

    def offers(self) -> list[Offer]:
        """List what can be asked for, with the packages; none is imported."""
        return list(self._usable())

    def _why(self, offer: Offer) -> str:
        if not _is_name(offer.name):
            return "a name is a word, which may have hyphens"
        if offer.name in self._taken():
            return "there is one of ours"
        return f"that of {next(one.package for one in self._usable() if one.name == offer.name)} counts"

    def _usable(self) -> Iterator[Offer]:
        seen = set(self._taken())
        for offer in self._offers():
            if offer.name not in seen and _is_name(offer.name):
                seen.add(offer.name)
                yield offer

    def _offers(self) -> list[Offer]:
        offers = (Offer(point.name, point.value, _package(point)) for point in _points(self.group))
        return sorted(offers, key=lambda offer: offer.package.casefold())

    def _load(self, offer: Offer) -> T:
        named = f"the {self.noun} {offer.name!r} of {offer.package} ({offer.place})"
        try:
            found: T = load(offer.place)
            flaw = self._flaw(offer.name, found)
        except UsageError as error:
            raise self._error(f"{named} cannot be used: {error.message}", error.hint or REPAIR) from error
        except (Exception, SystemExit) as error:  # a module of somebody else's may do anything when it is imported
            raise self._error(f"{named} cannot be had: {type(error).__name__}: {error}", REPAIR) from error
        if flaw:
            raise self._error(f"{named} cannot be used: {flaw}", REPAIR)
        return found


def _points(group: str) -> Iterable[EntryPoint]:
    """Find the entry points of a group; a package whose list of them cannot be read has none."""
    from importlib import metadata  # noqa: PLC0415 - slow, and seldom needed

    try:
        return metadata.entry_points(group=group)
    except Exception:  # noqa: BLE001 - one unreadable list makes it fail in whichever way: look for the others
        found: list[EntryPoint] = []
        for package in metadata.distributions():
            with suppress(Exception):
                found += package.entry_points.select(group=group)
        return found


def _package(point: EntryPoint) -> str:
    """Name the package that an entry point is of; what is left of one may have no name."""
    with suppress(Exception):
        if point.dist and point.dist.name:
            return f"{point.dist.name} {point.dist.version}"
    return "an unknown package"


def _is_name(name: str) -> bool:
    """Tell whether a name can stand in a list, in front of a colon and in a file's name.

    >>> _is_name("tides"), _is_name("north-sea"), _is_name("a:b"), _is_name("a,b"), _is_name("")
    (True, True, False, False, False)
    """
    return bool(name) and name.replace("-", "").replace("_", "").isalnum() and not name.startswith("-")
