"""A run as logs of Inspect (https://inspect.aisi.org.uk), which its viewer and its readers take: one log a method.

A log is a ZIP archive of JSON: what was evaluated and what it comes to in ``header.json``, a line about each sample in
``summaries.json``, and each sample in a file of its own, which the viewer reads when it is looked at. So a log is
written a sample at a time, and Inspect need not be installed. A sample is a step: what the model was shown, what it
answered, what came, and every call with its answer as an event.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from llm_as_rnn.catalogue import own_settings
from llm_as_rnn.core.calls import Call, Message
from llm_as_rnn.core.errors import TaskError
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import finite
from llm_as_rnn.core.files import replacing
from llm_as_rnn.core.records import Form, Observation, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.report.export.columns import SCHEMA
from llm_as_rnn.report.export.files import require_folder, telling
from llm_as_rnn.report.export.tables import CREDENTIALED, Tables
from llm_as_rnn.runs.directory import RunInfo, RunStatus

FORMAT = 2
"""The version of Inspect's logs."""

STATUS: Mapping[RunStatus, str] = {"finished": "success", "failed": "error", "interrupted": "cancelled"}
"""How Inspect calls what became of a run; one that goes on is ``started``."""

STOPS = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter", "error": "unknown"}
"""How Inspect calls what ended an answer."""

SHOWN = 300
"""Characters of a text that stand in the list of samples."""


