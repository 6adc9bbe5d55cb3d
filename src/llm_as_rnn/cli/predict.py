"""``llm-as-rnn predict``: JSON lines in, JSON lines out; outcomes when they come."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.learning import locked
from llm_as_rnn.cli.lines import Answer, Line, answers, lines, open_pipes, read_about, shown, write
from llm_as_rnn.cli.main import DONE, SOME_FAILED
from llm_as_rnn.cli.progress import pause_notice, say, waiting
from llm_as_rnn.core.door import plain_fields
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, GivenUpWarning, RefusedPluginWarning, UsageError
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.core.task import Task, load_task, shipped_tasks
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.online import Stream, given_up_since, was_learned
from llm_as_rnn.streams.replaying import Id
from llm_as_rnn.streams.saved import Saved, read_saved
from llm_as_rnn.streams.settings import Limits

ANEW = ("base_url", "context", "cache_reuse", "timeout", "patience", "prompts", "allow_remote_data")
"""Options that are not kept in the state file: they are given anew every time, or left out."""

MAY_CHANGE = ("budget", "bare", "coverage", "abstain_above", "abstain_wider", *knobs(Limits))
"""Options that may be other ones than those with which a state was begun."""


def predict(
    task: str,
    state: Path | None,
    server: str | None,
    key_file: Path | None,
    session: str | None,
    about: tuple[str, ...],
    take_task: bool,
    show_memory: bool,
    **given: Any,
) -> int:
    """Do what ``llm-as-rnn predict`` is told to."""
    if (state is None) == (server is None):
        said = "has one place" if server else "needs a place"
        raise UsageError(f"what is learned {said}", "give --state FILE, or --server URL")
    source, sink = open_pipes(sys.stdin, sys.stdout)
    constant = read_about(about)
    if server is not None:
        from llm_as_rnn.cli.remote import Remote, ask  # noqa: PLC0415 - who learns here needs no client

        where = Remote(server, key_file, session, constant, take_task, show_memory)
        return ask(task, where, given, source, sink)
    for name, value in (("--key-file", key_file), ("--session", session)):
        if value is not None:
            raise UsageError(f"{name} is for a service", f"leave {name} out, or name the service: --server URL")
    assert state is not None  # noqa: S101 - tells mypy what was just looked at
    options = {name: given.pop(name) for name in ANEW} | {"on_pause": pause_notice()}
    chosen = {name: value for name, value in given.items() if value is not None}
    with locked(state), _opened(task, state, options, chosen, constant, take_task=take_task) as learner:
        failed = 0
        for number, text in lines(source):
            for answer in answers(partial(_steps, learner), (EngineUnavailableError,), number, text):
                if "error" in answer:
                    failed += 1
                else:
                    # Before anything else is asked: what cannot be saved ends the stream here.
                    learner.save(state)
                write(sink, answer)
        if show_memory and learner.memory is not None:
            click.echo(str(learner.memory), err=True)
    return SOME_FAILED if failed else DONE


@contextmanager
def _opened(
    task: str, state: Path, options: dict[str, Any], chosen: dict[str, Any], about: dict[str, Any], *, take_task: bool
) -> Iterator[Learner]:
    """Begin a stream, or go on with the one in the state file; ``options`` are those that may differ every time."""
    if not state.exists():
        with waiting("loading the model"), _refusals_said():
            learner = Learner(task, about=about, **options, **chosen)
        with learner:
            learner.save(state)
            yield learner
        return
    saved = read_saved(state)
    named = _named_task(task, saved.task)
    if named.name != saved.task.name:
        raise UsageError(f"{state} is about the task {saved.task.name}", "name that task, or another --state")
    _require_as_begun(state, saved, chosen, about)
    changed = {name: value for name, value in chosen.items() if name in MAY_CHANGE}
    with waiting("loading the model"), _refusals_said():
        learner = Learner.load(state, **options, **changed)
    with learner:
        edited = named.digest != saved.task.digest
        if edited and take_task:
            learner.change_task(named)
            learner.save(state)
        elif edited:
            hint = "--take-task takes the new one over"
            click.echo(
                f"note: the task {task} was edited since {state} was begun: the old one goes on ({hint})", err=True
            )
        yield learner


@contextmanager
def _refusals_said() -> Iterator[None]:
    """Say in a line which package does not get a name that was asked for; other warnings go their way."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RefusedPluginWarning)
            yield
    finally:
        for one in caught:
            if issubclass(one.category, RefusedPluginWarning):
                say(str(one.message))
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _named_task(task: str, begun: Task) -> Task:
    """Give the task that is named, as it is now; one of the user's own may be called by its name."""
    return begun if task == begun.name and task not in shipped_tasks() else load_task(task)


def _require_as_begun(state: Path, saved: Saved, chosen: dict[str, Any], about: dict[str, Any]) -> None:
    """Refuse options that say something else than those with which a state was begun, but for what may change."""
    begun = {"method": saved.method, "model": saved.model, **saved.choices}
    for name, value in chosen.items():
        if begun[name] != value and name not in MAY_CHANGE:
            option = f"--{name.replace('_', '-')}"
            how = f"with {option} {begun[name]}"
            if begun[name] is None:
                how = f"without {option}: what suits the model was taken"
            elif isinstance(begun[name], bool):
                how = f"with {option}" if begun[name] else f"without {option}"
            named = option if value is not False else f"--no-{option.removeprefix('--')}"
            raise UsageError(f"{state} was begun {how}", f"leave {named} out, or take another --state")
    if about and plain_fields(about, "what is said about the sequence") != saved.sequence.about:
        told = ", ".join(f"{name}={value}" for name, value in saved.sequence.about.items())
        how = f"with --about {told}" if told else "without --about"
        raise UsageError(f"{state} was begun {how}", "leave --about out, or take another --state")


def _steps(learner: Learner, line: Line) -> Iterator[Answer]:
    name = line.id
    if line.x is not None:
        answer = _predict(learner, line.x, name)
        name = answer["id"]
        yield answer
    if line.y is not None and name is not None:
        yield _learn(learner, name, line.y)


def _predict(learner: Learner, x: dict[str, Any], name: Id | None) -> Answer:
    if name is not None and was_learned(learner.stream, name):
        # Sent again after a crash: its outcome is learned, so nothing is left to be done.
        return {"id": name, "status": "learned"}
    before = learner.stream
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GivenUpWarning)  # the answer says it
        made = learner.predict_one(x, name)
    return shown(made.id, made.prediction) | _losses(learner, before)


def _learn(learner: Learner, name: Id, y: dict[str, Any]) -> Answer:
    before = learner.stream
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GivenUpWarning)  # the answer says it
        learnt = learner.learn_one(name, y)
    if learnt.fate == "failed":
        raise EngineError("the model gave no answer, so this outcome still waits", "send it again")
    answer: Answer = {"id": name, "learned": learnt.update.outcome if learnt.update else learnt.fate}
    if learnt.update and learnt.update.reason:
        answer["reason"] = learnt.update.reason
    if learnt.again:
        answer["learned_again"] = learnt.again
    if learnt.note:
        answer["note"] = learnt.note
    if learner.memory is not None:
        answer |= {"memory_version": learner.memory.version, "memory_tokens": learner.memory.tokens}
    return answer | _losses(learner, before)


def _losses(learner: Learner, before: Stream) -> dict[str, Any]:
    """Say what was given up or forgotten meanwhile, and name it."""
    losses: dict[str, Any] = {}
    gone = given_up_since(before, learner.stream)
    if gone:
        losses["given_up"] = list(gone)
    said = learner.losses(before)
    if said:
        losses["warning"] = "; ".join(said)
    return losses
