"""Functions of a text whose results are kept, within bounds that are counted in characters.

A number of results would be no bound: a thousand short lines are nothing, and a thousand books fill the machine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """A function of one text that gives the same again for the same text.

    Parameters
    ----------
    function : callable
        What is computed; its results are shared, and must not be changed.
    characters : int
        How many characters the texts may have together whose results are kept: those asked for last stay. The result
        for a longer text is never kept.

    Attributes
    ----------
    computed : int
        How many results were computed so far, for tests that count work.

    Examples
    --------
    >>> upper = Kept(str.upper, characters=10)
    >>> upper("rain"), upper("rain"), upper("drizzle"), upper("sun"), upper.computed
    ('RAIN', 'RAIN', 'DRIZZLE', 'SUN', 3)
    >>> len(upper)
    2
    """

    def __init__(self, function: Callable[[str], T], characters: int) -> None:
        self.computed = 0
        self._function = function
        self._characters = characters
        self._results: OrderedDict[str, T] = OrderedDict()
        self._held = 0

    def __len__(self) -> int:
        return len(self._results)

    def __call__(self, text: str) -> T:
        """Give the function's result."""
        # No lock: one that another thread holds while the process forks would never open in the child. Every single
        # step is whole, and what two threads do at once is at worst computed twice.
        try:
            self._results.move_to_end(text)
            return self._results[text]
        except KeyError:
            pass
        result = self._function(text)
        self.computed += 1
        if len(text) <= self._characters:
            self._results[text] = result
            self._held += len(text)
            while self._held > self._characters:
                self._drop_oldest()
        return result

    def _drop_oldest(self) -> None:
        try:
            self._held -= len(self._results.popitem(last=False)[0])
        except KeyError:  # all is gone, and what threads added up at once was not right
            self._held = 0

    def clear(self) -> None:
        """Forget all results."""
        self._results.clear()
        self._held = 0
