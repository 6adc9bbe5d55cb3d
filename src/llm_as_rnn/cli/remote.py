"""``llm-as-rnn predict --server``: the same lines, and the memory in a service."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click
import msgspec

from llm_as_rnn.cli.lines import Answer, Line, answers, lines, shown, write
from llm_as_rnn.cli.main import DONE, SOME_FAILED
from llm_as_rnn.cli.progress import pause_notice
from llm_as_rnn.client.calling import PATIENCE, TIMEOUT
from llm_as_rnn.client.synchronous import Client, Session
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError, LlmAsRnnError, UsageError
from llm_as_rnn.core.files import read_file
from llm_as_rnn.core.task import Task, load_task, shipped_tasks
from llm_as_rnn.datasets.terms import require_local
from llm_as_rnn.engines.secrecy import address
from llm_as_rnn.service.errors import (
    ForbiddenError,
    NoKeyError,
    QuotaError,
    StoreUnavailableError,
    UnreachableError,
)

DECIDED = ("model", "base_url", "context", "cache_reuse", "prompts")
"""Options that a service decides."""

ENDS: tuple[type[LlmAsRnnError], ...] = (
    EngineUnavailableError,
    ForbiddenError,
    NoKeyError,
    QuotaError,
    StoreUnavailableError,
    UnreachableError,
)
"""What the next line would meet as well."""

SETTLED = 3600.0
"""Seconds for which an outcome's turn to be learned is waited for; it is durable long before."""


class Remote(NamedTuple):
    """Where a stream is, and what was told of it.

    Attributes
    ----------
    server : str
        The service's address.
    key_file : Path or None
        Where the key is.
    session : str or None
        The stream's name; else the task's.
    about : dict
        What stays the same.
    take_task, show_memory : bool
        As the options have it.
    """

    server: str
    key_file: Path | None
    session: str | None
    about: dict[str, Any]
    take_task: bool
    show_memory: bool


def ask(task: str, where: Remote, given: dict[str, Any], source: BinaryIO, sink: BinaryIO) -> int:
    """Predict and learn a stream; the options are those of the command, None where they were not named."""
    for name in DECIDED:
        if given.pop(name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for the service to decide", f"leave {option} out")
    patience, timeout = given.pop("patience"), given.pop("timeout")
    own = _own_task(task)
    allowed = given.pop("allow_remote_data")
    if own is not None or task in shipped_tasks():
        host = address(where.server).host
        require_local(own or load_task(task), EngineInfo("the service", digest="", host=host or None), allowed)
    with Client(
        where.server,
        key=None if where.key_file is None else _key(where.key_file),
        patience=PATIENCE if patience is None else patience,
        timeout=TIMEOUT if timeout is None else timeout,
        on_pause=pause_notice(),
    ) as client:
        session = _opened(client, task, own, where, given)
        failed = 0
        for number, text in lines(source):
            for answer in answers(partial(_steps, session), ENDS, number, text):
                failed += "error" in answer
                write(sink, answer)
        if where.show_memory and (memory := session.memory) is not None:
            click.echo(memory.text, err=True)
    return SOME_FAILED if failed else DONE


def _own_task(task: str) -> Task | None:
    """Give the task of a file of the user's own; what is none names a task in the service."""
    return load_task(task) if task.endswith((".yaml", ".yml")) else None


def _key(file: Path) -> str:
    try:
        return read_file(file).decode().strip()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} holds no key", "write the key into it, and nothing else") from error


def _opened(client: Client, task: str, own: Task | None, where: Remote, given: dict[str, Any]) -> Session:
    """Begin the session, or go on with it; the user's own task is compared with the one that it has."""
    name = where.session or (task if own is None else own.name)
    chosen = {setting: value for setting, value in given.items() if value not in (None, ())}
    session = client.session(name, task=own or task, about=where.about or None, **chosen)
    view = session.view
    if own is None:
        if where.take_task:
            session.move()
        return session
    begun = client.task(view.task, view.task_version)
    if msgspec.convert(begun.content, Task).digest == own.digest:
        return session
    if where.take_task:
        session.move(client.put_task(own).version)
    else:
        hint = "--take-task takes the new one over"
        click.echo(
            f"note: the task {task} was edited since the session {name} was begun: the old one goes on ({hint})",
            err=True,
        )
    return session


def _steps(session: Session, line: Line) -> Iterator[Answer]:
    if line.id is not None and not isinstance(line.id, str):
        raise UsageError(f"in a service an id is text, and {line.id} is none", f'write "{line.id}"')
    name: str | int | None = line.id
    if line.x is not None:
        made = session.predict_one(line.x, line.id)
        name = made.id
        yield shown(name, made)
    if line.y is not None and name is not None:
        yield _learn(session, name, line.y)


def _learn(session: Session, name: str | int, y: dict[str, Any]) -> Answer:
    """Tell an outcome, and wait until it is learned: the next line is predicted with what came of it."""
    view = session.learn_one(name, y, wait=SETTLED)
    answer: Answer = {"id": name, "learned": view.update.outcome if view.update else view.status}
    if view.update and view.update.reason:
        answer["reason"] = view.update.reason
    if view.note:
        answer["note"] = view.note
    if view.memory_version is not None:
        answer["memory_version"] = view.memory_version
    return answer
