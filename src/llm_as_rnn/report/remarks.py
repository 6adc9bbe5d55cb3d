"""What is to be said of a run beside its figures: what it is on, and what to be careful about."""

from __future__ import annotations

from collections.abc import Sequence

from llm_as_rnn.core.records import Status
from llm_as_rnn.metrics.estimates import PairedDifference
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.metrics.table import Table
from llm_as_rnn.runs.directory import RunInfo
from llm_as_rnn.runs.execute import needs_model


def content(info: RunInfo, table: Table, summaries: Sequence[MethodSummary]) -> str:
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


def _why_incomplete(info: RunInfo) -> str:
    if info.status == "running":
        return "it is running now"
    if info.status == "interrupted":
        return "it was interrupted, and its command goes on with it when given again with --out and --resume"
    return "sequences ended early" if info.failures else "no call to the model succeeded"


def remarks(info: RunInfo, summaries: Sequence[MethodSummary]) -> list[str]:
    """Say what to be careful about, and what stands in brackets."""
    found = []
    if info.credentialed:
        found.append("this folder holds credentialed data: it is for its owner only, and must not be shared")
    if any(summary.reasoning_tokens and summary.statuses[Status.TRUNCATED] for summary in summaries):
        found.append("some answers were cut short by thinking: a run with a larger --thinking leaves room for it")
    if info.status != "finished":
        found.append(f"this run is not complete: {_why_incomplete(info)}")
    elif missing := _missing(info, summaries):
        found.append(f"steps are missing in the journal, which was cut: {missing}")
    if info.engine.left_out:
        found.append(
            f"the server refused these fields of requests, so they were left out: {', '.join(info.engine.left_out)}"
        )
    found += info.engine.remarks
    if info.engine.tokenizer == "estimate" and needs_model(info.spec.methods):
        found.append("tokens are estimated to the long side: this server offers no tokenizer")
    if any(summary.failed for summary in summaries):
        found.append("steps without a usable answer count as wrong, and as the farthest end of a number's range")
    return [*found, *of_intervals(summaries)]


def _missing(info: RunInfo, summaries: Sequence[MethodSummary]) -> str:
    """Say which methods of a run that came to its end have fewer steps than others; empty if none has."""
    steps = dict.fromkeys(info.spec.methods, 0) | {one.method: one.steps for one in summaries}
    most = max(steps.values(), default=0)
    if not most:
        return "it holds none"
    return ", ".join(f"{name} has {found} of {most}" for name, found in steps.items() if found < most)


def of_intervals(summaries: Sequence[MethodSummary]) -> list[str]:
    """Say what stands in brackets, and what p is."""
    scores = [score for summary in summaries for score in summary.scores.values()]
    over = {score.interval.over for score in scores if score.interval}
    found = []
    if "sequences" in over:
        lone = ", and over stretches of a lone one, not over others" if "steps" in over else ""
        found.append(f"in brackets: 95 % bootstrap intervals over sequences{lone}")
    elif "steps" in over:
        found.append("in brackets: 95 % bootstrap intervals over stretches of the one sequence, not over others")
    elif scores and any(summary.sequences > 1 for summary in summaries):
        found.append("so few sequences, which agree by chance, tell nothing of others: no interval can be given")
    elif scores:
        found.append("one sequence with few known outcomes: no interval can be given")
    if any(isinstance(score.beyond_reference, PairedDifference) and score.beyond_reference.p for score in scores):
        found.append("p: sign-flip test, corrected for the differences of its table (Holm)")
    return found
