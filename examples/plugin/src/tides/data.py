"""A dataset: sequences of steps, cut from data that is made of a seed."""

from __future__ import annotations

import math
import random

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Step

HARBOURS = {"development": ("Husum", "Emden", "Bremen"), "held_out": ("Ostend", "Calais", "Dover")}
"""Each part of the data has harbours of its own: nothing that prompts are tuned on is in what is reported."""


def load(selection: Selection) -> list[Sequence]:
    """Cut sequences; the same selection gives the same ones."""
    harbours = HARBOURS[selection.split]
    if selection.sequences > len(harbours):
        raise DatasetError(
            f"there are {len(harbours)} harbours, not {selection.sequences}", "ask for fewer --sequences"
        )
    return [_sequence(name, selection) for name in harbours[: selection.sequences]]


def _sequence(harbour: str, selection: Selection) -> Sequence:
    draw = random.Random(f"{harbour} {selection.seed}")  # noqa: S311 - tides are no secret
    range_ = draw.uniform(1.0, 3.0)

    def level(t: int) -> float:
        return round(4.0 + range_ * math.cos(t / 3.0), 1)

    steps = tuple(
        Step(
            Observation(harbour, t, {"level": level(t), "moon": ("new", "waxing", "full", "waning")[t // 2 % 4]}),
            {"tide": level(t + 1)},
        )
        for t in range(selection.steps)
    )
    return Sequence(SequenceInfo(harbour, {"harbour": harbour}), steps)


TIDES = Dataset(
    name="tides",
    title="The next tide",
    source="made up by a formula",
    licence="Apache-2.0",
    predicts="the height of the next tide",
    size="3 harbours in either part, as many tides as are asked for",
    load=load,
    ready=lambda: "",  # else why it cannot be used here: "pip install ...", say
    sequences=2,
    steps=8,
)
