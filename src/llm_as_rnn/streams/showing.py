"""How a learner shows itself in a notebook: where it stands, what it predicted last, and what it learned last."""

from __future__ import annotations

from llm_as_rnn.core import notebook
from llm_as_rnn.core.task import Task
from llm_as_rnn.streams.online import Stream


def learner_html(task: Task, method: str, model: str, budget: int, stream: Stream | None) -> str:
    """Show a learner.

    Parameters
    ----------
    task : Task
        What it predicts.
    method, model : str
        Who predicts.
    budget : int
        The most tokens that its memory may hold.
    stream : Stream or None
        Where it stands; None for one that is not open yet.
    """
    head = task.title or task.name
    if stream is None:
        return notebook.page(notebook.title(head, method, model, "not open"))
    count = f"{stream.t} step{'s' * (stream.t != 1)}"
    parts = [notebook.title(head, method, model, count, f"{len(stream.waiting)} waiting for their outcomes")]
    if stream.waiting:
        latest = stream.waiting[-1]
        parts.append(notebook.part(f"latest prediction, {latest.id}"))
        parts.append(notebook.line(notebook.fields(latest.observation.fields), faint=True))
        parts.append(notebook.prediction(latest.prediction))
    if stream.versions:
        present = stream.versions[-1]
        before = stream.versions[-2].memory if len(stream.versions) > 1 else None
        parts.append(notebook.part(notebook.memory_title(present.memory, budget)))
        parts.append(notebook.line(_how(present.t, present.reason, present.author), faint=True))
        parts.append(notebook.memory(present.memory, before))
    return notebook.page(*parts)


def _how(t: int | None, reason: str, author: str) -> str:
    """Say how a version came about."""
    by = f"by {author}" if author else "" if t is None else f"by the outcome of step {t}"
    return ", ".join(filter(None, (f"last change {by}".strip() if by else "as it began", reason)))
