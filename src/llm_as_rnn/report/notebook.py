"""How runs and comparisons show themselves in notebooks: the tables of the report, and the summary in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from llm_as_rnn.core import notebook
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.metrics.table import Table
from llm_as_rnn.report.remarks import content, of_intervals, remarks
from llm_as_rnn.report.tables import Cell, Results, evidence, results
from llm_as_rnn.report.words import in_short
from llm_as_rnn.runs.directory import RunInfo

if TYPE_CHECKING:
    from llm_as_rnn.report.compared import Comparison


def run_html(info: RunInfo, table: Table, summaries: Sequence[MethodSummary]) -> str:
    """Show a run: what it is on, its results, and what it comes to in words."""
    shown = evidence(info.task, summaries)
    return notebook.page(
        notebook.title(info.task.title, content(info, table, summaries), info.status),
        results_html(results(info.task, summaries)),
        *([results_html(shown, "difference")] if shown else []),
        *map(notebook.line, in_short(info, summaries)),
        *(notebook.line(text, faint=True) for text in remarks(info, summaries)),
    )


def comparison_html(comparison: Comparison) -> str:
    """Show runs beside each other, and how their methods differ."""
    paired = comparison.paired
    return notebook.page(
        notebook.title(f"{comparison.task.title}: {len(comparison.runs)} runs compared"),
        *map(notebook.line, comparison.named),
        results_html(comparison.results),
        *([results_html(paired, "difference")] if paired.rows else []),
        *(notebook.line(text, faint=True) for text in of_intervals(comparison.rows)),
    )


def results_html(content: Results, first: str = "method") -> Markup:
    """Lay out a table; the best of each column are bold."""
    rows = [(row.method, *map(_cell, row.cells)) for row in content.rows]
    return notebook.table((first, *(column.title for column in content.columns)), rows, figures=True)


def _cell(cell: Cell) -> Markup:
    text = Markup("<b>{}</b>").format(cell.text) if cell.best else Markup("{}").format(cell.text)
    return text + (Markup(' <span style="{}">{}</span>').format(notebook.FAINT, cell.detail) if cell.detail else "")
