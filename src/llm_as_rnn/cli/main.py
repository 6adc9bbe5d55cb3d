"""The command ``llm-as-rnn``: finds the subcommand, and turns errors into one line and an exit code."""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress
from typing import Any

import click

from llm_as_rnn._version import __version__
from llm_as_rnn.cli.process import (
    INTERRUPTED,
    ReaderGoneError,
    complain,
    end_streams,
    environment_error,
    interrupts,
    prepare_streams,
    require_output,
)
from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.core.shelf import load

COMMANDS = {
    "init": "Look at a table, and write a task file for it.",
    "run": "Run methods over a task's sequences, and report.",
    "judge": "Judge the answers of a run, for tasks that ask for it.",
    "sweep": "Make several runs, with several models, and one table of all.",
    "report": "Show a run's results again, or compare several runs.",
    "export": "Write a run as files that other programs read.",
    "view": "Show a run in the browser, also while it goes on.",
    "predict": "Predict and learn a stream of JSON lines.",
    "serve": "Serve sessions to other programs over HTTP.",
    "memory": "List, show, compare and restore the versions of a memory.",
    "doctor": "Say what is installed, and what a model can do here.",
    "models": "List, fetch and check model files.",
    "data": "List, show and check data: no outcome is told before its time.",
}
"""The subcommands, in the order in which help shows them; each is in the module of its name in `commands`."""

DONE, SOME_FAILED, BAD_USAGE, BUG = 0, 1, 2, 70


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is used: ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the subcommands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        command = load(f"llm_as_rnn.cli.commands.{cmd_name}:{cmd_name}")
        assert isinstance(command, click.Command)  # noqa: S101 - tells mypy what the modules hold
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="llm-as-rnn")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def cli(debug: bool) -> None:
    """Turn a frozen language model into an online learner.

    It predicts the next outcome of a sequence, is told how it went, rewrites a short memory in plain language within a
    hard token budget, and predicts better.

    \b
    First steps:
      llm-as-rnn run weather --quick      real weather, a small model on this machine, a few minutes
      llm-as-rnn init my.csv              a task file for a table of your own
      llm-as-rnn run --help               all settings of a run
      llm-as-rnn models list              models that can be fetched, and those that are here
    """
    import logging  # noqa: PLC0415 - the overview of commands logs nothing, and it takes a while to import

    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    # The HTTP clients report every request at these levels; of interest to nobody here.
    for name in ("httpx2", "httpcore2", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    interrupts.begin()
    interrupts.listen()
    atexit.register(interrupts.ignore)  # the first to be registered is the last to be called
    try:
        code = _run(arguments, debug="--debug" in arguments)
        interrupts.done()
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        code = INTERRUPTED
    end_streams()
    sys.exit(code)


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        require_output()
        result: Any = cli.main(args=arguments, prog_name="llm-as-rnn", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        raise
    except ReaderGoneError:
        return DONE
    except click.ClickException as error:
        with suppress(OSError, ReaderGoneError):
            error.show()
        return BAD_USAGE
    except Exception as error:
        if debug:
            raise
        return _explain(error)
    return result if isinstance(result, int) else DONE


def _explain(error: Exception) -> int:
    """Say in one line what ended a command, and give its exit code."""
    known = error if isinstance(error, LlmAsRnnError) else environment_error(error)
    if known is None:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        complain(f"error: {what} (a bug: please report it with what --debug shows)")
        return BUG
    complain(f"error: {known}")
    return BAD_USAGE
