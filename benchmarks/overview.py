"""The page on all streams in docs/results: what one may believe, in ten sentences that are counted from the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from statistics import mean, median
from typing import NamedTuple

from msgspec import UNSET

from llm_as_rnn.catalogue import ADVISED, FREE_ADVICE
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import shown
from llm_as_rnn.metrics.comparisons import across, corrected
from llm_as_rnn.metrics.curves import Scores, by_sequence
from llm_as_rnn.metrics.estimates import Gain, Interval, PairedDifference, Trust
from llm_as_rnn.metrics.summary import MethodSummary, by_method
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.report.sweeps import TOGETHER
from llm_as_rnn.report.tables import (
    NONE,
    Cell,
    Column,
    Results,
    Row,
    difference_cell,
    markdown,
    signed,
)
from llm_as_rnn.report.words import is_told
from step_tables import Table
from stream_pages import MADE

CARRIED = f"{ADVISED}:carry=true"
LOOK_UP = "nearest_case"
PUBLISHED = "streaming_icl"
MADE_UP = "probe-"
"""How the names of streams begin that this project made up."""

TEXTS = ("banking77", "ddxplus", "finer", "intents")
"""The streams whose observations are texts in words of their own: what a model adds is looked for there."""

AIM = 0.13
"""Twice the paper's gain over the strongest baseline."""


class Comparison(NamedTuple):
    """A method, and what its scores say of it (see `summary.Score`)."""

    method: str
    kind: str


AGAINST_FREE, CARRIED_AGAINST_FREE, ALONE_AGAINST_FREE = (
    Comparison(method, "beyond_reference") for method in (ADVISED, CARRIED, Recurrent.name)
)
MODEL_ADDS = Comparison(ADVISED, "model_adds")

COMPARED = (
    (f"`{ADVISED}` against the best of all that ask no model, chosen afterwards", AGAINST_FREE),
    (f"`{CARRIED}`, which begins each sequence with what earlier ones showed, against the same", CARRIED_AGAINST_FREE),
    (f"`{Recurrent.name}`, which takes no advice, against the same", ALONE_AGAINST_FREE),
    (f"What the model adds (`{ADVISED}` against the same advice without it)", MODEL_ADDS),
)
"""What is counted over all streams, and how that is said."""

GAINS = tuple(Comparison(method, "gain") for method in (ADVISED, Recurrent.name))
"""Over the strongest baseline that asks a model."""


class Line(NamedTuple):
    """One main metric of one table: what the overview's rows and sentences are made of."""

    part: Table
    metric: Metric

    @property
    def is_made_up(self) -> bool:
        """Whether its stream was made up here."""
        return self.part.origin.stream.startswith(MADE_UP)

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

    def found(self, comparison: Comparison) -> PairedDifference | Gain | None:
        """Give what was found; None where there is nothing to compare."""
        one = self.summaries.get(comparison.method)
        found = getattr(one.scores[self.metric.mean], comparison.kind) if one else UNSET
        return None if found is UNSET else found

    def compared(self, comparison: Comparison) -> PairedDifference | None:
        """Give the difference, if it is one."""
        found = self.found(comparison)
        return found if isinstance(found, PairedDifference) else None

    def scores(self, comparison: Comparison) -> tuple[Scores, Scores] | None:
        """Give the scores of both that are compared, by sequence and timestep."""
        found = self.found(comparison)
        if found is None:
            return None
        records = by_method(self.part.records)
        other = found.strongest if isinstance(found, Gain) else found.other
        return by_sequence(records[comparison.method], self.metric.name), by_sequence(records[other], self.metric.name)


