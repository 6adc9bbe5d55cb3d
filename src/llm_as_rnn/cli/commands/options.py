"""Options that several commands have: how an engine is asked, how it learns, and how runs are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import click

from llm_as_rnn.core.knobs import Knob, knobs
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.settings import AUTO
from llm_as_rnn.recurrence.rules import RULES, known_rules
from llm_as_rnn.runs.defaults import MEASURED, MOST_TIMES

F = TypeVar("F", bound=Callable[..., Any])


SECTIONS = {
    "form": "How the model is asked",
    "budget": "The memory, and how it is updated",
    "sampling": "Answers and their chances",
    "coverage": "How far an answer is trusted",
    "max_waiting": "What a stream keeps",
    "prompts": "Templates, and the model's engine",
    "executor": "On several machines",
    "concurrency": "Speed and cost",
    "judge": "A judge of the answers",
    "out": "Where it is kept",
}
"""The headings of help, by the name of the first option that stands under each."""


class Sectioned(click.Command):
    """A command with so many options that help shows them under headings; those that most people need stand first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        heading, sections = "Options", dict[str, list[tuple[str, str]]]()
        for parameter in self.get_params(ctx):
            heading = SECTIONS.get(parameter.name or "", heading)
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault("Options" if parameter.name == "help" else heading, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class Seconds(click.ParamType[float]):
    """A time span in seconds.

    Parameters
    ----------
    zero : bool
        Whether none at all may be meant.
    """

    name = "seconds"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        if not (math.isfinite(seconds) and (seconds > 0 or (self._zero and seconds == 0))):
            self.fail(f"{value} is not {'at least 0' if self._zero else 'more than 0'} seconds", param, ctx)
        return seconds


_SERVER = click.option("--base-url", help="URL of an OpenAI-compatible server [default: OPENAI_BASE_URL].")

_SERVERS = click.option(
    "--base-url",
    "servers",
    multiple=True,
    help="URL of an OpenAI-compatible server; on Ray several times for several [default: OPENAI_BASE_URL].",
)

_ENGINE = [
    click.option(
        "--context",
        type=click.IntRange(min=1),
        help="Context window in tokens, for the embedded engine [default: the model's].",
    ),
    click.option(
        "--cache-reuse",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Tokens from which on the embedded engine takes a stretch of a prompt from its cache that has moved: "
        "faster, and answers may differ slightly; 0 for never.",
    ),
    click.option(
        "--timeout",
        type=Seconds(),
        help="Seconds for one attempt of a call [default: 120 on a server, 300 on this machine].",
    ),
    click.option(
        "--patience",
        type=Seconds(zero=True),
        help="Seconds to wait for a server that cannot serve, before stopping; 0 for no wait [default: 600].",
    ),
]


def engine_options(command: F) -> F:
    """Give a command what `engines.resolve` takes under the same names: where the model is, and how long to wait."""
    return _with(command, [_SERVER, *_ENGINE])


def servers_options(command: F) -> F:
    """Give a command the same, for a model that may be on several servers."""
    return _with(command, [_SERVERS, *_ENGINE])


def _with(command: F, options: Sequence[Callable[[F], F]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


_EXECUTOR = [
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Make the run in this process, or on several engines on a Ray cluster.",
    ),
    click.option(
        "--ray-address",
        envvar="RAY_ADDRESS",
        show_envvar=True,
        help="The cluster, HOST:6379 or auto [default: one on this machine, for this command].",
    ),
    click.option(
        "--engines",
        type=click.IntRange(min=1),
        help="Engines on Ray, each in a process of its own, with its share of the sequences [default: one a node, and "
        "one a server at least].",
    ),
]


def executor_options(command: F) -> F:
    """Give a command the options that say where its sequences are gone through."""
    return _with(command, _EXECUTOR)


_RUNNING = [
    click.option(
        "--concurrency",
        type=int,
        help="Sequences at a time; a model's answers can depend a little on how many there are [default: the engine's "
        "slots].",
    ),
    click.option(
        "--cache",
        type=click.Choice(["off", "record", "replay"]),
        default="off",
        show_default=True,
        help="Keep the model's answers, and reuse them for the same questions.",
    ),
    click.option("--max-tokens", type=click.IntRange(min=1), help="Stop when so many were read and written."),
    click.option("--max-cost", type=float, help="Stop when so much was spent, by --prices."),
    click.option("--max-time", type=Seconds(), help="Stop asking after so many seconds."),
    click.option(
        "--prices",
        type=click.Path(path_type=Path),
        help="A TOML file of what models cost, a million tokens: prompt, completion and cached for each.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what it would take in calls, tokens and money, and make no run."),
    click.option(
        "--measure",
        type=click.IntRange(min=0),
        default=MEASURED,
        show_default=True,
        help="Steps of one sequence that --dry-run asks of each method, to measure; 0 for no call at all.",
    ),
    click.option(
        "--judge", help="Judge the answers after the run: a model, named as for --model [default: not judged]."
    ),
    click.option(
        "--judge-times",
        type=click.IntRange(1, MOST_TIMES),
        default=1,
        show_default=True,
        help="Judgements of each answer.",
    ),
]


def running_options(command: F) -> F:
    """Give a command the options that say how its runs are made, and not what they are."""
    return _with(command, _RUNNING)


if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # generic in newer versions alone


class RuleName(_Choice):
    """An update rule: one of ours, which help lists, or one that another package brings."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; packages are searched only for a name that is not ours."""
        return value if value not in self.choices and value in known_rules() else super().convert(value, param, ctx)


ANYWHERE: dict[str, tuple[str, ...]] = {"rule": (AUTO, *RULES)}
"""What a text may be where the declaration does not list it, because it is said elsewhere."""


def setting_options(
    *records: type[Record], only: Iterable[str] | None = None, but: Iterable[str] = ()
) -> Callable[[F], F]:
    """Give a command an option for each knob of records, as the declaration has it (see `settings.knob`).

    Parameters
    ----------
    *records : type
        `settings.Settings`, say.
    only : iterable of str, optional
        The names of those it is to have; else it gets all.
    but : iterable of str
        The names of those that mean nothing to it.
    """
    names = knobs(*records) if only is None else only
    chosen = [knobs(*records)[name] for name in names if name not in but]

    def decorate(command: F) -> F:
        for knob in reversed(chosen):
            command = _option(knob)(command)
        return command

    return decorate


def _option(knob: Knob) -> Callable[[F], F]:
    name = f"--{knob.name.replace('_', '-')}"
    choices = knob.choices or ANYWHERE.get(knob.name, ())
    told = f"{knob.description.removesuffix('.')} [default: {knob.default_in_words}]."
    if get_origin(knob.type) is tuple:
        return click.option(name, multiple=True, help=told)
    if knob.type is bool:  # what is off in the beginning was perhaps turned on since, in a stream that is gone on with
        return click.option(f"{name}/--no-{name.removeprefix('--')}", default=None, help=told)
    listed = RuleName if knob.name in ANYWHERE else click.Choice
    kind: Any = listed(choices) if choices else knob.type
    return click.option(name, type=kind, help=told)


remote_data_option = click.option(
    "--allow-remote-data",
    is_flag=True,
    help="Confirm that the terms of credentialed data cover a server that is not on this machine.",
)
"""Of every command that sends data to an engine (see `datasets.terms`)."""

prompts_option = click.option(
    "--prompts", type=click.Path(path_type=Path), help="Folder with templates of your own [default: the shipped ones]."
)
"""Of every command that asks a model."""
