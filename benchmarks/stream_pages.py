"""The page of a stream in docs/results: for each model what every method came to, and what that shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.report.charts import score_charts, styles
from llm_as_rnn.report.pictures import picture
from llm_as_rnn.report.tables import (
    NONE,
    Cell,
    Column,
    Results,
    Row,
    evidence,
    followed,
    markdown,
    results,
)
from step_tables import Table

MADE = "<!-- Made by `make results` from the tables in steps/: a change belongs there. -->"
"""What every page that is made here says of itself."""


def but_advised(part: Table) -> str:
    """Name the methods that took the advice of one that asked the model: its calls stand there."""
    names = " and ".join(f"`{one.method}`" for one in part.summaries if one.by_advice is not UNSET)
    return f", but for {names}: what `{Recurrent.name}` was asked goes into it" if names else ""


def picture_name(part: Table, metric: Metric) -> str:
    """Name the picture of a metric."""
    return f"{part.origin.name}-{metric.mean.replace('.', '-').replace('@', '-')}.svg"


def pictures(part: Table) -> Iterator[tuple[Metric, str]]:
    """Draw the learning curves of the main metrics."""
    charts = score_charts(part.task, part.records, styles(part.summaries))
    for metric in part.main_metrics:
        chart = next((chart for chart in charts if chart.title.startswith(f"{metric.title}, ")), None)
        if chart:
            yield metric, picture(chart)


def stream_page(parts: Sequence[Table]) -> str:
    """Write a stream's page: a part for each model."""
    task = parts[0].task
    lines = [f"# {task.title}", MADE, about_data(task)]
    for part in parts:
        lines += [f"## {part.origin.model}", about_run(part), markdown(results(task, part.summaries))]
        lines.append(
            "In brackets: 95 % intervals over sequences; the best of a column is bold. Errors count failed answers at "
            f"their worst. Methods without calls ask no model{but_advised(part)}. Seconds were taken on a machine that "
            "did other things as well, and was stopped at times: [others](speed.md) can be compared."
        )
        compared = evidence(task, part.summaries)
        if compared:
            lines += [
                "What that shows, on the same steps: each minus who is named above its column, or as its row says. In "
                "brackets: 95 % intervals, bold where they leave out 0. p: sign-flip test, corrected for all "
                "differences of the table by Holm's method; of few sequences it cannot be small, however clear a "
                "difference looks ([how](../statistics.md)).",
                markdown(compared, "difference"),
            ]
        cases = followed(part.summaries)
        if cases:
            lines += [
                "What became of the cases in the memory, as shares of steps at which it had some: a case that was "
                "right was *held*, the one shown again was right (*found*), and was *followed*; *misled* is by wrong "
                "ones.",
                markdown(cases),
            ]
        trusted = trust_table(part)
        if trusted:
            lines += [
                "Whether predictions can be taken at their word, after the first third of each sequence:",
                markdown(trusted),
            ]
        curves = [(metric.title, picture_name(part, metric)) for metric, _ in pictures(part)]
        if curves:
            lines.append(
                "Over time, as running means in which each sequence weighs alike. In the table each step does: where "
                "sequences are of different length, lines end elsewhere than its figures."
            )
        lines += [f"![{title} of every method against the timestep]({name})" for title, name in curves]
    return "\n\n".join(lines) + "\n"


def about_data(task: Task) -> str:
    """Say whose data it is, where that is known."""
    source = DATASETS.get(task.dataset)
    predicted = ", ".join(f"`{field.name}` ({field.about})" for field in task.answer)
    whose = f" Data: {source.source}; {source.licence}." if source else ""
    return f"Predicted: {predicted}.{whose} [All streams](README.md)."


def about_run(part: Table) -> str:
    """Say what was run, and with which settings."""
    origin, settings = part.origin, part.origin.settings
    first = part.summaries[0]
    lengths = {record.t + 1 for record in part.records}
    late = f" Outcomes came {origin.delay} steps late." if origin.delay else ""
    said = (
        f"{first.sequences} sequences of at most {max(lengths)} steps, {first.steps} in all, of the part "
        f"`{origin.split}`, seed {settings['seed']}.{late}"
    )
    if origin.model != "no model":
        said += (
            f" Memory of at most {settings['budget']} tokens, rule `{settings['rule']}`, form `{settings['form']}`, "
            f"style `{settings['style']}`, sampling `{settings['sampling']}`."
        )
    version = origin.versions.get("llm-as-rnn", "")
    return f"{said} Version {version}, {origin.started[:10]}; every step is in [steps/](steps/{origin.name}.csv.gz)."


TRUSTED = (
    ("coverage", "coverage of 0.9"),
    ("calibration_error", "calibration error"),
    ("calibration_by_chance", "by chance alone"),
    ("log_loss", "log loss"),
)
"""What is shown of trust after the first third of each sequence (see `metrics.trusted`), and its title."""


def trust_table(part: Table) -> Results | None:
    """Lay out coverage and calibration of each field, where the steps say anything of these."""
    found = {one.method: getattr(one, "trust", UNSET) or {} for one in part.summaries}
    fields = [field.name for field in part.task.answer]
    columns = [Column(f"{name}: {title}", "") for name in fields for _, title in TRUSTED]
    rows = []
    for summary in part.summaries:
        trust = found[summary.method]
        later = [getattr(trust[name], "later", None) if name in trust else None for name in fields]
        figures = [getattr(one, key, None) for one in later for key, _ in TRUSTED]
        if any(figure is not None for figure in figures):
            cells = tuple(Cell(NONE if figure is None else f"{figure:.2f}") for figure in figures)
            rows.append(Row(summary.method, cells, summary.is_reference))
    return Results(tuple(columns), tuple(rows)) if rows else None
