"""The pages in docs/results, from tables that are committed: no model is needed to make them again.

    python benchmarks/results.py collect SWEEP_DIR [FOLDER]     tables of a sweep's runs, where they may be shown
    python benchmarks/results.py build [FOLDER]                 pages and pictures of the tables (`make results`)

FOLDER is docs/results unless it is named; tables lie in its ``steps``. The sweep is ``benchmarks/results.yaml``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import msgspec
from msgspec import UNSET

import step_tables
from llm_as_rnn.catalogue import ADVISED, FREE_ADVICE
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import shown
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.metrics.estimates import Interval, PairedDifference
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.report.charts import score_charts, styles
from llm_as_rnn.report.pictures import picture
from llm_as_rnn.report.tables import (
    NONE,
    Cell,
    Column,
    Results,
    Row,
    difference_cell,
    evidence,
    followed,
    markdown,
    results,
)
from llm_as_rnn.report.words import is_told
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import needs_model

HERE = Path(__file__).parents[1] / "docs" / "results"
CARRIED = f"{ADVISED}:carry=true"
LOOK_UP = "nearest_case"
PUBLISHED = "streaming_icl"
MADE_UP = "probe-"
"""How the names of streams begin that this project made up."""

AIM = 0.13
"""Twice the paper's gain over the strongest baseline."""

MADE = "<!-- Made by `make results` from the tables in steps/: a change belongs there. -->"
"""What every page that is made here says of itself."""


class Table(NamedTuple):
    """A table that was read, and what it comes to."""

    origin: step_tables.Origin
    records: list[StepRecord]
    summaries: list[MethodSummary]

    @property
    def task(self) -> Task:
        """By which it is scored."""
        return self.origin.task


def collect(sweep: Path, folder: Path) -> Iterator[str]:
    """Make tables of a sweep's runs, and say of each what became of it."""
    for file in sorted(sweep.glob("*/*/run.json")):
        directory = RunDirectory(file.parent)
        info = directory.info()
        if info.credentialed:
            yield f"{file.parent}: left out, the terms of its data forbid showing it"
        elif info.status != "finished":
            yield f"{file.parent}: left out, it is {info.status}"
        else:
            origin = step_tables.Origin.of(file.parent.name, info, asked=needs_model(info.spec.methods))
            yield str(step_tables.write(folder / "steps", origin, directory.records()))


def build(folder: Path) -> Iterator[Path]:
    """Make the pages and pictures of all tables, and name them."""
    read = [table(folder / "steps", origin) for origin in step_tables.origins(folder / "steps")]
    if not read:
        return
    for stream, group in groupby(read, key=lambda one: one.origin.stream):
        parts = list(group)
        for part in parts:
            for metric, svg in pictures(part):
                yield written(folder / picture_name(part, metric), svg)
        yield written(folder / f"{stream}.md", stream_page(parts))
    yield written(folder / "README.md", overview(read))


def table(folder: Path, origin: step_tables.Origin) -> Table:
    """Read one table."""
    records = step_tables.read(folder, origin)
    followed = step_tables.followed(folder, origin)
    summaries = [
        msgspec.structs.replace(one, following=followed.get(one.method, UNSET))
        for one in summarise(origin.task, records)
    ]
    return Table(origin, records, summaries)


def written(path: Path, text: str) -> Path:
    """Write a file, and give its path."""
    path.write_text(text, encoding="utf-8")
    return path


# --- a stream's page --------------------------------------------------------------------------------------------------


def but_advised(part: Table) -> str:
    """Name the methods that took the advice of one that asked the model: its calls stand there."""
    names = " and ".join(f"`{one.method}`" for one in part.summaries if one.by_advice is not UNSET)
    return f", but for {names}: what `{Recurrent.name}` was asked goes into it" if names else ""


def main_metrics(part: Table) -> list[Metric]:
    """List the first metric of each field that there are scores of: a judge's are not, where none was asked."""
    first: dict[str, Metric] = {}
    for metric in task_metrics(part.task):
        if any(metric.mean in one.scores for one in part.summaries):
            first.setdefault(metric.field, metric)
    return list(first.values())


def picture_name(part: Table, metric: Metric) -> str:
    """Name the picture of a metric."""
    return f"{part.origin.name}-{metric.mean.replace('.', '-').replace('@', '-')}.svg"


def pictures(part: Table) -> Iterator[tuple[Metric, str]]:
    """Draw the learning curves of the main metrics."""
    charts = score_charts(part.task, part.records, styles(part.summaries))
    for metric in main_metrics(part):
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
            lines += ["What that shows, on the same steps:", markdown(compared, "difference")]
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
            lines += ["Whether predictions can be taken at their word:", markdown(trusted)]
        for metric, _ in pictures(part):
            alt = f"{metric.title} of every method against the timestep; the figures are in the table above"
            lines.append(f"![{alt}]({picture_name(part, metric)})")
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


