"""``llm-as-rnn sweep``: several runs, with each of several models, and one table of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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
@click.argument("name", metavar="SWEEP")
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    help="Who is asked, named as for `run`; several times for several, one after the other [default: the sweep's, else "
    f"{DEFAULT_MODEL}].",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only the run of this name; several times for several.")
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=PATH",
    help="Your own data for the run or task of this name, as for `run`; several times for several.",
)
@click.option("--methods", help="Comma-separated, in place of the sweep's and of its grid.")
@click.option("--seeds", metavar="N,N,...", help="One run for each of these, in place of the sweep's; one row for all.")
@click.option("--sequences", type=int, help="How many sequences, in place of what the sweep says.")
@click.option("--steps", type=int, help="Most steps in each sequence, in place of what the sweep says.")
@setting_options(Settings)
@prompts_option
@servers_options
@remote_data_option
@executor_options
@running_options
@click.option("--out", type=click.Path(path_type=Path), help="The sweep's folder [default: a new one in runs/].")
@click.option("--resume", is_flag=True, help="Go on with the sweep in --out; what is finished there is not run again.")
@click.option("--retry-failed", is_flag=True, help="With --resume: ask again where a call to the model failed.")
def sweep(**given: Any) -> Any:
    """Make the runs of SWEEP (a shipped sweep's name, or a sweep file) with each model, and one table of all.

    Each run lies in a folder of its own, DIR/MODEL/NAME, which report and run --resume take as they take any. A run
    whose data is not here is left out, and what to bring is said. The table is written to DIR/sweep.md, DIR/sweep.html
    and DIR/sweep.json as well, beside figures that others published.

    \b
    Examples:
      llm-as-rnn sweep paper.yaml -m openai:MODEL --base-url http://localhost:8000/v1 --data mimic=FOLDER
      llm-as-rnn sweep paper.yaml --only weather --sequences 1 --steps 3 --budget 256
      llm-as-rnn sweep my_sweep.yaml -m llamacpp:smollm2-135m -m llamacpp:qwen2.5-coder-1.5b --out runs/mine --resume
    """
    return body("sweep:sweep")(**given)
