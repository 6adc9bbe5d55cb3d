"""The checks that are shipped with llm-as-rnn, over what this package brings."""

from __future__ import annotations

from pathlib import Path

from tides.data import TIDES
from tides.engine import make
from tides.method import LastFew
from tides.rule import Latest
from tides.score import IN_RANGE

from llm_as_rnn.core.engine import EngineOptions
from llm_as_rnn.core.task import load_task
from llm_as_rnn.testing import check_dataset, check_engine, check_method, check_rule, check_score

TASK = Path(__file__).parents[1] / "tides.yaml"


def test_dataset() -> None:
    check_dataset(TIDES, task=load_task(str(TASK)))


def test_method() -> None:
    check_method(LastFew)


def test_rule() -> None:
    check_rule(Latest)


def test_engine() -> None:
    check_engine(lambda: make("north-sea", EngineOptions("almanac:north-sea")))


def test_score() -> None:
    check_score(IN_RANGE)