# --- the overview -----------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """One main metric of one table: what the overview's rows and sentences are made of."""

    part: Table
    metric: Metric

    @property
    def summaries(self) -> dict[str, MethodSummary]:
        """By method: those that are scored by it."""
        return {one.method: one for one in self.part.summaries if self.metric.mean in one.scores}

    def best(self, methods: Iterable[str]) -> str | None:
        """Name the best of some methods over all steps."""
        sign = 1 if self.metric.higher_is_better else -1
        values = {name: sign * self.summaries[name].scores[self.metric.mean].value for name in methods}
        return max(values, key=lambda name: values[name], default=None)

    @property
    def reference(self) -> str | None:
        """The best reference, those that go by advice left out."""
        known = self.summaries.items()
        return self.best(name for name, one in known if one.is_reference and name != FREE_ADVICE)

    @property
    def baseline(self) -> str | None:
        """The strongest baseline that asks a model."""
        return self.best(name for name, one in self.summaries.items() if one.is_baseline)

    def ahead(self, compared: PairedDifference) -> Interval | None:
        """Give by how much a method is ahead of another: above 0 is better, for errors too; None if none can tell."""
        ends = compared.interval
        if ends is None:
            return None
        return ends if self.metric.higher_is_better else Interval(-ends.high, -ends.low)

    def compared(self, method: str, kind: str) -> PairedDifference | None:
        """Give the difference itself."""
        one = self.summaries.get(method)
        found = getattr(one.scores[self.metric.mean], kind, UNSET) if one else UNSET
        return found if isinstance(found, PairedDifference) else None


def overview(read: Sequence[Table]) -> str:
    """Write the page on all streams: what one may believe, and the whole table."""
    lines = [Line(part, metric) for part in read for metric in main_metrics(part)]
    believed = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(beliefs(read, lines), 1))
    explained = (
        "A row for each stream, model and main score, means over all steps: accuracies between 0 and 1, errors (MAE) "
        "in the field's unit, less is better. *Strongest LLM* is the best of the baselines that ask a model and have "
        "no memory, *best reference* the best of those that ask none; `free_advice` weighs the references, `advised` "
        f"these and `recurrent`; *carried* is `{CARRIED}`; *the model adds* is the difference of the two without "
        "`carry`, with its 95 % interval, bold where that leaves out 0. Each stream's page has all methods, costs and "
        "curves."
    )
    again = (
        "`make results` makes these pages again from the tables in `steps/`, without a model. The tables are made by "
        "`llm-as-rnn sweep benchmarks/results.yaml`, some of them with fewer or shorter sequences than stand there, as "
        "their pages say, and `python benchmarks/results.py collect`: see [sweeps](../sweeps.md), also for what was "
        "left out; how the memory's rules were chosen, and on what, is told in [its own page](memory.md), and "
        "[another](speed.md) has what a step costs beside other frameworks, in time and under faults."
    )
    parts = [
        "# What one may believe",
        MADE,
        believed,
        "## All streams",
        explained,
        markdown(whole(lines), "stream"),
        again,
    ]
    return "\n\n".join(parts) + "\n"


def whole(lines: Sequence[Line]) -> Results:
    """Lay out the whole table."""
    titles = (
        "model",
        "score",
        ADVISED,
        "carried",
        Recurrent.name,
        "strongest LLM",
        "best reference",
        FREE_ADVICE,
        "the model adds",
    )
    rows = tuple(
        Row(
            f"[{line.part.origin.stream}]({line.part.origin.stream}.md)",
            (
                Cell(line.part.origin.label),
                Cell(line.metric.title),
                *(score_of(line, name) for name in (ADVISED, CARRIED, Recurrent.name)),
                *(score_of(line, name, named=True) for name in (line.baseline, line.reference)),
                score_of(line, FREE_ADVICE),
                difference_cell(line.compared(ADVISED, "model_adds")),
            ),
            is_reference=False,
        )
        for line in lines
    )
    return Results(tuple(Column(title, "") for title in titles), rows)


def score_of(line: Line, method: str | None, *, named: bool = False) -> Cell:
    """Show one method's score, and who that is where the column does not say."""
    if method is None or method not in line.summaries:
        return Cell(NONE)
    return Cell(shown(line.summaries[method].scores[line.metric.mean].value, 2), method if named else "")


