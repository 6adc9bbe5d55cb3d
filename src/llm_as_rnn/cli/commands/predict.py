"""``llm-as-rnn predict``: JSON lines in, JSON lines out; outcomes when they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.catalogue import DEFAULT_METHOD
from llm_as_rnn.cli.commands.later import body
from llm_as_rnn.cli.commands.options import (
    Sectioned,
    engine_options,
    prompts_option,
    remote_data_option,
    setting_options,
)
from llm_as_rnn.core.settings import BETWEEN_SEQUENCES, Settings
from llm_as_rnn.engines.naming import DEFAULT_MODEL
from llm_as_rnn.streams.settings import StreamSettings


@click.command(cls=Sectioned)
@click.argument("task")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="File that keeps what was learned; begun if it is not there.",
)
@click.option("--server", metavar="URL", help="Have a service learn (`llm-as-rnn serve`), in the place of --state.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="File with the key for the service [default: LLM_AS_RNN_KEY].",
)
@click.option(
    "--session", help="The stream's name in the service; begun if it is not there [default: the task's name]."
)
@click.option("--model", "-m", help=f"The model, named as for `run` [default: {DEFAULT_MODEL}].")
@click.option("--method", help=f"Who predicts, one of those of `run` [default: {DEFAULT_METHOD}].")
@click.option(
    "--about",
    multiple=True,
    metavar="NAME=VALUE",
    help="What stays the same in the stream, for tasks that show it: told when it is begun. May be repeated.",
)
@click.option("--take-task", is_flag=True, help="Go on with the task as it is now, if it was edited.")
@click.option("--memory", "show_memory", is_flag=True, help="Show the memory at the end, on standard error.")
@setting_options(Settings, StreamSettings, but=BETWEEN_SEQUENCES)
@prompts_option
@engine_options
@remote_data_option
def predict(**given: Any) -> Any:
    """Predict a stream of TASK from standard input, and learn outcomes when they come.

    \b
    A line in                                  a line out
      {"id": "a", "x": {"sky": "sun", ...}}      {"id": "a", "status": "ok", "prediction": {...}}
      {"id": "a", "y": {"sky": "rain", ...}}     {"id": "a", "learned": "accepted", "memory_version": 1, ...}

    Outcomes may come late, in any order, twice (once counts) or never. What a line changes is in the state file before
    its answer is written: after a crash, send again what got no answer. A line that cannot be used is answered with
    "error", and the exit code is then 1. An id is text or a whole number, and 7 is not "7"; a line without one gets "#"
    and a number. A prediction that the model gave no answer to is made again when its line is sent again before its
    outcome: one whose status is "engine_error", and one that others answered in the model's place, as its "problem"
    says. Where a limit is reached, the answer says which, and names what was given up ("given_up").

    \b
    Examples:
      llm-as-rnn predict weather --state state.json < lines.jsonl
      llm-as-rnn predict my_task.yaml --state state.json --about site=north --memory < lines.jsonl

    With --server the memory is in a service, which has a model and a database of its own. There ids are text, and a
    line that was sent before is answered as it was then, but for such predictions.
    """
    return body("predict:predict")(**given)
