"""``llm-as-rnn models``: model files for the embedded engine."""

from __future__ import annotations

from typing import Any

import click

from llm_as_rnn.cli.commands.later import body


@click.group()
def models() -> None:
    """List, fetch and check model files for the embedded engine.

    \b
    Examples:
      llm-as-rnn models list
      llm-as-rnn models pull smollm2-135m
    """


@models.command("list")
def list_(**given: Any) -> Any:
    """List the registered models, and which of them are here."""
    return body("models:list_")(**given)


@models.command()
@click.argument("name")
def pull(**given: Any) -> Any:
    """Fetch and check the model NAME, if it is not here."""
    return body("models:pull")(**given)


@models.command(short_help="Say what is known of a model, and check its file.")
@click.argument("name")
def show(**given: Any) -> Any:
    """Say all that is known of the model NAME, and check its file if it is here."""
    return body("models:show")(**given)