def overview(read: Sequence[Table]) -> str:
    """Write the page on all streams: what one may believe, and the whole table."""
    lines = [Line(part, metric) for part in read for metric in part.main_metrics]
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
                difference_cell(line.metric, line.compared(MODEL_ADDS)),
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
        f"({', '.join(sorted(models))}), {steps} steps in all of each method that is in all tables, "
        f"{counted(len(lines), 'score')}; counts below are of scores. *Together* is the mean difference in accuracy "
        "over all streams that a model was asked on but the probes, which are made up: each counts alike, and p is "
        f"corrected for all that is compared so here ([how](../statistics.md)). {best_references(lines)}"
    )
    together = all_streams(lines)
    for said, comparison in COMPARED:
        found = [(line.ahead(one), is_told(one)) for line in lines if (one := line.compared(comparison))]
        yield f"{said}: {tally(found)}.{told_together(together, comparison)}"
    published = sum(any(one.method == PUBLISHED for one in part.summaries) for part in read)
    yield " ".join(
        [
            *(gains(gain, lines) + told_together(together, gain) for gain in GAINS),
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
        f"{len(found) - ahead - behind} of {len(found)}; told from chance, with all comparisons of its run taken into "
        f"account, better in {sure}, worse in {surely_not}"
    )


def counts(found: Iterable[Interval | None]) -> tuple[int, int]:
    """Count the intervals that are above 0, and those below."""
    there = [ends for ends in found if ends]
    return sum(ends.low > 0 for ends in there), sum(ends.high < 0 for ends in there)


ALL, TEXTS_ALONE = "Together", f"On texts alone (of {', '.join(TEXTS)})"
"""Which streams are compared together, and how that is said."""

Place = tuple[str, Comparison, str]
"""A model, what is compared, and on which streams."""

Together = dict[Place, PairedDifference]
"""What that comes to."""


def all_streams(lines: Sequence[Line]) -> Together:
    """Compare on the labels of all streams together that are not made up, with p values corrected for each other.

    What the model adds is looked at on texts alone as well.
    """
    found: dict[Place, list[tuple[Scores, Scores]]] = {}
    real = [line for line in lines if line.metric.is_share and not line.is_made_up]
    for line, comparison in product(real, (*(one for _, one in COMPARED), *GAINS)):
        scores = line.scores(comparison)
        kinds = [ALL, *[TEXTS_ALONE] * (comparison == MODEL_ADDS and line.part.origin.stream in TEXTS)]
        if scores:
            for kind in kinds:
                found.setdefault((line.part.origin.label, comparison, kind), []).append(scores)
    several = {key: one for key, pairs in found.items() if (one := across(pairs))}
    return corrected({key: one for key, one in several.items() if one.streams != 1})


def told_together(together: Together, comparison: Comparison) -> str:
    """Say what a comparison comes to on several streams together, model by model."""
    said: dict[str, list[str]] = {}
    for (model, of, kind), one in sorted(together.items()):
        if of == comparison:
            cell = difference_cell(TOGETHER.metric, one)
            said.setdefault(kind, []).append(
                f"{cell.text} {cell.detail} with {model} ({one.sequences} sequences of {one.streams} streams)"
            )
    return "".join(f" {kind}: {'; '.join(said[kind])}." for kind in (ALL, TEXTS_ALONE) if kind in said)


def gains(comparison: Comparison, lines: Sequence[Line]) -> str:
    """Say by how much a method is better than the strongest baseline."""
    method = comparison.method
    found = [(one, line.is_made_up) for line in lines if isinstance(one := line.found(comparison), Gain)]
    if not found:
        return f"`{method}` was measured beside no baseline that asks a model."
    values = [gain.value for gain, _ in found]
    real = [gain.value for gain, made_up in found if not made_up]
    clear = sum(gain.interval is not None and gain.interval.low > 0 for gain, _ in found)
    aim = f" (the aim was {percent(AIM)})" if method == ADVISED else ""
    without = f", {percent(mean(real))} without the probes, which are made up" if 0 < len(real) < len(found) else ""
    return (
        f"`{method}` gains {percent(mean(values))} over the strongest LLM baseline on average{aim}, "
        f"{percent(median(values))} in the middle (median){without}; "
        f"the interval is above 0 in {clear} of {len(found)}."
    )


def percent(share: float) -> str:
    """Write a gain in percent.

    >>> percent(0.142), percent(-0.001), percent(-0.05).isascii()
    ('+14 %', '0 %', False)
    """
    return f"{signed(100 * share, 0)} %"


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
    found = [one.later for one in trusts(read, ADVISED)]
    covered = [one.coverage for one in found if one.coverage is not None]
    off = [one.calibration_error for one in found if one.calibration_error is not None]
    if not covered and not off:
        return "Nothing is said of intervals and chances: these steps were predicted without them."
    alone = [one.calibration_by_chance for one in found if one.calibration_by_chance is not None]
    carried = [one.whole.coverage for one in trusts(read, CARRIED) if one.whole.coverage is not None]
    whole = (
        f" Of `{CARRIED}`, to which all sequences of a table are one long stream, over all its steps: in "
        f"{within(carried)} of {len(carried)}."
    )
    below = sum(error < 0.05 for error in off)
    return (
        f"Of `{ADVISED}`, after the first third: intervals and sets that should hold 0.9 hold 0.88 to 0.92 in "
        f"{within(covered)} of {len(covered)}; the calibration error of chances is under 0.05 in {below} of {len(off)} "
        f"(with so few answers chances that are all right would have {_range(alone)} on average)."
        f"{whole if carried else ''}"
    )


def trusts(read: Sequence[Table], method: str) -> list[Trust]:
    """Give what a method's predictions could be trusted for, field by field."""
    found = (one for part in read for one in part.summaries if one.method == method)
    return [trust for one in found for trust in (one.trust or {}).values()]


def within(covered: Iterable[float]) -> int:
    """Count the shares that are as they should be, or nearly."""
    return sum(0.88 <= share <= 0.92 for share in covered)


def _range(figures: Sequence[float]) -> str:
    return f"{min(figures):.2f} to {max(figures):.2f}" if figures else NONE
