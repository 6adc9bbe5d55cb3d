"""``llm-as-rnn judge``: judge the answers of a run that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.commands.later import body
from llm_as_rnn.cli.commands.options import engine_options, prompts_option, remote_data_option, setting_options
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.runs.defaults import JUDGED_BY


@click.command()
@click.argument("run", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--judge",
    "model",
    help="Who judges, named as for `run --model` [default: the run's own model].",
)
@click.option("--times", type=int, default=1, show_default=True, help="Judgements of each answer.")
@engine_options
@click.option("--concurrency", type=int, help="Questions at a time [default: the engine's slots].")
@setting_options(Settings, only=JUDGED_BY)
@remote_data_option
@prompts_option
def judge(**given: Any) -> Any:
    """Judge the answers of the run in DIR with a language model, and report again.

    For tasks with judged fields. A judge sees an answer, the outcome and a rubric, and neither method nor step. What is
    judged already is not asked again: an interrupted command goes on when it is given again, --times 3 after --times 1
    asks twice more, and another judge starts anew.

    \b
    Examples:
      llm-as-rnn judge runs/weather-text-1 --judge openai:MODEL --base-url http://localhost:8000/v1
      llm-as-rnn judge runs/weather-text-1 --judge openai:MODEL --times 3
    """
    return body("judge:judge")(**given)
