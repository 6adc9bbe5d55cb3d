"""Cumulative regret, drawn: what following the best reference would have saved so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.bands import band
from llm_as_rnn.metrics.curves import Scores, regret, strongest
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.table import Steps, tabulate
from llm_as_rnn.report.charts import Chart, Line, Style, line_chart


def regret_charts(task: Task, steps: Steps, looks: Sequence[Style]) -> list[Chart]:
    """Draw each metric's cumulative regret against the best reference, the mean over sequences, of all other methods.

    References are those whose lines are dashed. There is no chart where there are none, or nobody else.
    """
    table = tabulate(task, steps)
    charts: list[Chart] = []
    for metric in task_metrics(task):
        scores = table.scored(metric)
        best = strongest({look.method: scores[look.method] for look in looks if look.dashed}, metric)
        lines = [line for look in looks if best and not look.dashed and (line := _line(look, metric, scores, best))]
        if lines:
            title = f"{metric.title}, cumulative regret against {best}"
            charts.append(Chart(title, "below 0: better than it", line_chart(lines, title, lower=-float("inf"))))
    return charts


def _line(look: Style, metric: Metric, scores: Mapping[str, Scores], best: str) -> Line | None:
    tracks = regret(scores[look.method], scores[best], higher_is_better=metric.higher_is_better)
    return Line(look, tracks.curve, band(tracks)) if tracks.t else None
