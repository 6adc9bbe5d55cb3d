"""One self-contained page a run: its table, its charts, and a viewer of every step.

What stands in a journal was written by models and by whoever made the data, so none of it is trusted. The template
escapes everything, the viewer's data cannot end its script tag, the viewer itself only ever sets text, and the page's
own policy lets nothing run or load but the style sheet and script that it came with.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from llm_as_rnn.catalogue import asks_model
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.metrics.table import Steps, Table, tabulate
from llm_as_rnn.report import tables
from llm_as_rnn.report.answers import answers
from llm_as_rnn.report.charts import advice_charts, score_charts, styles
from llm_as_rnn.report.packing import viewer
from llm_as_rnn.report.regrets import regret_charts
from llm_as_rnn.report.trust import choosing_table, trust_charts, trust_table
from llm_as_rnn.runs.asked import NO_PROMPTS, Prompts
from llm_as_rnn.runs.versions import Event
from llm_as_rnn.viewer import LOOK, STATIC

TEMPLATES = Path(__file__).parent / "templates"

_IMPORTS = re.compile(r"^import \{.*\} from .*\n", re.MULTILINE)

FEW_SEQUENCES = 10
"""Below this, intervals are rough, and the page says so: those of skewed scores hold the truth less often than told."""

Lessons = Mapping[tuple[str, str], Sequence[Event]]

_NO_LESSONS: Lessons = MappingProxyType({})

STYLES = (LOOK[0], "charts.css", *LOOK[1:], "report.css")
"""The style sheets of every page that is made here."""

environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Asset(NamedTuple):
    """A file that becomes part of the page, and its fingerprint for the page's content security policy."""

    text: Markup
    digest: str


def write_report(
    path: Path,
    task: Task,
    run: Mapping[str, Any],
    steps: Steps,
    summaries: Sequence[MethodSummary],
    lessons: Lessons = _NO_LESSONS,
    prompts: Prompts = NO_PROMPTS,
    sequences: Collection[str] = (),
) -> None:
    """Write a run's page, at once: whoever opens it sees the old one or the new one.

    Parameters
    ----------
    path : Path
        Where to; its folder must exist.
    task : Task
        What was predicted.
    run : mapping
        The content of ``run.json``; the page shows whatever is there. With credentialed data the file is for its owner
        only, and says at its top what it holds.
    steps : iterable of StepRecord, or Table
        The journal.
    summaries : sequence of MethodSummary
        What it comes to, one a method of ``steps``.
    lessons : mapping
        What sequences left to those after them (see `runs.versions.lessons`).
    prompts : Prompts
        What the model was asked (see `runs.asked`).
    sequences : collection of str
        Those whose steps are to be on the page; by default all, as far as there is room (see `report.packing`).

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    page = render_report(task, run, steps, summaries, lessons, prompts, sequences)
    write_page(path, page, private=bool(run.get("credentialed")))


def write_page(path: Path, page: str, *, private: bool = False) -> None:
    """Write a page, at once, for its owner only if it is private.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    try:
        write_atomically(path, page.encode("utf-8", "replace"), private=private)
    except OSError as error:
        raise RunError(f"the report {path} cannot be written: {error.strerror or error}", "check the folder") from error


def render_report(
    task: Task,
    run: Mapping[str, Any],
    steps: Steps,
    summaries: Sequence[MethodSummary],
    lessons: Lessons = _NO_LESSONS,
    prompts: Prompts = NO_PROMPTS,
    sequences: Collection[str] = (),
) -> str:
    """Make a run's page; parameters as for `write_report`."""
    budget, coverage = _spec(run).get("budget"), _coverage(run)
    looks = styles(summaries)
    table = tabulate(task, steps)
    data = viewer(
        task,
        table.traces,
        budget if isinstance(budget, int) else None,
        sequences=sequences,
        asked=prompts.messages,
        unasked=prompts.problem,
    )
    return environment.get_template("report.html.j2").render(
        task=task,
        facts=facts(run, table),
        credentialed=bool(run.get("credentialed")),
        remote_data=_show(run.get("remote_data", ())),
        status=str(run.get("status", "")),
        results=tables.results(task, summaries),
        evidence=tables.evidence(task, summaries),
        over_steps=any(one.interval.over == "steps" for s in summaries for one in s.scores.values() if one.interval),
        differences=tables.differences(task, table, summaries),
        corrections=tables.corrections(task, summaries),
        sequences=table.scored_sequences,
        few_sequences=FEW_SEQUENCES,
        looks=looks,
        charts=[
            *score_charts(task, table, looks),
            *regret_charts(task, table, looks),
            *advice_charts(task, table, looks),
        ],
        followed=tables.followed(summaries),
        choosing=choosing_table(task, table, looks),
        trust=trust_table(task, summaries),
        trust_charts=trust_charts(task, table, summaries, looks, coverage),
        answers=answers(task, table, looks),
        lessons=lessons,
        settings=settings(run),
        data=data,
        head=Markup(data.head),  # noqa: S704 - script_json escapes what could end the tag
        style=asset(*STYLES),
        script=asset("dom.js", "viewer.js", "steps.js"),
    )


