"""A learner's file: written with a check of its own bytes, and read back before it counts as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from llm_as_rnn.catalogue import advisers
from llm_as_rnn.core.errors import DamagedError, LlmAsRnnError, UsageError
from llm_as_rnn.core.files import is_sealed, read_file, require_file, sealed, unsealed, write_atomically
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.core.records import Record, SequenceInfo
from llm_as_rnn.core.settings import LATER, Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.streams.online import Stream
from llm_as_rnn.streams.settings import StreamSettings

FORMAT = 5
"""Of the files that are written. Format 1 had no check of its bytes, up to format 2 some choices were in parts of their
own, up to format 3 nothing was known of how far answers can be trusted, and up to format 4 states did not say whose
advice they are of; all can be read."""

ASSURED = 4
"""The first format whose states have that beside the method's own (see `trust.assured`)."""


class Saved(Record, frozen=True):
    """What a learner's file holds.

    Attributes
    ----------
    task : Task
        What it predicts.
    method, model : str
        Who predicts, and with which model.
    choices : dict
        How the model is asked, how it learns and how much is kept: every knob of `settings.Settings` and
        `streams.settings.StreamSettings` by name; None where it is left to what suits the model.
    sequence : SequenceInfo
        The stream's name, and what stays the same in it.
    stream : msgspec.Raw
        The `online.Stream`, as JSON.
    format : int
        Of this file.
    remote_data : tuple of str
        Hosts outside this machine that were confirmed to get credentialed data (see `datasets.terms`).
    own_prompts : bool
        Whether a folder of templates took the place of shipped ones.
    """

    task: Task
    method: str
    model: str
    choices: dict[str, Any]
    sequence: SequenceInfo
    stream: msgspec.Raw
    format: int = FORMAT
    remote_data: tuple[str, ...] = ()
    own_prompts: bool = False


class _Head(msgspec.Struct):
    """What tells the format of a file, whatever else is in it."""

    format: int = 1


def require_learners_file(path: Path) -> None:
    """Refuse what is there and is no file; what is not there may be begun.

    Raises
    ------
    UsageError
        If it is a folder, a pipe or a device.
    """
    try:
        require_file(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path} cannot be used: {error.strerror}", "name a learner's file") from error


def read_saved(path: Path) -> Saved:
    """Read a learner's file.

    Raises
    ------
    UsageError
        If it cannot be read, is not one, or was written by a newer version.
    DamagedError
        If its bytes are not those that were written.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    return unpacked(content, str(path))


def write_saved(path: Path, saved: Saved, *, private: bool) -> None:
    """Write a learner's file, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    saved : Saved
        What it is to hold; whatever format it was read from, it is written in the present one.
    private : bool
        Whether it is for its owner only.

    Raises
    ------
    UsageError
        If it cannot be written, or would not be read back as it is; what was there before stays as it was.
    """
    require_learners_file(path)
    content = packed(saved, str(path))
    try:
        write_atomically(path, content, private=private)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "make room there, or choose another") from error


def packed(saved: Saved, what: str) -> bytes:
    """Give the bytes of a learner's file, in the present format; ``what`` is what an error calls it.

    Raises
    ------
    UsageError
        If they would not be read back as what they are.
    """
    saved = msgspec.structs.replace(saved, format=FORMAT)
    return sealed(checked(saved, lambda body: unpacked(sealed(body), what), what))


def checked(value: Record, read: Callable[[bytes], Record], what: str) -> bytes:
    """Give a value as JSON, once it was read back from that and is the same.

    Parameters
    ----------
    value : Record
        Any value.
    read : callable
        Reads it.
    what : str
        What an error calls it.

    Raises
    ------
    UsageError
        If it is not the same: the message names the first field that differs.
    """
    hint = "nothing was written; give plain texts and finite numbers"
    try:
        content = msgspec.json.encode(value)
        back = read(content)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, LlmAsRnnError) as error:
        raise UsageError(f"{what} cannot be saved, for it could not be read again: {error}", hint) from error
    for name in value.__struct_fields__:
        before, after = getattr(value, name), getattr(back, name)
        same = bytes(before) == bytes(after) if isinstance(before, msgspec.Raw) else before == after
        if not same:
            raise UsageError(f"{what} cannot be saved, for its {name} would not be read again as it is", hint)
    return content


def unpacked(content: bytes, what: str) -> Saved:
    """Read the bytes of a learner's file; ``what`` is what an error calls it.

    Raises
    ------
    UsageError
        If it is none, or was written by a newer version.
    DamagedError
        If they are not those that were written.
    """
    is_checked = is_sealed(content)
    try:
        if is_checked:
            content = unsealed(content)
        version = msgspec.json.decode(content, type=_Head).format
        if version > FORMAT:
            raise UsageError(f"{what} was written by a newer version (format {version})", "upgrade llm-as-rnn")
        if version > 1 and not is_checked:
            unsealed(content)
        saved = msgspec.json.decode(content, type=Saved)
        saved = msgspec.structs.replace(saved, choices=dict.fromkeys(LATER, False) | saved.choices)
        return saved if version == FORMAT else _modern(saved)
    except DamagedError as error:
        raise DamagedError(f"{what} is damaged: {error.message}", error.hint) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{what} is no saved learner: {error}", "name a file that a learner saved") from error


def _modern(saved: Saved) -> Saved:
    """Give choices and states of an earlier format as they are kept now."""
    flat = {**saved.choices, **saved.choices.get("updating", {}), **saved.choices.get("limits", {})}
    choices = {name: flat.get(name, knob.default) for name, knob in knobs(Settings, StreamSettings).items()}
    saved = msgspec.structs.replace(saved, choices=choices)
    steps: list[Callable[[Any], Any]] = [_assured] if saved.format < ASSURED else []
    names = advisers(saved.method, saved.task, who_advises(saved))
    steps += [partial(_named, names)] if names else []
    return msgspec.structs.replace(saved, stream=_with_states(saved.stream, steps)) if steps else saved


def who_advises(saved: Saved) -> Settings:
    """Give settings under which the same advise as in a learner's file, whatever engine serves."""
    return Settings(bare=bool(saved.choices.get("bare")))


def _with_states(stream: msgspec.Raw, changes: Sequence[Callable[[Any], Any]]) -> msgspec.Raw:
    """Change each state of a stream, in plain values."""
    try:
        kept = msgspec.json.decode(stream, type=Stream)
    except msgspec.DecodeError:
        return stream  # whoever revives it says what is wrong
    for change in changes:
        lessons = tuple(
            lesson if lesson.before is None else msgspec.structs.replace(lesson, before=change(lesson.before))
            for lesson in kept.lessons
        )
        kept = msgspec.structs.replace(kept, state=change(kept.state), lessons=lessons)
    return msgspec.Raw(msgspec.json.encode(kept))


def _assured(state: Any) -> Any:
    """Put a state where it stands now: beside what is known of its answers, which is nothing yet."""
    return {"own": state}


def _named(names: Sequence[str], state: Any) -> Any:
    """Say whose advice a state is of; they were as many then, in this order."""
    own = state.get("own") if isinstance(state, dict) else None
    return {**state, "own": {"advisers": names, **own}} if isinstance(own, dict) else state
