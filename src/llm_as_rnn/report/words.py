"""What a run comes to, in a few lines for somebody who reads no table: what won, by how much, what it cost, what next.

Nothing is said here that the table does not hold. Where an interval has zero in it, it is said that it may be chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import UNSET

from llm_as_rnn.catalogue import ADVISED, own_settings
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import shown, time_span
from llm_as_rnn.core.variants import read_variant
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.metrics.estimates import Interval, PairedDifference
from llm_as_rnn.metrics.scores import field_metrics
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.report.tables import difference_decimals, difference_ends, p_value, usual_decimals
from llm_as_rnn.runs.directory import RunInfo

CLEARLY_FAILED = 0.1
"""The share of steps without a usable answer from which on that is what to see to first."""

NEARLY_FULL = 0.9
"""The share of the budget from which on a memory was full."""

FEWEST = 10
"""With fewer sequences the test can hardly prove any difference among several, however clear."""

MOST_SEQUENCES = 1000
"""Where more than so many would be needed to tell a difference from chance, there is none to speak of."""


def in_short(info: RunInfo, summaries: Sequence[MethodSummary], price: Price | None = None) -> list[str]:
    """Say what won, by how much, what it cost and what to try next.

    Parameters
    ----------
    info : RunInfo
        The run.
    summaries : sequence of MethodSummary
        One a method.
    price : Price, optional
        Of the model's tokens, where somebody has said it.

    Returns
    -------
    list of str
        A line for the first score of each field, one where no difference could be told from chance, one for the cost,
        one for each thing to try; none for a run without steps.
    """
    if not any(summary.scores for summary in summaries):
        return []
    lines = [line for metric in _firsts(info, summaries) if (line := _won(metric, summaries))]
    lines += [f"chance: {said}" for said in [_too_few(summaries)] if said]
    lines += [f"cost: {cost}" for cost in [_cost(info, summaries, price)] if cost]
    return lines + [f"next: {what}" for what in _next(info, summaries)]


def _firsts(info: RunInfo, summaries: Sequence[MethodSummary]) -> Iterator[Metric]:
    """Give the first metric of each field that has any score."""
    for field in info.task.answer:
        there = (one for one in field_metrics(field) if any(one.mean in summary.scores for summary in summaries))
        yield from [first] if (first := next(there, None)) else []


def _best(metric: Metric, summaries: Sequence[MethodSummary]) -> MethodSummary | None:
    scored = [one for one in summaries if metric.mean in one.scores]
    sign = 1 if metric.higher_is_better else -1
    return max(scored, key=lambda one: sign * one.scores[metric.mean].value, default=None)


def _asking(summaries: Sequence[MethodSummary]) -> list[MethodSummary]:
    return [one for one in summaries if not one.is_reference]


def _beyond(metric: Metric, one: MethodSummary) -> PairedDifference | None:
    found = one.scores[metric.mean].beyond_reference
    return found if isinstance(found, PairedDifference) else None


def _won(metric: Metric, summaries: Sequence[MethodSummary]) -> str:
    """Say who is best by a metric, and whether a model was needed for it."""
    best, asking = _best(metric, summaries), _best(metric, _asking(summaries))
    if best is None:
        return ""
    digits = usual_decimals(metric, [one.scores[metric.mean].value for one in summaries if metric.mean in one.scores])
    if asking is None or (compared := _beyond(metric, asking)) is None:
        only = sum(metric.mean in one.scores for one in summaries) == 1
        return f"{metric.title}: {best.method} {'has' if only else 'is best with'} {_value(metric, best, digits)}"
    ahead = compared.mean if metric.higher_is_better else -compared.mean
    apart = difference_decimals(metric, compared)
    figure, ends = shown(abs(compared.mean), apart), _ends(compared.interval, apart)
    has = f"{metric.title}: {asking.method} has {_value(metric, asking, digits)}"
    if float(figure) == 0:
        return f"{has}, as {compared.other} has without a model{ends}"
    sure = "" if is_told(compared) else f", {_doubt(compared)}"
    if ahead < 0:
        return f"{has}; {compared.other} is better by {figure} without a model{ends}{sure}"
    return f"{has}, better than {compared.other} (no model) by {figure}{ends}{sure}"


def _value(metric: Metric, one: MethodSummary, digits: int) -> str:
    return shown(one.scores[metric.mean].value, digits)


def _ends(ends: Interval | None, digits: int) -> str:
    """Write the interval of a difference as tables do; nothing where there is none."""
    return "" if ends is None else f" {difference_ends(ends, digits)}"


def is_told(compared: PairedDifference) -> bool:
    """Tell whether a difference is told from chance: by its interval, and by the test where one could be made."""
    from llm_as_rnn.metrics.resampling import LIKELY  # noqa: PLC0415 - it brings numpy

    return _clear(compared) and (_p(compared) is None or (_p(compared) or 0.0) <= LIKELY)


def _doubt(compared: PairedDifference) -> str:
    if not _clear(compared):
        return "which may be chance"
    return f"which so few sequences cannot prove ({p_value(_p(compared) or 0.0)})"


def _clear(compared: PairedDifference) -> bool:
    return compared.interval is not None and compared.interval.without_zero


def _p(compared: PairedDifference) -> float | None:
    return compared.p if compared.p_holm is None else compared.p_holm


def _too_few(summaries: Sequence[MethodSummary]) -> str:
    """Say that no difference of a run could be told from chance, however large; empty if one could be."""
    from llm_as_rnn.metrics.resampling import enough, signs_of  # noqa: PLC0415 - as above

    tested = [one for one in _compared(summaries) if one.p is not None]
    most = max(tested, key=lambda one: signs_of(one.sequences, one.steps), default=None)
    if most is None or (signs := signs_of(most.sequences, most.steps)) >= (needed := enough(len(tested))):
        return ""
    many = f"any of {len(tested)} differences" if len(tested) > 1 else "a difference"
    least = p_value(min(1.0, len(tested) * 2 / 2**signs))
    told = f"to tell {many} from it, however large ({least} at best)"
    if most.sequences == 1:
        return f"one sequence of {most.steps} known outcomes is too short {told}"
    return f"{most.sequences} sequences are too few {told}: it takes {needed}"


def _compared(summaries: Sequence[MethodSummary]) -> list[PairedDifference]:
    """Give all differences of a run, whose p values are corrected for each other."""
    scores = [score for one in summaries for score in one.scores.values()]
    found = [one for score in scores for one in (score.beyond_reference, score.model_adds)]
    return [one for one in found if isinstance(one, PairedDifference)]


def _cost(info: RunInfo, summaries: Sequence[MethodSummary], price: Price | None) -> str:
    """Say what all calls took, and the run as a whole; empty where no call was made."""
    calls = sum(one.calls * one.steps for one in summaries)
    if not calls:
        return ""
    read = sum(one.prompt_tokens * one.steps for one in summaries)
    written = sum(one.completion_tokens * one.steps for one in summaries)
    cached = sum((one.cached_tokens or 0) * one.steps for one in summaries)
    again = f", {cached / read:.0%} of them from the engine's cache" if cached and read else ""
    money = f", {price.of(round(read), round(cached), round(written)):.4g} by the prices given" if price else ""
    time = f", in {time_span(info.seconds)}" if info.seconds else ""
    return f"{calls:,.0f} calls, {read:,.0f} tokens read{again}, {written:,.0f} written{time}{money}"


def _next(info: RunInfo, summaries: Sequence[MethodSummary]) -> Iterator[str]:
    """Say what to try, what matters most first: no more than two things."""
    found = [*_troubles(info, summaries), *_comparisons(info, summaries), *_memories(info, summaries)]
    yield from dict.fromkeys(found[:2])


def _troubles(info: RunInfo, summaries: Sequence[MethodSummary]) -> Iterator[str]:
    failing = [one for one in _asking(summaries) if one.failed > CLEARLY_FAILED * one.steps]
    if failing and info.reasons:  # then answers could not be had at all, whatever their form
        yield (
            "mend why calls failed, which stands below; then the same command with --out, --resume and --retry-failed "
            "asks again"
        )
        return
    if info.status in ("interrupted", "failed"):
        yield "give the same command again with --out and --resume: this run is not complete"
    if failing:
        worst = max(failing, key=lambda one: one.failed / one.steps)
        other = "json" if info.spec.settings.form == "line" else "line"
        yield (
            f"{worst.failed} of {worst.steps} answers of {worst.method} could not be used: the report shows them; "
            f"--form {other} or a larger model may help"
        )


def _comparisons(info: RunInfo, summaries: Sequence[MethodSummary]) -> Iterator[str]:
    """Say what would tell more about whether a model is worth it."""
    metric = next(_firsts(info, summaries), None)
    asking = _best(metric, _asking(summaries)) if metric else None
    if metric is None or asking is None or (compared := _beyond(metric, asking)) is None:
        return
    ahead = compared.mean if metric.higher_is_better else -compared.mean
    needed = _needed(compared, len(_compared(summaries)))
    if ahead > 0 and is_told(compared):
        if info.spec.split == "development":
            yield "see whether it holds on data that nothing was tuned on: --split held_out"
    elif ahead > 0 and needed:
        yield (
            f"about {needed:,} sequences would tell {asking.method}'s lead from chance, if it stays as it is "
            f"(--sequences; this run has {compared.sequences})"
        )
    else:
        if name := _to_carry(info, summaries):
            yield (
                f"{name}:carry=true as one more method (--methods, --resume): it asks no model, and begins each "
                "sequence with whom earlier ones showed it to believe"
            )
        yield f"a larger model (-m), longer sequences (--steps), or {compared.other} alone, which costs nothing"


def _to_carry(info: RunInfo, summaries: Sequence[MethodSummary]) -> str:
    """Name a method whose advice begins anew in each of several sequences, where none has carried it on."""
    advised = [one for one in summaries if read_variant(one.method).method == ADVISED]
    carried = any(own_settings(one.method, info.spec.settings).carry for one in advised)
    there = [one.method for one in advised if one.by_advice is not UNSET and one.sequences > 1]
    return there[0] if there and not carried else ""


def _needed(compared: PairedDifference, comparisons: int) -> int | None:
    """Estimate how many sequences would take zero out of an interval; None where it cannot be told, or too many."""
    from llm_as_rnn.metrics.resampling import enough  # noqa: PLC0415 - as above

    ends = compared.interval
    if ends is None or ends.over != "sequences" or not compared.mean:
        return None
    ratio = (ends.high - ends.low) / 2 / abs(compared.mean)
    many = compared.sequences * ratio * ratio
    least = max(compared.sequences + 1, FEWEST, enough(comparisons))
    return max(least, math.ceil(round(many, 6))) if many <= MOST_SEQUENCES else None


def _memories(info: RunInfo, summaries: Sequence[MethodSummary]) -> Iterator[str]:
    for one in summaries:
        budget = own_settings(one.method, info.spec.settings).budget
        if (one.memory_tokens or 0) >= NEARLY_FULL * budget:
            yield f"the memory of {one.method} was full: --budget {2 * budget} gives it room"