def write_logs(tables: Tables, folder: Path) -> list[Path]:
    """Write a log for each method of a run into a folder; what was written there before is replaced.

    Parameters
    ----------
    tables : Tables
        The run.
    folder : Path
        The folder; it is made if it is not there.

    Returns
    -------
    list of Path
        The logs.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    info = tables.info
    prompts = tables.directory.prompts().messages
    summaries = summarise(info.task, tables.traces, info.spec.settings.coverage)
    written = []
    with telling(folder):
        require_folder(folder, private=info.credentialed)
        for summary in summaries:
            path = folder / name_of(info, summary.method)
            with (
                replacing(path, private=info.credentialed) as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as log,
            ):
                _write_log(log, _Log(tables, summary, prompts))
            written.append(path)
    return written


def name_of(info: RunInfo, method: str) -> str:
    """Name the log of a method as Inspect names logs: when, of what, and an id."""
    when = re.sub(r"[^0-9T+-]", "-", info.started)
    task = re.sub("[^A-Za-z0-9.-]+", "-", f"{info.task.name}-{method}")
    return f"{when}_{task}_{_id(info, method)}.eval"


def _id(*parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode([msgspec.to_builtins(part) for part in parts])).hexdigest()[:22]


class _Log:
    """What a log says of one method of a run."""

    def __init__(self, tables: Tables, summary: MethodSummary, prompts: Mapping[str, Message]) -> None:
        self.tables = tables
        self.info = tables.info
        self.summary = summary
        self.method = summary.method
        self.prompts = prompts
        self.metrics = task_metrics(self.info.task)
        self.begun = datetime.fromisoformat(self.info.started or "1970-01-01T00:00:00+00:00")
        self.model = self.info.spec.model if summary.calls else "none/none"
        self.form: Form = own_settings(self.method, self.info.spec.settings).form

    def steps(self) -> Iterator[StepRecord]:
        """Go through the method's steps."""
        for method, sequence in self.tables.traces.names:
            if method == self.method:
                yield from self.tables.traces.trace(method, sequence)

    @property
    def start(self) -> dict[str, Any]:
        """What was evaluated, and how."""
        info, when = self.info, self.begun.isoformat()
        settings = msgspec.to_builtins(own_settings(self.method, info.spec.settings))
        about = {"llm_as_rnn": {"schema": SCHEMA, "run": self.tables.directory.path.name, "delay": info.spec.delay}}
        return {
            "version": FORMAT,
            "eval": {
                "eval_id": _id(info.spec, info.started, self.method),
                "run_id": _id(info.spec, info.started),
                "created": when,
                "task": f"{info.task.name}/{self.method}",
                "task_id": _id(info.spec.task_digest, self.method),
                "task_version": info.spec.task_digest,
                "task_display_name": f"{info.task.name}: {self.method}",
                "task_description": info.task.title,
                "solver": self.method,
                "solver_args": settings,
                "dataset": {
                    "name": info.task.dataset or info.task.name,
                    "samples": self.summary.steps,
                    "shuffled": False,
                },
                "model": self.model,
                "model_args": {"digest": info.spec.model_digest} if self.summary.calls else {},
                "config": {"epochs": 1, "log_samples": True},
                "packages": info.versions,
                "metadata": {**about, **({"credentialed": CREDENTIALED} if info.credentialed else {})},
                "scorers": [{"name": metric.title, "metrics": [{"name": "mean"}]} for metric in self.metrics],
            },
            "plan": {"name": "plan", "steps": [{"solver": self.method, "params": settings}]},
        }

    def header(self, usage: Mapping[str, int]) -> dict[str, Any]:
        """Give all but the samples: what was evaluated, and what it comes to."""
        info = self.info
        ended = self.begun + timedelta(seconds=info.seconds)
        found = {
            **self.start,
            "status": STATUS.get(info.status, "started"),
            "results": {
                "total_samples": self.summary.steps,
                "completed_samples": self.summary.steps - self.summary.failed,
                "scores": [score for metric in self.metrics for score in self._result(metric)],
            },
            "stats": {
                "started_at": self.begun.isoformat(),
                "completed_at": "" if info.status == "running" else ended.isoformat(),
                "model_usage": {self.model: usage} if self.summary.calls else {},
            },
        }
        if info.status == "failed":
            why = "; ".join({**info.failures, **info.reasons}) or "no call to the model succeeded"
            found["error"] = {"message": why, "traceback": "", "traceback_ansi": ""}
        return found

    def _result(self, metric: Metric) -> Iterator[dict[str, Any]]:
        score = self.summary.scores.get(metric.mean)
        if score is None:
            return
        figures = {"mean": score.value}
        if score.interval:
            figures |= {"low": score.interval.low, "high": score.interval.high}
        yield {
            "name": metric.title,
            "scorer": metric.title,
            "scored_samples": score.steps,
            "unscored_samples": self.summary.steps - score.steps,
            "metrics": {name: {"name": name, "value": value} for name, value in figures.items()},
            "metadata": {"about": metric.about},
        }

    def sample(self, step: StepRecord) -> dict[str, Any]:
        """Give a step as a sample."""
        shown = _asked(self.prompts, step)
        first = shown[0] if shown else []
        task = self.info.task
        return {
            "id": f"{step.sequence} {step.t}",
            "epoch": 1,
            "input": _observed(task, step, self.form),
            "target": _in_words(task, step.target),
            "messages": [*first, _reply(step.raw, self.model)] if step.calls else [],
            "output": _output(self.model, step.calls[0], step.raw)
            if step.calls
            else {"model": self.model, "choices": []},
            "scores": {metric.title: score for metric in self.metrics if (score := _score(task, step, metric))},
            "metadata": _about(step),
            "events": [self._event(step, place, call, shown) for place, call in enumerate(step.calls)],
            "model_usage": {self.model: usage_of(step.calls)} if step.calls else {},
            "total_time": sum(call.seconds for call in step.calls),
            "working_time": sum(call.seconds for call in step.calls),
            "uuid": _id(self.info.spec, self.info.started, step.method, step.sequence, step.t),
            **({} if step.status.answered else {"error": _error(step)}),
        }

    def _event(self, step: StepRecord, place: int, call: Call, shown: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
        # When a call was made is not known, only how long it took: what matters is their order.
        before = sum(one.seconds for one in step.calls[:place])
        return {
            "event": "model",
            "uuid": _id(self.info.started, step.method, step.sequence, step.t, place),
            "timestamp": (self.begun + timedelta(seconds=before)).isoformat(),
            "working_start": before,
            "model": self.model,
            "role": call.role,
            "input": shown[place] if place < len(shown) else [],
            "tools": [],
            "tool_choice": "none",
            "config": {},
            "output": _output(self.model, call, call.text),
            "retries": call.retries,
            **({"error": call.error} if call.error else {}),
            "working_time": call.seconds,
        }


def _write_log(file: zipfile.ZipFile, log: _Log) -> None:
    def put(name: str, value: Any) -> None:
        file.writestr(name, msgspec.json.encode(value))

    put("_journal/start.json", log.start)
    summaries = []
    calls: list[Call] = []
    for step in log.steps():
        sample = log.sample(step)
        # An id may hold any sign, as a name in the archive: nothing is ever unpacked by it.
        put(f"samples/{sample['id']}_epoch_1.json", sample)
        summaries.append(_summary(sample))
        calls += step.calls
    put("summaries.json", summaries)
    put("header.json", log.header(usage_of(calls)))


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the list of samples shows of one."""
    same = ("id", "epoch", "model_usage", "total_time", "working_time", "uuid")
    scores = {name: {"value": score["value"], "answer": score["answer"]} for name, score in sample["scores"].items()}
    return {
        **{name: sample[name] for name in same},
        "input": sample["input"][:SHOWN],
        "target": sample["target"][:SHOWN],
        "scores": scores,
        "metadata": {name: sample["metadata"][name] for name in ("sequence", "t", "status", "update")},
        "completed": True,
        "message_count": len(sample["messages"]),
        **({"error": sample["error"]["message"]} if "error" in sample else {}),
    }


def usage_of(calls: Sequence[Call]) -> dict[str, int]:
    """Add up tokens as Inspect counts them."""
    read, written = sum(call.prompt_tokens for call in calls), sum(call.completion_tokens for call in calls)
    return {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written,
        "input_tokens_cache_read": sum(call.cached_tokens or 0 for call in calls),
        "reasoning_tokens": sum(call.reasoning_tokens for call in calls),
    }


def _asked(prompts: Mapping[str, Message], step: StepRecord) -> list[list[dict[str, Any]]]:
    """Give what each call was shown, as far as it was kept."""
    kept = ([prompts[digest] for digest in digests if digest in prompts] for digests in step.asked)
    return [[{"role": message.role, "content": message.content} for message in messages] for messages in kept]


def _reply(text: str, model: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "source": "generate", "model": model}


def _output(model: str, call: Call, text: str) -> dict[str, Any]:
    choice = {"message": _reply(text, model), "stop_reason": STOPS.get(call.finish_reason, "unknown")}
    error = {"error": call.error} if call.error else {}
    return {
        "model": model,
        "choices": [choice],
        "completion": text,
        "usage": usage_of([call]),
        "time": call.seconds,
        **error,
    }


def _observed(task: Task, step: StepRecord, form: Form) -> str:
    """Show an observation by the task's template; its fields, where that asks what no journal has of a sequence."""
    try:
        return task.show(Observation(step.sequence, step.t, step.observation), form)
    except TaskError:
        return msgspec.json.encode(step.observation).decode()


def _in_words(task: Task, values: Mapping[str, Value] | None) -> str:
    return ", ".join(
        f"{field.name} {field.tell(values[field.name])}" for field in task.answer if values and field.name in values
    )


def _score(task: Task, step: StepRecord, metric: Metric) -> dict[str, Any] | None:
    if metric.name not in step.scores:
        return None
    field = next(field for field in task.answer if field.name == metric.field)
    answer = (step.prediction or {}).get(field.name)
    return {
        "value": finite(step.scores[metric.name]),
        "answer": None if answer is None else field.tell(answer),
        "explanation": step.feedback.text if step.feedback else None,
    }


def _about(step: StepRecord) -> dict[str, Any]:
    """Give what else is to be known of a step."""
    return {
        "sequence": step.sequence,
        "t": step.t,
        "status": step.status.value,
        "prediction": step.prediction,
        "outcome": step.target,
        "distribution": step.distribution,
        "interval": step.interval,
        "believed": step.believed,
        "update": f"{step.update.outcome}, {step.update.reason}".removesuffix(", "),
        "memory_version": step.memory_version,
        "memory": str(step.memory_before) if step.memory_before else None,
        "memory_after": str(step.memory_after) if step.memory_after else None,
        "observation": step.observation,
    }


def _error(step: StepRecord) -> dict[str, str]:
    return {"message": f"{step.status.value}: {step.problem}".removesuffix(": "), "traceback": "", "traceback_ansi": ""}