def beliefs(read: Sequence[Table], lines: Sequence[Line]) -> Iterator[str]:
    """Say in about ten sentences what the tables show, and what they do not."""
    streams, models = ({getattr(part.origin, what) for part in read} for what in ("stream", "label"))
    steps = sum(part.summaries[0].steps for part in read)
    yield (
        f"What follows is of {counted(len(streams), 'stream')} and {counted(len(models), 'model')} "
        f"({', '.join(sorted(models))}), {steps} steps of each method in all, {counted(len(lines), 'score')}; counts "
        f"below are of scores. {best_references(lines)}"
    )
    free = f"`{ADVISED}` against the best of all that ask no model, chosen afterwards"
    carried = f"`{CARRIED}`, which begins each sequence with what earlier ones showed, against the same"
    alone = f"`{Recurrent.name}`, which takes no advice, against the same"
    adds = f"What the model adds (`{ADVISED}` against the same advice without it)"
    for said, method, kind in (
        (free, ADVISED, "beyond_reference"),
        (carried, CARRIED, "beyond_reference"),
        (alone, Recurrent.name, "beyond_reference"),
        (adds, ADVISED, "model_adds"),
    ):
        found = [
            (line.ahead(compared), is_told(compared)) for line in lines if (compared := line.compared(method, kind))
        ]
        yield f"{said}: {tally(found)}."
    published = sum(any(one.method == PUBLISHED for one in part.summaries) for part in read)
    yield " ".join(
        [
            *(gains(method, lines) for method in (ADVISED, Recurrent.name)),
            f"`{PUBLISHED}`, the strongest that is published, is in {published} of {counted(len(read), 'table')}.",
        ]
    )
    yield memories(read, lines)
    yield f"{cost(read)} {failures(read)}"
    yield trustworthy(read)
    yield (
        "An interval is over sequences like these: it says nothing of other streams, other models, or other prompts. "
        "Six sequences, as most pages have, prove nothing once several methods are compared, however clear it looks. "
        "What is in no table here has not been measured."
    )


def counted(number: int, what: str) -> str:
    """Write a number of things.

    >>> counted(1, "stream"), counted(3, "stream")
    ('1 stream', '3 streams')
    """
    return f"{number} {what}{'s' * (number != 1)}"


def tally(found: Sequence[tuple[Interval | None, bool]]) -> str:
    """Count who is ahead by their intervals, and where that is told from chance; without an interval nothing can be.

    >>> tally([(Interval(0.1, 0.3), True), (Interval(-0.1, 0.3), False), (None, False)])[:63]
    'by its interval better in 1, worse in 0, not to be told apart i'
    """
    if not found:
        return "not measured"
    ahead, behind = counts([ends for ends, _ in found])
    sure, surely_not = counts([ends for ends, told in found if told])
    return (
        f"by its interval better in {ahead}, worse in {behind}, not to be told apart in "
        f"{len(found) - ahead - behind} of {len(found)}; told from chance, with all comparisons of its page taken into "
        f"account, better in {sure}, worse in {surely_not}"
    )


def counts(found: Iterable[Interval | None]) -> tuple[int, int]:
    """Count the intervals that are above 0, and those below."""
    there = [ends for ends in found if ends]
    return sum(ends.low > 0 for ends in there), sum(ends.high < 0 for ends in there)


def gains(method: str, lines: Sequence[Line]) -> str:
    """Say by how much a method is better than the strongest baseline."""
    found = [
        (gain, line.part.origin.stream.startswith(MADE_UP))
        for line in lines
        if method in line.summaries and (gain := line.summaries[method].scores[line.metric.mean].gain) is not UNSET
    ]
    if not found:
        return f"`{method}` was measured beside no baseline that asks a model."
    values = [gain.value for gain, _ in found]
    real = [gain.value for gain, made_up in found if not made_up]
    clear = sum(gain.interval is not None and gain.interval.low > 0 for gain, _ in found)
    aim = f" (the aim was {AIM:.0%})" if method == ADVISED else ""
    without = f", {mean(real):+.0%} without the probes, which are made up" if 0 < len(real) < len(found) else ""
    return (
        f"`{method}` gains {mean(values):+.0%} over the strongest LLM baseline on average{aim}, {median(values):+.0%} "
        f"in the middle (median){without}; the interval is above 0 in {clear} of {len(found)}."
    )


