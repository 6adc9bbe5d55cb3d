"""What a person sees of a run at its end: the table, what to be careful about, and where the report is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from llm_as_rnn.cli.progress import waiting
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.metrics.judged import agreement_in_words, agreements, in_words, judging
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.metrics.traces import Traces
from llm_as_rnn.report.answers import answers
from llm_as_rnn.report.charts import advice_charts, score_charts, styles
from llm_as_rnn.report.compared import Comparison
from llm_as_rnn.report.html import write_report
from llm_as_rnn.report.pictures import write_pictures
from llm_as_rnn.report.regrets import regret_charts
from llm_as_rnn.report.remarks import content, of_intervals, remarks
from llm_as_rnn.report.tables import evidence, plain_table, results_table
from llm_as_rnn.report.trust import trust_charts
from llm_as_rnn.report.words import in_short
from llm_as_rnn.runs.directory import RunDirectory, RunInfo

FEW = 5
"""So many names are given as examples."""


def show_run(
    directory: RunDirectory,
    console: Console,
    sequences: Collection[str] = (),
    prices: Mapping[str, Price] | None = None,
) -> RunInfo:
    """Read a run's journal again; write ``scores.json`` and ``report.html``; print the table.

    Parameters
    ----------
    directory : RunDirectory
        The run's folder.
    console : Console
        Where to print.
    sequences : collection of str
        Those whose steps are to be on the page; by default all, as far as there is room.
    prices : mapping of str to Price, optional
        What tokens cost, by model.

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
    console.print(Text.assemble("\n", (info.task.title, "bold"), f": {content(info, table, summaries)}"))
    console.print(results_table(info.task, summaries))
    shown = evidence(info.task, summaries)
    if shown:
        console.print()
        console.print(plain_table(shown))
    words = in_short(info, summaries, (prices or {}).get(info.spec.model))
    for line in ("", *words, "") if words else ():
        console.print(line, soft_wrap=True)
    for line in (*remarks(info, summaries), *filter(None, [str(table.calls)]), *told.values()):
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


def show_comparison(directories: Sequence[RunDirectory], console: Console, page: Path) -> None:
    """Print how several runs differ, and their methods in one table; write it all to a page.

    Parameters
    ----------
    directories : sequence of RunDirectory
        Runs that `compared.require_comparable` lets pass.
    console : Console
        Where to print.
    page : Path
        The page's file.

    Raises
    ------
    RunError
        If the page cannot be written.
    """
    with waiting("comparing the runs"):
        comparison = Comparison(directories)
        comparison.write(page)
        paired = comparison.paired
    console.print("\ncompared", style="bold")
    for line in comparison.named:
        console.print(line, soft_wrap=True)
    console.print(results_table(comparison.task, comparison.rows))
    if paired.rows:
        console.print()
        console.print(plain_table(paired))
        for line in of_intervals(comparison.rows):
            console.print(line, style="dim")
    console.print(f"comparison: {page}", soft_wrap=True)
