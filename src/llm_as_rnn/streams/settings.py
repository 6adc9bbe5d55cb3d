"""What can be chosen for a live stream: how much it keeps, and how an outcome is learned that comes late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from llm_as_rnn.core.knobs import knob, knobs
from llm_as_rnn.core.records import Record

Policy = Literal["apply", "replay"]
"""How an outcome is learned that comes after others were learned.

``apply``: what it teaches is written into the present memory. One outcome, one lesson: the cheap way.
``replay``: go back to the memory before the first outcome of a later step, learn this one there, then learn the later
ones again. The memory is what it would be if outcomes had come in order; the price is their calls, once more.
"""


class Limits(Record, frozen=True):
    """How much a stream keeps. What goes beyond is given up, and said.

    Attributes
    ----------
    max_waiting : int
        Predictions that may wait. When there are more, the oldest is given up: its outcome can no longer be learned.
    remember : int
        Ids of learned and of given-up predictions that are remembered. An outcome that comes again under an id that was
        forgotten is told from a new one no longer, unless it is an automatic one.
    keep_versions : int
        Versions of the memory, the latest ones: a hundred is more than a person looks back through, and yet a stream,
        which is written whole after every outcome, stays below 2 MB with the largest memory that is usual (4096
        tokens).
    replay_limit : int
        Later outcomes that the policy ``replay`` learns again for one that came late. One that is later still is
        applied to the present memory.
    """

    max_waiting: Annotated[int, knob("Predictions that may wait.", least=1)] = 1000
    remember: Annotated[int, knob("Ids of learned outcomes that are remembered.", least=1)] = 10_000
    keep_versions: Annotated[int, knob("Versions of the memory that are kept.", least=1)] = 100
    replay_limit: Annotated[
        int, knob("Later outcomes that the policy replay learns again for a late one.", least=1)
    ] = 256


LIMITS = Limits()


class StreamSettings(Limits, frozen=True):
    """What can be chosen for a live stream, beside how its model is asked (`settings.Settings`).

    Attributes
    ----------
    policy : str
        What to do with an outcome that comes after later ones (see `Policy`).
    """

    policy: Annotated[Policy, knob("Outcomes after later ones: apply to the present memory, or replay from there.")] = (
        "apply"
    )

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> StreamSettings:
        """Take them out of all that was chosen."""
        return cls(**{name: choices[name] for name in knobs(cls)})
