"""MIMIC-IV, a wing of its own: a patient's admissions, from a folder that the user brings.

x is what is known on the first day of a stay, y the titles of the diagnoses that it was coded with at its end.
docs/mimic.md says what is taken from where. This module is the wing's door and imports none of its rooms: `tables` are
streamed into an `index`, whose `stays` become sequences; `notes` are read for what was known early; `icd` compares
diagnoses; `words` are data.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from platformdirs import user_cache_path

from llm_as_rnn.core.errors import DatasetError, MissingExtraError
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence
from llm_as_rnn.datasets.mimic.icd import BY_CATEGORY

LEAST = 3
"""Admissions of a patient who makes a sequence."""

BRING = "bring the folder: --data FOLDER (docs/mimic.md)"


def from_folder(folder: Path, *, least: int = LEAST, cache: Path | None = None) -> Dataset:
    """Give the dataset of a folder in PhysioNet's layout. The first time, an index is made: minutes for the full set.

    Parameters
    ----------
    folder : Path
        Holds ``hosp/``, and ``note/`` and ``ed/`` where the user has these modules.
    least : int
        How many admissions a patient must have; at least 2.
    cache : Path, optional
        Where indexes are kept; else the user's cache folder.

    Raises
    ------
    DatasetError
        If the folder lacks a file or a column, or a file is broken.
    MissingExtraError
        If polars is not installed.
    """
    try:
        from llm_as_rnn.datasets.mimic.stays import opened  # noqa: PLC0415 - polars is large, and only this needs it
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "polars":
            raise
        raise MissingExtraError("polars", "mimic") from None
    found = opened(folder, least, cache or user_cache_path("llm-as-rnn") / "mimic")
    return msgspec.structs.replace(MIMIC, ready=lambda: "", from_folder=None, **found._asdict())


def _must_be_brought(_: Selection) -> list[Sequence]:
    raise DatasetError("mimic is not shipped: its terms forbid it", BRING)


MIMIC = Dataset(
    name="mimic",
    title="MIMIC-IV: a patient's admissions to hospital",
    source="PhysioNet, MIMIC-IV v2.2 or v3.1, with MIMIC-IV-Note and -ED where at hand",
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    predicts="a stay's diagnoses (the five most likely, the primary one first)",
    size="300,000 to 365,000 patients, 431,000 to 546,000 admissions",
    load=_must_be_brought,
    ready=lambda: BRING,
    steps=12,
    quick_steps=4,
    quick_budget=1024,
    from_folder=from_folder,
    credentialed=True,
    extras=BY_CATEGORY,
)
