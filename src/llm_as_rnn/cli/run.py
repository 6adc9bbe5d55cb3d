"""``llm-as-rnn run``: methods over the sequences of a task."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from platformdirs import user_cache_path

from llm_as_rnn.cli.judge import judge_and_show, prepare
from llm_as_rnn.cli.learning import FEEDBACK_HELP, remote_data_option, shared_option, take_updating, updating_options
from llm_as_rnn.cli.main import DONE, INTERRUPTED, SOME_FAILED
from llm_as_rnn.cli.progress import RunProgress, console, download_progress, messages
from llm_as_rnn.cli.results import show_run
from llm_as_rnn.datasets.base import Split
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.tables import Table
from llm_as_rnn.engines.base import Engine
from llm_as_rnn.engines.resolve import DEFAULT_MODEL, resolve
from llm_as_rnn.errors import UsageError
from llm_as_rnn.method import AUTO_FEEDBACK, PRESETS
from llm_as_rnn.methods import METHODS
from llm_as_rnn.prompts import EVERY_ROOM, Prompts
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, execute, own_data
from llm_as_rnn.runs.judging import JudgeOptions
from llm_as_rnn.runs.remote import require_local
from llm_as_rnn.task import Task, load_task

QUICK = {"sequences": 4, "budget": 128}
"""What --quick stands for, besides few steps."""

FEW_STEPS = 8
"""Steps of a quick run on a user's own data; a shipped dataset knows how many it takes to see anything."""


@click.command()
@click.argument("task")
@click.option(
    "--model",
    "-m",
    default=DEFAULT_MODEL,
    show_default=True,
    help="llamacpp:NAME, llamacpp:FILE.gguf, openai:NAME or scripted:FILE.jsonl.",
)
@click.option(
    "--methods",
    help=f"Comma-separated; recurrent:RULE names an update rule. The cheap references always run [default: "
    f"{','.join(METHODS)}].",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your own data: for a task file .csv, .tsv, .jsonl or .parquet; for mimic its folder.",
)
@click.option("--sequences", type=int, help="How many sequences [default: the task's; with --data all of the split].")
@click.option("--steps", type=int, help="Most steps in each sequence [default: the task's; with --data all].")
@click.option("--budget", type=int, help="Most tokens of a memory [default: what suits the model, else 4096].")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the sequences, and seeds every call.")
@click.option(
    "--split",
    type=click.Choice(["development", "held_out"]),
    default="development",
    show_default=True,
    help="Tune on development alone; report on held_out.",
)
@click.option(
    "--form",
    type=click.Choice(["json", "line"]),
    help="Answers as JSON or as one short line [default: measured best for the model].",
)
@click.option(
    "--style", type=click.Choice(["chat", "completion"]), help="Prompts as chat or as one text [default: same]."
)
@click.option("--delay", type=int, default=0, show_default=True, help="How late outcomes come, in steps.")
@click.option(
    "--layout",
    type=click.Choice(["chained", "separate"]),
    help="One growing conversation a step, or the paper's separate prompts [default: separate for lines].",
)
@click.option("--feedback", default=AUTO_FEEDBACK, show_default=True, help=FEEDBACK_HELP)
@updating_options
@shared_option
@click.option(
    "--sampling",
    type=click.Choice(list(PRESETS)),
    default="greedy",
    show_default=True,
    help="Temperatures: all 0, or the paper's.",
)
@click.option(
    "--thinking",
    type=int,
    default=0,
    show_default=True,
    help="Tokens that a reasoning model may take to think, besides every answer.",
)
@click.option("--prompts", type=click.Path(path_type=Path), help="Folder with templates of your own.")
@click.option("--base-url", help="URL of an OpenAI-compatible server [default: OPENAI_BASE_URL].")
@remote_data_option
@click.option("--context", type=int, help="Context window in tokens, for the embedded engine.")
@click.option("--concurrency", type=int, help="Sequences at a time [default: the engine's slots].")
@click.option(
    "--cache",
    type=click.Choice(["off", "record", "replay"]),
    default="off",
    show_default=True,
    help="Keep the model's answers, and reuse them for the same questions.",
)
@click.option("--judge", help="Judge the answers after the run: a model, named as for --model [default: not judged].")
@click.option("--judge-times", type=int, default=1, show_default=True, help="Judgements of each answer.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder [default: a new one in runs/].")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; begin it if there is none.")
@click.option("--quick", is_flag=True, help="A short run: 4 sequences of few steps, 128 tokens of memory.")
def run(  # noqa: PLR0913, PLR0917 - one argument an option
    task: str,
    model: str,
    methods: str | None,
    base_url: str | None,
    context: int | None,
    concurrency: int | None,
    cache: Any,
    out: Path | None,
    resume: bool,
    quick: bool,
    judge: str | None,
    judge_times: int,
    **choices: Any,
) -> int:
    """Run methods over the sequences of TASK (a shipped task's name, or a task file), and report.

    Every method predicts each step before it is told the outcome. What happens is written to the run's folder step by
    step; an interrupted run goes on with --resume.

    \b
    Examples:
      llm-as-rnn run weather --quick
      llm-as-rnn run weather -m llamacpp:qwen2.5-coder-1.5b --methods zero_shot,recurrent
      llm-as-rnn run my_task.yaml --data my.csv
      llm-as-rnn run weather -m openai:MODEL --base-url http://localhost:8000/v1
    """
    loaded = load_task(task)
    # Read here as well, so that no model is fetched for data that is broken.
    table = own_data(choices["data"], loaded)
    if quick:
        few = _quick(loaded, table, choices["split"])
        choices |= {name: value for name, value in few.items() if choices[name] is None}
    if methods is not None:
        choices["methods"] = tuple(name.strip() for name in methods.split(",") if name.strip())
    if concurrency is not None and concurrency < 1:
        raise UsageError(f"concurrency must be at least 1, not {concurrency}", "correct --concurrency")
    if resume and out is None:
        raise UsageError("--resume needs to know which run to go on with", "name its folder with --out")
    options = Options(task=task, concurrency=concurrency, updating=take_updating(choices), **choices)
    directory = RunDirectory(out or _new_folder(loaded.name, model))
    with download_progress(model) as progress:
        folder = None if cache == "off" else user_cache_path("llm-as-rnn") / "answers"
        engine = resolve(
            model,
            base_url=base_url,
            context=context,
            slots=concurrency,
            cache_mode=cache,
            cache_folder=folder,
            progress=progress,
        )
    how = JudgeOptions(judge_times, thinking=options.thinking, allow_remote_data=options.allow_remote_data)
    judging = None if judge is None else _judge(loaded, judge, base_url, how, directory)
    # Being told to stop is the same as Ctrl-C: the run can be resumed. Shells start background jobs of scripts with
    # Ctrl-C ignored; then asyncio would not listen to it either, and nothing short of SIGKILL would end the run.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with RunProgress(loaded) as watcher:
        try:
            info = asyncio.run(execute(options, engine, directory, resume=resume, watcher=watcher))
        except KeyboardInterrupt:
            _say_how_to_go_on(watcher, directory)
            return INTERRUPTED
    if judging is None:
        show_run(directory, console)
    elif not judge_and_show(directory, judging, how, Prompts.with_folder(options.prompts, EVERY_ROOM)):
        return INTERRUPTED
    if info.failures:
        _say_what_failed(info.failures, directory)
    return SOME_FAILED if info.failures else DONE


