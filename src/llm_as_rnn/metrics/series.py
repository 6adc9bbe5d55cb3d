"""Figures of a method's steps in arrays, by sequence and timestep: what means, curves and comparisons are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llm_as_rnn.core.figures import LARGEST, STEP_BACK, finite

Array = NDArray[np.float64]
Places = NDArray[np.int64]


class Series(Mapping[str, Mapping[int, float]]):
    """A figure of one method at some of its steps, as a mapping: by sequence, then by timestep.

    Parameters
    ----------
    names : sequence of str
        The sequences, in ascending order.
    sequences : array, (steps,)
        Each step's place in ``names``, ascending.
    t : array, (steps,)
        Its timestep, ascending within a sequence.
    figures : array, (steps,)
        Its figure.

    Examples
    --------
    >>> found = Series.of({"b": {0: 1.0}, "a": {1: 0.5, 0: 0.25}})
    >>> found.names, found.figures.tolist(), found["a"]
    (('a', 'b'), [0.25, 0.5, 1.0], {0: 0.25, 1: 0.5})
    """

    def __init__(self, names: Sequence[str], sequences: Places, t: Places, figures: Array) -> None:
        there, numbers = np.unique(sequences, return_inverse=True)
        self.names = tuple(names[place] for place in there)
        self.sequences: Places = numbers.astype(np.int64)
        self.t = t
        self.figures = figures
        self._bounds = np.searchsorted(self.sequences, np.arange(len(self.names) + 1))
        self._places = {name: place for place, name in enumerate(self.names)}

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[int, float]]) -> Series:
        """Give scores by sequence and timestep as arrays, in whatever order they are."""
        if isinstance(scores, Series):
            return scores
        names = sorted(scores)
        rows = [(place, t, scores[name][t]) for place, name in enumerate(names) for t in sorted(scores[name])]
        places, times, figures = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(names, np.array(places, np.int64), np.array(times, np.int64), np.array(figures, float))

    def __getitem__(self, sequence: str) -> Mapping[int, float]:
        """Give a sequence's figures by timestep."""
        part = self.part(self._places[sequence])
        return dict(zip(self.t[part].tolist(), self.figures[part].tolist(), strict=True))

    def __iter__(self) -> Iterator[str]:
        """Give the sequences."""
        return iter(self.names)

    def __len__(self) -> int:
        """How many sequences have any."""
        return len(self.names)

    def __repr__(self) -> str:
        """Show it as the mapping that it is."""
        return f"Series.of({ {name: self[name] for name in self}!r})"

    def part(self, place: int) -> slice:
        """Tell where a sequence's figures stand in the arrays."""
        return slice(int(self._bounds[place]), int(self._bounds[place + 1]))

    def among(self, names: Sequence[str]) -> Places:
        """Give each step's place among other sequences, in ascending order; -1 where its sequence is none of them."""
        places = {name: place for place, name in enumerate(names)}
        return np.array([places.get(name, -1) for name in self.names], np.int64)[self.sequences]


def unit_of(values: Array, room: float = 1.0) -> float:
    """Give what `figures.scale` gives, of an array whose sums may be as many times as large as there is room for."""
    with np.errstate(over="ignore"):
        largest = np.abs(values).max(initial=0.0) * room
    return STEP_BACK if largest > LARGEST / max(values.size, 1) else 1.0


def mean_of(values: Array) -> float:
    """Give what `figures.mean` gives: the exact sum of at least one figure, by their number."""
    unit = unit_of(values)
    return finite(math.fsum((values / unit).tolist()) / len(values) * unit)


def mean_if_any(values: Array) -> float | None:
    """Give the mean of the figures that are there (not nan); None where none is."""
    there = values[~np.isnan(values)]
    return mean_of(there) if len(there) else None


def bounded(values: Array) -> Array:
    """Give figures that stay within the range of floats, as `figures.finite` does."""
    return np.clip(values, -LARGEST, LARGEST)
