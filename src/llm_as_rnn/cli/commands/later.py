"""The seam between what a command is called with and what it does: the one place where the second is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llm_as_rnn.core.shelf import load


def body(place: str) -> Callable[..., Any]:
    """Import what a command does.

    Parameters
    ----------
    place : str
        ``module:function``, in the room `cli`: nothing beneath it is reached past the import contracts. The function
        has a parameter for each argument and option of the command; ``tests/cli/test_startup.py`` compares them.

    Examples
    --------
    >>> body("models:show").__module__
    'llm_as_rnn.cli.models'
    """
    found: Callable[..., Any] = load(f"llm_as_rnn.cli.{place}")
    return found