def _judge(task: Task, model: str, base_url: str | None, how: JudgeOptions, directory: RunDirectory) -> Engine:
    engine = prepare(task, model, base_url if model.startswith("openai:") else None)
    # Before the run: a judge that must not see the data is not to be refused when hours have been spent.
    require_local(task, engine.info, how.allow_remote_data, directory.confirmed())
    return engine


def _quick(task: Task, table: Table | None, split: Split) -> dict[str, int]:
    if table is None:
        source = dataset(task.dataset)
        return {**QUICK, "steps": source.quick_steps, "budget": source.quick_budget}
    return {**QUICK, "sequences": min(QUICK["sequences"], table.count(split)), "steps": FEW_STEPS}


def _new_folder(task: str, model: str) -> Path:
    name = "".join(char if char.isalnum() or char in ".-" else "-" for char in Path(model.partition(":")[2]).name)
    return Path("runs") / f"{task}-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _say_what_failed(failures: Mapping[str, str], directory: RunDirectory) -> None:
    for name, why in list(failures.items())[:5]:
        messages.print(f"[red]failed[/red] {name}: {why}", highlight=False)
    messages.print(
        f"{len(failures)} sequences ended early; the same command with "
        f"--out {directory.path} --resume goes on with them",
        highlight=False,
    )


def _say_how_to_go_on(watcher: RunProgress, directory: RunDirectory) -> None:
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if "--out" not in words:
        words += ["--out", str(directory.path)]
    done = f"{watcher.done} of {watcher.total} steps are kept" if watcher.total else "nothing was begun"
    messages.print(
        f"interrupted; {done}. To go on:\n  llm-as-rnn {shlex.join(words)} --resume", highlight=False, soft_wrap=True
    )
