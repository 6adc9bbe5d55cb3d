"""What a dataset gives: sequences of steps, cut by a seed, from a part that the run names."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.extras import Extra, Score
from llm_as_rnn.core.records import Observation, Record, SequenceInfo, Value

T = TypeVar("T")

Split = Literal["development", "held_out"]
"""Prompts are tuned on ``development`` alone; ``held_out`` is for figures that are reported."""


class Step(Record, frozen=True):
    """x_t and, held back until the loop reveals it, y_t.

    Attributes
    ----------
    observation : Observation
        x_t.
    target : dict or None
        y_t by answer field; None where the outcome never became known.
    when : str
        What the step is dated, where the observation does not say. It is for those who read a run: the walk hands a
        method x_t and y_t alone, so that no model reads it.
    """

    observation: Observation
    target: dict[str, Value] | None
    when: str = ""


class Sequence(Record, frozen=True):
    """One sequence, in order of time."""

    info: SequenceInfo
    steps: tuple[Step, ...]


class Selection(Record, frozen=True):
    """Which sequences to cut.

    Attributes
    ----------
    sequences : int
        How many.
    steps : int
        Steps in each.
    seed : int
        Which ones.
    split : str
        From which part of the data.
    """

    sequences: int
    steps: int
    seed: int = 0
    split: Split = "development"


def stretches(name: str, days: list[T], selection: Selection, length: int) -> list[list[T]]:
    """Cut as many stretches of consecutive days as a selection wants, none of which overlap.

    Parameters
    ----------
    name : str
        The dataset's, for messages.
    days : list
        All days of the part.
    selection : Selection
        How many, and which.
    length : int
        Days in each stretch.

    Raises
    ------
    DatasetError
        If there are not enough days.
    """
    places = len(days) // length
    if selection.sequences > places:
        raise DatasetError(
            f"{name} has {len(days)} {selection.split} days: too few for {selection.sequences} sequences of "
            f"{selection.steps} steps",
            f"ask for at most {places} sequences, or for fewer steps" if places else "ask for fewer steps",
        )
    rng = random.Random(selection.seed)  # noqa: S311 - a repeatable choice, not a secret
    offset = rng.randrange(len(days) - places * length + 1)
    chosen = sorted(rng.sample(range(places), selection.sequences))
    return [days[offset + place * length :][:length] for place in chosen]


class Row(Record, frozen=True):
    """One row of a table.

    Attributes
    ----------
    line : int
        Where it begins in its file, 1-based; in Parquet the row's number.
    cells : dict of str to JSON value
        By column; None where there is nothing.
    """

    line: int
    cells: dict[str, Any]


class Brought(Record, frozen=True):
    """A file that a user brought, as it was read."""

    path: Path
    content: bytes


class Maker(Record, frozen=True):
    """How a publisher's own files become the rows of a table (see `making`).

    Attributes
    ----------
    files : tuple of str
        What each of the files is, in the order in which they are named.
    rows : callable
        Takes the files and the name of a language (empty where none was named), and gives the rows with the lines that
        they come from: what is shown, and the outcome. Raises `DatasetError`, which names the line, if a file is broken
        or another one.
    length : int
        Steps of each sequence that the rows are cut into, in their order; 0 where all of them are one.
    in_languages : bool
        Whether there are several languages to choose from.
    """

    files: tuple[str, ...]
    rows: Callable[[tuple[Brought, ...], str], list[Row]]
    length: int = 0
    in_languages: bool = False


class Dataset(Record, frozen=True):
    """A source of sequences.

    Attributes
    ----------
    name, title : str
        Its name, and a line about it.
    source, licence : str
        Where the data comes from, and on what terms.
    predicts : str
        What y is.
    size : str
        How much there is, in words.
    load : callable
        Cuts sequences; raises `DatasetError` if the data is missing or too short.
    ready : callable
        Says why the data cannot be used here, or nothing.
    sequences, steps : int
        How much a run takes where nothing else is said.
    quick_steps : int
        How many steps a quick run takes.
    quick_budget : int
        Tokens of its memory: room for a few cases.
    from_folder : callable, optional
        For data that a user has to bring: gives the dataset that reads the folder named by ``--data``.
    maker : Maker, optional
        For data that is not shipped: makes a table of its publisher's own files, which ``--data`` names, and the task's
        ``data`` section reads.
    credentialed : bool
        Whether its terms forbid sending it to third parties: engines that are not on this machine are refused.
    digest : str
        Fingerprint of the folder that it reads; empty for data that is shipped.
    extras : tuple of Extra
        Scores that the fields of a task may ask for by name, whatever data it has.
    scores : callable, optional
        Gives functions, by name, for those of them that need more than answer and outcome: the titles of a
        classification in a user's folder, say. A run adds these scores to its steps.
    """

    name: str
    title: str
    source: str
    licence: str
    predicts: str
    size: str
    load: Callable[[Selection], list[Sequence]]
    ready: Callable[[], str]
    sequences: int = 8
    steps: int = 12
    quick_steps: int = 8
    quick_budget: int = 128
    from_folder: Callable[[Path], Dataset] | None = None
    maker: Maker | None = None
    credentialed: bool = False
    digest: str = ""
    extras: tuple[Extra, ...] = ()
    scores: Callable[[], Mapping[str, Score]] | None = None
