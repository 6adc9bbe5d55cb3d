"""What a run shows of each method beside the others.

That is its score against the best reference's, its gain over the strongest baseline, and what a model adds to advice
that is free without it. Who stands where follows from what methods do (`MethodSummary.is_reference`, ``is_baseline``,
``by_advice``), not from their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.metrics.comparisons import corrected, difference, gain
from llm_as_rnn.metrics.curves import Scores, strongest
from llm_as_rnn.metrics.estimates import PairedDifference
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.metrics.table import Table

ADDS, BEYOND = "model_adds", "beyond_reference"


def with_evidence(table: Table, summaries: Sequence[MethodSummary], advised: Sequence[str]) -> list[MethodSummary]:
    """Add to summaries what they show beside each other.

    All differences of a run are one table: their p values are corrected for each other.

    Parameters
    ----------
    table : Table
        Each method's steps, and the task.
    summaries : sequence of MethodSummary
        One a method.
    advised : sequence of str
        The methods that go by advice, with a model among their advisers or without.
    """
    found: dict[tuple[str, str, str], PairedDifference] = {}
    gains = {}
    for metric in task_metrics(table.task):
        scores = table.scored(metric)
        found |= _differences(metric, scores, summaries, advised)
        baselines = {one.method: scores[one.method] for one in summaries if one.is_baseline}
        for one in summaries:
            if not (one.is_reference or one.is_baseline) and metric.mean in one.scores and any(baselines.values()):
                gains[one.method, metric.mean] = gain(scores[one.method], baselines, metric)
    shown: dict[tuple[str, str], dict[str, object]] = {place: {"gain": best} for place, best in gains.items() if best}
    for (method, mean, kind), difference_found in corrected(found).items():
        shown.setdefault((method, mean), {})[kind] = difference_found
    return [_with(summary, shown) for summary in summaries]


def _differences(
    metric: Metric, scores: Mapping[str, Scores], summaries: Sequence[MethodSummary], advised: Sequence[str]
) -> dict[tuple[str, str, str], PairedDifference]:
    references = {one.method: scores[one.method] for one in summaries if one.is_reference}
    best = strongest(references, metric)
    free = next((method for method in advised if method in references), None)
    found = {}
    for one in summaries:
        if not one.is_reference and metric.mean in one.scores:
            others = {BEYOND: best, ADDS: free if one.method in advised else None}
            for kind, other in others.items():
                compared = difference(scores[one.method], references[other], other) if other else None
                if compared:
                    found[one.method, metric.mean, kind] = compared
    return found


def _with(summary: MethodSummary, shown: Mapping[tuple[str, str], Mapping[str, object]]) -> MethodSummary:
    scores = {
        mean: msgspec.structs.replace(score, **shown.get((summary.method, mean), {}))
        for mean, score in summary.scores.items()
    }
    return msgspec.structs.replace(summary, scores=scores)