def memories(read: Sequence[Table], lines: Sequence[Line]) -> str:
    """Say whether the cases of memories were followed, and how soon the memory is worth more than a look-up."""
    told = [one.following for part in read for one in part.summaries if one.method == Recurrent.name]
    found = [(one.steps * one.found, one.followed) for one in told if one is not UNSET and one.followed is not None]
    weight = sum(steps for steps, _ in found)
    share = f"{sum(steps * part for steps, part in found) / weight:.2f}" if weight else NONE
    thirds = [pair for line in lines if line.metric.is_share and (pair := first_third(line))]
    above, level = sum(own > other for own, other in thirds), sum(own == other for own, other in thirds)
    of = f"in the {counted(len(found), 'table')} that have its cases, "
    return (
        f"Of the steps at which the case that `{Recurrent.name}` was shown again was right, {share} were answered as "
        f"it said ({of}the aim was 0.9). In the first third of each sequence it is above `{LOOK_UP}` in {above}, level "
        f"in {level} of {counted(len(thirds), 'score')} of labels."
    )


def first_third(line: Line) -> tuple[float, float] | None:
    """Give the mean score of `recurrent` and of looking up the nearest case in the first third of each sequence."""
    steps: dict[str, dict[tuple[str, int], float]] = {Recurrent.name: {}, LOOK_UP: {}}
    lengths: dict[str, int] = {}
    for one in line.part.records:
        lengths[one.sequence] = max(lengths.get(one.sequence, 0), one.t + 1)
    for one in line.part.records:
        score = one.scores.get(line.metric.name)
        if one.method in steps and score is not None and 3 * one.t < lengths[one.sequence]:
            steps[one.method][one.sequence, one.t] = score
    own, other = (list(scores.values()) for scores in steps.values())
    return (mean(own), mean(other)) if own and other else None


def best_references(lines: Sequence[Line]) -> str:
    """Say which references are hard to beat."""
    names = [line.reference for line in lines if line.reference]
    often = sorted({(-names.count(name), name) for name in names})
    named = ", ".join(f"`{name}` in {-times}" for times, name in often)
    return f"The best reference is {named}: these ask no model, and whoever asks one is to be compared with them."


def cost(read: Sequence[Table]) -> str:
    """Say what learning costs."""
    named = {name: [one for part in read for one in part.summaries if one.method == name] for name in COSTED}
    told = [
        f"`{name}` {sum(one.calls for one in found) / len(found):.1f} calls and "
        f"{sum(one.prompt_tokens for one in found) / len(found):.0f} prompt tokens"
        for name, found in named.items()
        if found
    ]
    if not told:
        return "No model was asked, so nothing is said of costs."
    return f"A step costs on average: {'; '.join(told)}; `{ADVISED}` costs what `{Recurrent.name}` does."


COSTED = (Recurrent.name, "full_history", "zero_shot")


def failures(read: Sequence[Table]) -> str:
    """Say how many answers could not be used."""
    asking = [one for part in read for one in part.summaries if one.calls]
    steps, failed = sum(one.steps for one in asking), sum(one.failed for one in asking)
    share = f": {failed} of {steps} answers of models could not be used" if steps else ""
    return f"Failed answers are counted as wrong, and errors at their worst, everywhere{share}."


def trustworthy(read: Sequence[Table]) -> str:
    """Say whether intervals and chances held, after the first third of each sequence."""
    found = [
        trust.later
        for part in read
        for one in part.summaries
        if one.method == ADVISED
        for trust in (getattr(one, "trust", UNSET) or {}).values()
    ]
    covered = [one.coverage for one in found if one.coverage is not None]
    off = [one.calibration_error for one in found if one.calibration_error is not None]
    if not covered and not off:
        return "Nothing is said of intervals and chances: these steps were predicted without them."
    alone = [one.calibration_by_chance for one in found if one.calibration_by_chance is not None]
    within = sum(0.88 <= share <= 0.92 for share in covered)
    below = sum(error < 0.05 for error in off)
    return (
        f"Of `{ADVISED}`, after the first third: intervals and sets that should hold 0.9 hold 0.88 to 0.92 in {within} "
        f"of {len(covered)}; the calibration error of chances is under 0.05 in {below} of {len(off)} (with so few "
        f"answers chances that are all right would have {_range(alone)} on average)."
    )


def _range(figures: Sequence[float]) -> str:
    return f"{min(figures):.2f} to {max(figures):.2f}" if figures else NONE


def main(what: str, *paths: str) -> None:
    """Do what was asked for, and say what was done."""
    if what == "collect":
        sweep, folder = Path(paths[0]), Path(*paths[1:]) if paths[1:] else HERE
        done: Iterable[str | Path] = collect(sweep, folder)
    elif what == "build":
        done = build(Path(*paths) if paths else HERE)
    else:
        raise SystemExit(__doc__)
    for line in done:
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:] or ("",))
