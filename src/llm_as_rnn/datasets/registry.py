"""The shipped datasets by name."""

from __future__ import annotations

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.datasets.base import Dataset
from llm_as_rnn.datasets.mimic import MIMIC
from llm_as_rnn.datasets.pbc import PBC
from llm_as_rnn.datasets.probes import DRIFT, NOISE, RECALL
from llm_as_rnn.datasets.sp500 import SP500
from llm_as_rnn.datasets.weather import WEATHER
from llm_as_rnn.datasets.weather_hourly import WEATHER_HOURLY
from llm_as_rnn.datasets.weather_text import WEATHER_TEXT

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (WEATHER, WEATHER_TEXT, WEATHER_HOURLY, PBC, SP500, MIMIC, RECALL, DRIFT, NOISE)
}


def dataset(name: str) -> Dataset:
    """Give a dataset by name.

    Raises
    ------
    DatasetError
        If there is none of that name.
    """
    if name not in DATASETS:
        raise DatasetError(f"there is no dataset {name!r}", f"choose from {', '.join(DATASETS)}")
    return DATASETS[name]
