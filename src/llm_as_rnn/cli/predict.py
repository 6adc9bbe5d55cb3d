"""``llm-as-rnn predict``: JSON lines in, JSON lines out; outcomes when they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from llm_as_rnn.cli.learning import FEEDBACK_HELP, locked, remote_data_option, updating_options
from llm_as_rnn.cli.main import DONE, SOME_FAILED
from llm_as_rnn.cli.progress import waiting
from llm_as_rnn.engines.resolve import DEFAULT_MODEL
from llm_as_rnn.errors import EngineError, EngineUnavailableError, LlmAsRnnError, UsageError
from llm_as_rnn.learner import Learner, named_choices, read_saved


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line of input: an observation, an outcome, or both."""

    id: str | int | None = None
    x: dict[str, Any] | None = None
    y: dict[str, Any] | None = None


@click.command()
@click.argument("task")
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path),
    help="File that keeps what was learned; begun if it is not there.",
)
@click.option("--model", "-m", help=f"As for `run` [default: {DEFAULT_MODEL}].")
@click.option("--method", help="Who predicts [default: recurrent].")
@click.option("--budget", type=int, help="Most tokens of the memory.")
@click.option(
    "--policy",
    type=click.Choice(["apply", "replay"]),
    help="Outcomes after later ones: apply to the present memory, or replay from there [default: apply].",
)
@click.option("--feedback", help=FEEDBACK_HELP)
@updating_options
@click.option("--base-url", help="URL of an OpenAI-compatible server [default: OPENAI_BASE_URL].")
@click.option("--thinking", type=int, help="Tokens that a reasoning model may take to think [default: 0].")
@remote_data_option
@click.option("--memory", "show_memory", is_flag=True, help="Show the memory at the end, on standard error.")
def predict(
    task: str, state: Path, base_url: str | None, allow_remote_data: bool, show_memory: bool, **given: Any
) -> int:
    """Predict a stream of TASK from standard input, and learn outcomes when they come.

    \b
    A line in                                  a line out
      {"id": "a", "x": {"sky": "sun", ...}}      {"id": "a", "status": "ok", "prediction": {...}}
      {"id": "a", "y": {"sky": "rain", ...}}     {"id": "a", "learned": "accepted", "memory_version": 1, ...}

    Outcomes may come late, in any order, twice (once counts) or never. What a line changes is in the state file before
    its answer is written: after a crash, send again what got no answer. A line that cannot be used is answered with
    "error", and the exit code is then 1.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    where = {"base_url": base_url, "allow_remote_data": allow_remote_data}
    with locked(state), _open(task, state, where, chosen) as learner:
        failed = 0
        for number, text in enumerate(sys.stdin.buffer, 1):
            for answer in _answers(learner, state, number, text):
                failed += "error" in answer
                sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
                sys.stdout.buffer.flush()
        if show_memory and learner.memory is not None:
            click.echo(str(learner.memory), err=True)
    return SOME_FAILED if failed else DONE


def _open(task: str, state: Path, where: dict[str, Any], chosen: dict[str, Any]) -> Learner:
    with waiting("loading the model"):
        if not state.exists():
            learner = Learner(task, **where, **chosen)
            learner.save(state)
            return learner
        saved = read_saved(state)
        begun = {"method": saved.method, "model": saved.model, **named_choices(saved.choices)}
        if task not in (saved.task.name, str(task)) or (Path(task).suffix == "" and task != saved.task.name):
            raise UsageError(f"{state} is about the task {saved.task.name}", "name that task, or another --state")
        for name, value in chosen.items():
            if begun[name] != value:
                hint = f"leave --{name} out, or take another --state"
                raise UsageError(f"{state} was begun with --{name} {begun[name]}", hint)
        return Learner.load(state, **where)


def _answers(learner: Learner, state: Path, number: int, text: bytes) -> Iterator[dict[str, Any]]:
    """Answer one line; an answer is given only after what it says has been saved."""
    if not text.strip():
        return
    name: str | None = None
    try:
        line = msgspec.json.decode(text, type=Line)
        name = None if line.id is None else str(line.id)
        for answer in _steps(learner, line, name):
            name = answer["id"]
            learner.save(state)
            yield answer
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        yield {"id": name, "line": number, "error": f"not a line of input: {error}"}
    except LlmAsRnnError as error:
        if isinstance(error, EngineUnavailableError):
            raise
        yield {"id": name, "line": number, "error": str(error)}


def _steps(learner: Learner, line: Line, name: str | None) -> Iterator[dict[str, Any]]:
    if line.x is None and (line.y is None or name is None):
        raise UsageError('a line needs "x", or "id" and "y"', "see llm-as-rnn predict --help")
    if line.x is not None:
        answer = _predict(learner, line.x, name)
        name = answer["id"]
        yield answer
    if line.y is not None and name is not None:
        yield _learn(learner, name, line.y)


def _predict(learner: Learner, x: dict[str, Any], name: str | None) -> dict[str, Any]:
    if name is not None and name in learner.stream.learned:
        # Sent again after a crash: its outcome is learned, so nothing is left to be done.
        return {"id": name, "status": "learned"}
    made = learner.predict_one(x, name)
    prediction = made.prediction
    answer = {"id": made.id, "status": prediction.status, "prediction": prediction.values}
    return {**answer, "problem": prediction.problem} if prediction.problem else answer


def _learn(learner: Learner, name: str, y: dict[str, Any]) -> dict[str, Any]:
    told = learner.learn_one(name, y)
    if told.fate == "unknown":
        raise UsageError(f"no prediction waits under the id {name!r}", "predict first, or correct the id")
    if told.fate == "failed":
        raise EngineError("the model gave no answer, so this outcome still waits", "send it again")
    answer: dict[str, Any] = {"id": name, "learned": told.update.outcome if told.update else told.fate}
    if told.update and told.update.reason:
        answer["reason"] = told.update.reason
    if learner.memory is not None:
        answer |= {"memory_version": learner.memory.version, "memory_tokens": learner.memory.tokens}
    return answer
