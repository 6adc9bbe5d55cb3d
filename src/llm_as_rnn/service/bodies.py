"""Further bodies of the API, beside those of `views`: what is asked of tasks, sessions and memories, and batches."""

from __future__ import annotations

from typing import Annotated

import msgspec

from llm_as_rnn.core.records import Section
from llm_as_rnn.service.views import Given, Id, Name, NewOutcome, NewPrediction, View


class Fork(Given, frozen=True, kw_only=True):
    """A session to begin as another one is now.

    Attributes
    ----------
    id : str or None
        Its name; else one is made up.
    """

    id: Name | None = None


class Move(Given, frozen=True, kw_only=True):
    """The version of its task that a session goes on with.

    Attributes
    ----------
    task_version : int or None
        Which; the latest, where none is named.
    """

    task_version: int | None = None


class MemoryEdit(Given, frozen=True, kw_only=True):
    """What a memory is to hold from now on.

    Attributes
    ----------
    sections : tuple of Section
        All of its parts, by the names that the task has for them.
    """

    sections: tuple[Section, ...]


class Restore(Given, frozen=True, kw_only=True):
    """The version of a memory that is to be put back.

    Attributes
    ----------
    version : int
        Its number.
    """

    version: int


class Pin(Given, frozen=True, kw_only=True):
    """A note that is to stay, whatever the model learns.

    Attributes
    ----------
    item : str
        The note, as it stands in the memory.
    """

    item: Annotated[str, msgspec.Meta(min_length=1)]


class SectionChange(View, frozen=True, kw_only=True):
    """What changed in a part of a memory.

    Attributes
    ----------
    section : str
        The part's name.
    added, removed : tuple of str
        Items that only the later one has, and that only the earlier one has.
    """

    section: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


class MemoryChange(View, frozen=True, kw_only=True):
    """What changed from one version of a memory to another.

    Attributes
    ----------
    before, after : int
        The versions.
    sections : tuple of SectionChange
        Those in which anything changed.
    """

    before: int
    after: int
    sections: tuple[SectionChange, ...]


class BatchPrediction(NewPrediction, frozen=True, kw_only=True):
    """An observation of a batch.

    Attributes
    ----------
    session : str
        The session that it belongs to.
    """

    session: Name


class BatchOutcome(NewOutcome, frozen=True, kw_only=True):
    """An outcome of a batch.

    Attributes
    ----------
    session : str
        The session that it belongs to.
    id : str
        The prediction that it belongs to.
    """

    session: Name
    id: Id