def facts(run: Mapping[str, Any], table: Table) -> list[tuple[str, str]]:
    """Say what run this is, in a few pairs of name and value; what is not known is left out."""
    spec, versions = _spec(run), _part(run, "versions")
    budget, seconds = spec.get("budget"), run.get("seconds")
    methods_named = spec.get("methods")
    asked = not isinstance(methods_named, list | tuple) or any(asks_model(str(name)) for name in methods_named)
    if not asked:
        spec, budget = {}, None  # settings of a model that nobody asked
    pairs = {
        "model": _show(spec.get("model", "")) if asked else "none was asked",
        "recorded": f"{_count(len(table.methods), 'method')}, {_count(table.sequences, 'sequence')}, "
        f"{_count(table.steps, 'step')} in all",
        "memory budget": f"{_show(budget)} tokens" if budget is not None else "",
        "prompts": ", ".join(_show(spec[name]) for name in ("form", "style", "layout") if name in spec),
        "update rule": _show(spec.get("rule", "")),
        "feedback": _show(spec.get("feedback", "")),
        "sampling": _show(spec.get("sampling", "")),
        "failed calls": str(table.calls),
        "status": _show(run.get("status", "")),
        "started": _show(run.get("started", "")),
        "took": duration(seconds) if isinstance(seconds, int | float) else "",
        "llm-as-rnn": _show(versions.get("llm-as-rnn", "")),
    }
    return [(name, value) for name, value in pairs.items() if value]


def settings(run: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """List everything in run.json by its part; plain values come first, as the run's own."""
    if isinstance(run.get("spec"), dict):
        run = {**run, "spec": _spec(run)}
    plain = [(name, _show(value)) for name, value in run.items() if not isinstance(value, dict)]
    parts = [
        (name, [(key, _show(value)) for key, value in part.items()])
        for name, part in run.items()
        if isinstance(part, dict)
    ]
    return [(name, pairs) for name, pairs in [("run", plain), *parts] if pairs]


def duration(seconds: float) -> str:
    """Write a time span for people.

    >>> duration(412.7), duration(8.25), duration(7325)
    ('6 min 53 s', '8.2 s', '2 h 2 min')
    """
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


@cache
def asset(*names: str) -> Asset:
    """Read files as one part of a page: those of the folder of templates, and those that other pages have too.

    Scripts are modules that import each other from their beginnings; here they are one.
    """
    places = (TEMPLATES / name if (TEMPLATES / name).exists() else STATIC / name for name in names)
    text = _IMPORTS.sub("", "".join(place.read_text(encoding="utf-8") for place in places))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Asset(Markup(text), f"sha256-{digest}")  # noqa: S704 - the package's own files


def _part(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = run.get(name)
    return part if isinstance(part, dict) else {}


def _spec(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what decides a run's results, its settings among the rest."""
    spec = _part(run, "spec")
    rest = {name: value for name, value in spec.items() if name != "settings"}
    return {**rest, **_part(spec, "settings")}


def _coverage(run: Mapping[str, Any]) -> float:
    """Give what intervals and sets were asked to hold: what is usual where the run does not say."""
    found = _spec(run).get("coverage")
    return float(found) if isinstance(found, int | float) else Settings().coverage


def _show(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(map(str, value))
    if isinstance(value, list | tuple):
        return "\n".join(map(_show, value))
    if isinstance(value, str | int | float):
        return str(value)
    return "" if value is None else msgspec.json.encode(value).decode()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
