"""States that were kept, read as a method has them now: its task may have changed since, and with that who advises."""

from __future__ import annotations

from typing import Any

import msgspec

from llm_as_rnn.core.method import Method
from llm_as_rnn.core.records import SequenceInfo
from llm_as_rnn.trust.advised import Advised
from llm_as_rnn.trust.assured import Assured


def read_state(method: Method, kept: Any, sequence: SequenceInfo) -> Any:
    """Read a method's state.

    Parameters
    ----------
    method : Method
        Whose it is.
    kept : object
        The state in plain values, as its JSON has it.
    sequence : SequenceInfo
        Its sequence: where an adviser begins that the state does not know yet (see `Advised.fitting`).

    Raises
    ------
    msgspec.ValidationError
        If it is no state of such a method.
    UsageError
        If it does not say whose advice it is.
    """
    return msgspec.convert(_fitting(method, kept, sequence), method.state_type)


def _fitting(method: Method, kept: Any, sequence: SequenceInfo) -> Any:
    if isinstance(method, Advised):
        return method.fitting(kept, sequence)
    if isinstance(method, Assured) and isinstance(kept, dict) and "own" in kept:
        return {**kept, "own": _fitting(method.method, kept["own"], sequence)}
    return kept
