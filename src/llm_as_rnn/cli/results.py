"""What a person sees of a run at its end: the table, what to be careful about, and where the report is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from llm_as_rnn.cli.progress import waiting
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Status
from llm_as_rnn.metrics.estimates import PairedDifference
from llm_as_rnn.metrics.judged import agreement_in_words, agreements, in_words, judging
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.metrics.table import Table, tabulate
from llm_as_rnn.metrics.traces import Traces
from llm_as_rnn.report.answers import answers
from llm_as_rnn.report.charts import advice_charts, score_charts, styles
from llm_as_rnn.report.html import write_page, write_report
from llm_as_rnn.report.pictures import write_pictures
from llm_as_rnn.report.regrets import regret_charts
from llm_as_rnn.report.tables import evidence, plain_table, results_table
from llm_as_rnn.report.trust import trust_charts
from llm_as_rnn.report.versus import Run, paired_results, render_comparison, require_same_data
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import needs_model

FEW = 5
"""So many names are given as examples."""


def show_run(directory: RunDirectory, console: Console, sequences: Collection[str] = ()) -> RunInfo:
    """Read a run's journal again; write ``scores.json`` and ``report.html``; print the table.

    Parameters
    ----------
    directory : RunDirectory
        The run's folder.
    console : Console
        Where to print.
    sequences : collection of str
        Those whose steps are to be on the page; by default all, as far as there is room.

    Raises
    ------
    RunError
        If the folder holds no run, or cannot be written.
    UsageError
        If it has no such sequence.
    """
    with waiting("writing the report"):
        info, steps = directory.current(), directory.steps()
        _require_there(sequences, steps)
        table = tabulate(info.task, steps)
        summaries = summarise(info.task, table, info.spec.settings.coverage)
        told = _write_scores(directory, info, steps, summaries)
        run = {**msgspec.to_builtins(info), **({"judging": told} if told else {})}
        write_report(
            directory.report,
            info.task,
            run,
            table,
            summaries,
            directory.lessons(),
            directory.prompts(),
            sequences,
        )
    console.print(Text.assemble("\n", (info.task.title, "bold"), f": {_what(info, table, summaries)}"))
    console.print(results_table(info.task, summaries))
    shown = evidence(info.task, summaries)
    if shown:
        console.print()
        console.print(plain_table(shown))
    for line in (*_remarks(info, summaries), *filter(None, [str(table.calls)]), *told.values()):
        console.print(line, style="dim")
    console.print(f"report: {directory.report}", soft_wrap=True)
    return info


def _require_there(sequences: Collection[str], steps: Traces) -> None:
    known = dict.fromkeys(sequence for _, sequence in steps.names)
    for name in sequences:
        if name not in known:
            some = ", ".join([*list(known)[:FEW], *(["..."] if len(known) > FEW else [])])
            raise UsageError(f"the run has no sequence {name!r}", f"name one of its {len(known)}: {some}")


def _write_scores(
    directory: RunDirectory, info: RunInfo, steps: Traces, summaries: Sequence[MethodSummary]
) -> dict[str, str]:
    """Write ``scores.json``, and say in words what judges found, if any were asked, by what they judged."""
    judged = judging(info.task, steps, directory.judgements())
    told = {summary.field: in_words(summary, str(directory.path)) for summary in judged}
    agreed = agreements(info.task, steps)
    told |= {names: agreement_in_words(names, found) for names, found in agreed.items()}
    scores = {"methods": summaries, **({"judging": judged, "agreement": agreed} if judged else {})}
    directory.write("scores.json", scores, private=info.credentialed)
    return told


def draw(directory: RunDirectory) -> list[Path]:
    """Write a run's charts as pictures.

    Raises
    ------
    RunError
        If the folder holds no run, or cannot be written.
    """
    with waiting("drawing pictures"):
        info = directory.info()
        table = tabulate(info.task, directory.steps())
        coverage = info.spec.settings.coverage
        summaries = summarise(info.task, table, coverage)
        looks = styles(summaries)
        drawn = (draw(info.task, table, looks) for draw in (score_charts, regret_charts, advice_charts))
        charts = [chart for charts in drawn for chart in charts]
        charts += trust_charts(info.task, table, summaries, looks, coverage)
        charts += [chart for view in answers(info.task, table, looks) for chart in view.charts]
        return write_pictures(directory.path / "pictures", charts, private=info.credentialed)


def require_comparable(directories: Sequence[RunDirectory]) -> None:
    """Refuse runs that cannot be compared step by step.

    Raises
    ------
    UsageError
        If they are not of the same task, or not on the same data.
    """
    infos = [directory.info() for directory in directories]
    if len({info.spec.task_digest for info in infos}) > 1:
        names = ", ".join(sorted({info.spec.task for info in infos}))
        raise UsageError(f"runs of different tasks cannot be compared ({names})", "compare runs of one task")
    require_same_data({str(directory.path): directory.records() for directory in directories})


def show_comparison(directories: Sequence[RunDirectory], console: Console, page: Path) -> None:
    """Print how several runs differ, and their methods in one table; write it all to a page.

    Parameters
    ----------
    directories : sequence of RunDirectory
        Runs that `require_comparable` lets pass.
    console : Console
        Where to print.
    page : Path
        The page's file.

    Raises
    ------
    RunError
        If the page cannot be written.
    """
    infos = [directory.info() for directory in directories]
    task, credentialed = infos[0].task, any(info.credentialed for info in infos)
    with waiting("comparing the runs"):
        runs = [
            Run(
                str(directory.path),
                _differences(info, infos),
                records,
                summarise(info.task, records, info.spec.settings.coverage),
            )
            for directory, info in zip(directories, infos, strict=True)
            for records in [directory.records()]
        ]
        rows = [
            msgspec.structs.replace(summary, method=f"{number} {summary.method}")
            for number, run in enumerate(runs, 1)
            for summary in run.summaries
        ]
        write_page(page, render_comparison(task, runs, rows, credentialed=credentialed), private=credentialed)
        paired = paired_results(task, runs)
    console.print("\ncompared", style="bold")
    for number, run in enumerate(runs, 1):
        console.print(f"{number}: {run.path}{run.settings}", soft_wrap=True)
    console.print(results_table(task, rows))
    if paired.rows:
        console.print()
        console.print(plain_table(paired))
        for line in _of_intervals(rows):
            console.print(line, style="dim")
    console.print(f"comparison: {page}", soft_wrap=True)


def _what(info: RunInfo, table: Table, summaries: Sequence[MethodSummary]) -> str:
    """Say what a run is on, who answered, and with what memory."""
    if not needs_model(info.spec.methods):
        return f"{_size(table)}, no model was asked"
    remembers = any(summary.memory_tokens is not None for summary in summaries)
    memory = f", memory of at most {info.spec.settings.budget} tokens" if remembers else ""
    return f"{info.spec.model}, {_size(table)}{memory}"


def _size(table: Table) -> str:
    """Say how many sequences there are, and how long they are."""
    lengths = {int(length) for one in table.methods.values() for length in one.lengths}
    sequences = table.sequences
    longest = max(lengths, default=0)
    upto = "up to " if len(lengths) > 1 else ""
    return f"{sequences} sequence{'s' * (sequences != 1)} of {upto}{longest} step{'s' * (longest != 1)}"


def _differences(info: RunInfo, infos: Sequence[RunInfo]) -> str:
    named = info.spec.named
    names = [name for name in named if any(other.spec.named[name] != named[name] for other in infos)]
    return "".join(f", {name} {named[name]}" for name in names if not name.endswith("_digest"))


def _why_incomplete(info: RunInfo) -> str:
    if info.status == "running":
        return "it is running now"
    if info.status == "interrupted":
        return "it was interrupted, and its command goes on with it when given again with --out and --resume"
    return "sequences ended early" if info.failures else "no call to the model succeeded"


def _remarks(info: RunInfo, summaries: Sequence[MethodSummary]) -> list[str]:
    remarks = []
    if info.credentialed:
        remarks.append("this folder holds credentialed data: it is for its owner only, and must not be shared")
    if any(summary.reasoning_tokens and summary.statuses[Status.TRUNCATED] for summary in summaries):
        remarks.append("some answers were cut short by thinking: a run with a larger --thinking leaves room for it")
    if info.status != "finished":
        remarks.append(f"this run is not complete: {_why_incomplete(info)}")
    elif missing := _missing(info, summaries):
        remarks.append(f"steps are missing in the journal, which was cut: {missing}")
    if info.engine.left_out:
        remarks.append(
            f"the server refused these fields of requests, so they were left out: {', '.join(info.engine.left_out)}"
        )
    remarks += info.engine.remarks
    if info.engine.tokenizer == "estimate" and needs_model(info.spec.methods):
        remarks.append("tokens are estimated to the long side: this server offers no tokenizer")
    if any(summary.failed for summary in summaries):
        remarks.append("steps without a usable answer count as wrong, and as the farthest end of a number's range")
    return [*remarks, *_of_intervals(summaries)]


def _missing(info: RunInfo, summaries: Sequence[MethodSummary]) -> str:
    """Say which methods of a run that came to its end have fewer steps than others; empty if none has."""
    steps = dict.fromkeys(info.spec.methods, 0) | {one.method: one.steps for one in summaries}
    most = max(steps.values(), default=0)
    if not most:
        return "it holds none"
    return ", ".join(f"{name} has {found} of {most}" for name, found in steps.items() if found < most)


def _of_intervals(summaries: Sequence[MethodSummary]) -> list[str]:
    """Say what stands in brackets, and what p is."""
    scores = [score for summary in summaries for score in summary.scores.values()]
    over = {score.interval.over for score in scores if score.interval}
    remarks = []
    if "sequences" in over:
        remarks.append("in brackets: 95 % bootstrap intervals over sequences")
    elif "steps" in over:
        remarks.append("in brackets: 95 % bootstrap intervals over stretches of the one sequence, not over others")
    elif scores:
        remarks.append("one sequence with few known outcomes: no interval can be given")
    if any(isinstance(score.beyond_reference, PairedDifference) and score.beyond_reference.p for score in scores):
        remarks.append("p: sign-flip test, corrected for the differences of its table (Holm)")
    return remarks
