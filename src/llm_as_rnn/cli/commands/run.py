"""``llm-as-rnn run``: methods over the sequences of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.catalogue import DEFAULT_METHODS, METHODS
from llm_as_rnn.cli.commands.later import body
from llm_as_rnn.cli.commands.options import (
    Sectioned,
    executor_options,
    prompts_option,
    remote_data_option,
    running_options,
    servers_options,
    setting_options,
)
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.engines.naming import DEFAULT_MODEL


@click.command(cls=Sectioned)
@click.argument("task")
@click.option(
    "--model",
    "-m",
    default=DEFAULT_MODEL,
    show_default=True,
    help="The model: llamacpp:NAME (`models list` shows them), llamacpp:FILE.gguf, openai:NAME or scripted:FILE.jsonl.",
)
@click.option(
    "--methods",
    help=f"Comma-separated, of {', '.join(METHODS)}; recurrent:RULE names an update rule, and NAME:SETTING=VALUE gives "
    "a method a setting of its own. The cheap references always run "
    f"[default: {', '.join(DEFAULT_METHODS)}].",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your own data: for a task file .csv, .tsv, .json, .jsonl or .parquet; for mimic its folder.",
)
@click.option("--quick", is_flag=True, help="A short run: 4 sequences of few steps, 128 tokens of memory.")
@click.option("--sequences", type=int, help="How many sequences [default: the task's; with --data all of the split].")
@click.option("--steps", type=int, help="Most steps in each sequence [default: the task's; with --data all].")
@click.option(
    "--split",
    type=click.Choice(["development", "held_out"]),
    default="development",
    show_default=True,
    help="Which part of the data: tune on development alone, and report on held_out.",
)
@click.option(
    "--delay",
    type=int,
    default=0,
    show_default=True,
    help="How late outcomes come, in steps; no sooner than a table has them (ahead).",
)
@setting_options(Settings)
@prompts_option
@servers_options
@remote_data_option
@executor_options
@running_options
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder [default: a new one in runs/].")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; begin it if there is none.")
@click.option(
    "--retry-failed",
    is_flag=True,
    help="With --resume: ask again where a call to the model failed, and go on from there; the old journal is kept.",
)
@click.option(
    "--serve",
    is_flag=True,
    help="Show the run on a page as it goes on, and say where that is. On a terminal the page stays until "
    "Ctrl-C, elsewhere it ends with the run.",
)
def run(**given: Any) -> Any:
    """Run methods over the sequences of TASK (a shipped task's name, or a task file), and report.

    Every method predicts each step before it is told the outcome. What happens is written to the run's folder step by
    step; an interrupted run goes on with --resume.

    \b
    Examples:
      llm-as-rnn run weather --quick
      llm-as-rnn run weather -m llamacpp:qwen2.5-coder-1.5b --methods zero_shot,recurrent
      llm-as-rnn run my_task.yaml --data my.csv
      llm-as-rnn run weather -m openai:MODEL --base-url http://localhost:8000/v1
      llm-as-rnn run weather -m openai:MODEL --executor ray --base-url http://a:8000/v1 --base-url http://b:8000/v1
    """
    return body("run:run")(**given)
