"""``llm-as-rnn serve``: the service, and what is done to its database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from llm_as_rnn.cli.commands.later import body
from llm_as_rnn.cli.commands.options import setting_options
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service.config import ServiceSettings

F = TypeVar("F", bound=Callable[..., object])

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A TOML file with settings, a line each [default: LLM_AS_RNN_CONFIG, or service.toml in the folder of the "
    "user's settings].",
)


def _database(command: F) -> F:
    """Add what says which database is meant."""
    return config_option(setting_options(ServiceSettings, only=("database",))(command))


@click.group(invoke_without_command=True)
@config_option
@setting_options(ServiceSettings)
@click.option("--show-config", is_flag=True, help="Show all settings, who chose each of them, and start nothing.")
@click.pass_context
def serve(ctx: click.Context, /, **given: Any) -> Any:
    """Serve sessions to other programs over HTTP, and keep them in a database.

    An option wins over a variable of the environment (LLM_AS_RNN_PORT for --port), a variable over the TOML file, and
    that over the default. Without keys it answers this machine alone.

    \b
    First steps:
      llm-as-rnn serve                                    on this machine, without keys
      llm-as-rnn serve tenants create acme                for others: somebody whose sessions these are,
      llm-as-rnn serve keys create acme app               and a key, which is shown once
      llm-as-rnn serve --host 0.0.0.0
    """
    if ctx.invoked_subcommand is None:
        return body("serve:serve")(**given)
    source = ctx.get_parameter_source
    for parameter in ctx.command.params:
        if parameter.name and source(parameter.name) is click.core.ParameterSource.COMMANDLINE:
            option = max(parameter.opts, key=len)
            raise UsageError(
                f"{option} stands before {ctx.invoked_subcommand}, which does not see it",
                f"write it at the end, if {ctx.invoked_subcommand} has it",
            )
    return None


@serve.command(short_help="Make the tables of the database, or bring them up to date.")
@_database
def migrate(**given: Any) -> Any:
    """Make the tables of the database, or bring them up to this version; there is no way down."""
    return body("serve:migrate")(**given)


@serve.command(short_help="Copy an SQLite database.")
@click.argument("file", type=click.Path(path_type=Path))
@_database
def backup(**given: Any) -> Any:
    """Copy an SQLite database into FILE, as of one moment, also while the service runs."""
    return body("serve:backup")(**given)


@serve.command(short_help="Delete steps that ended long ago.")
@click.option("--days", type=float, required=True, help="Keep what ended within so many days.")
@_database
def retain(**given: Any) -> Any:
    """Delete steps that ended long ago, and memories that later ones took the place of.

    What waits stays, and so do present memories and scores.
    """
    return body("serve:retain")(**given)


@serve.group(short_help="Make, list and revoke keys.")
def keys() -> None:
    """Make, list and revoke the keys by which the service knows who asks."""


@keys.command("create", short_help="Make a key, and show it this once.")
@click.argument("tenant")
@click.argument("name")
@click.option(
    "--scopes",
    default="read,predict,learn,edit",
    show_default=True,
    help="What the key is good for, joined by commas: read, predict, learn, edit, admin.",
)
@_database
def create_key(**given: Any) -> Any:
    """Make a key of TENANT's, called NAME, and show it: it is shown this once."""
    return body("serve:create_key")(**given)


@keys.command("list", short_help="List keys.")
@click.option("--tenant", help="Only the keys of this tenant.")
@_database
def list_keys(**given: Any) -> Any:
    """List keys: whose they are, how they begin, and what they are good for."""
    return body("serve:list_keys")(**given)


@keys.command("revoke", short_help="Revoke a key.")
@click.argument("key")
@_database
def revoke_key(**given: Any) -> Any:
    """Revoke the KEY that begins so; within seconds no process takes it any more."""
    return body("serve:revoke_key")(**given)


@serve.group(short_help="Add, list, change and delete tenants.")
def tenants() -> None:
    """Add, list and delete tenants: each has its own tasks and sessions, and sees no other's."""


def _quotas(command: F) -> F:
    """Add what a tenant may use."""
    for option, kind, what in (
        ("--money", float, "What models may cost on a day, in the currency of the prices"),
        ("--tokens", int, "Tokens that models may read and write on a day"),
        ("--requests", int, "Requests a minute"),
        ("--sessions", int, "Sessions at a time"),
    ):
        command = click.option(option, type=kind, help=f"{what} [default: no limit].")(command)
    return command


@tenants.command("create")
@click.argument("name")
@_quotas
@_database
def create_tenant(**given: Any) -> Any:
    """Add a tenant called NAME."""
    return body("serve:create_tenant")(**given)


@tenants.command("list")
@_database
def list_tenants(**given: Any) -> Any:
    """List tenants: their keys, sessions and quotas."""
    return body("serve:list_tenants")(**given)


@tenants.command("change", short_help="Change a tenant's quotas.")
@click.argument("name")
@_quotas
@_database
def change_quotas(**given: Any) -> Any:
    """Put other quotas in the place of those that the tenant NAME has."""
    return body("serve:change_quotas")(**given)


@tenants.command("delete", short_help="Delete a tenant and all that is its own.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")
@_database
def delete_tenant(**given: Any) -> Any:
    """Delete the tenant NAME with its keys, tasks and sessions; there is no way back."""
    return body("serve:delete_tenant")(**given)
