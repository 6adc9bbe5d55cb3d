"""``llm-as-rnn doctor``: what is installed, and what an engine can do."""

from __future__ import annotations

from typing import Any

import click

from llm_as_rnn.cli.commands.later import body
from llm_as_rnn.cli.commands.options import Seconds


@click.command()
@click.option("--model", "-m", help="The model to examine, named as for `run` [default: none is asked].")
@click.option("--base-url", help="URL of an OpenAI-compatible server [default: OPENAI_BASE_URL].")
@click.option(
    "--timeout", type=Seconds(), help="Seconds for each small call [default: 60 on a server, 300 on this machine]."
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object, for a report of a bug.")
def doctor(**given: Any) -> Any:
    """Say what is installed and, of a model, what it can do here.

    The model gets some ten small calls: whether it answers as chat and as completion, whether answers are held to a
    JSON schema and to a grammar, whether the chances of tokens are told and tokens counted, and how fast it is. From
    that follow the settings that suit it. Nothing is fetched and nothing is written.

    Keys, logins and users' names are left out, so that --json can be shown to others. The exit code is 1 where
    something does not work.

    \b
    Examples:
      llm-as-rnn doctor
      llm-as-rnn doctor --model llamacpp:smollm2-135m
      llm-as-rnn doctor --model openai:MODEL --base-url http://localhost:8000/v1 --json
    """
    return body("doctor:doctor")(**given)
