"""What the model was asked, kept beside a run's journal: each message once, under its digest (``prompts.jsonl``).

The journal names the messages of each call, so they are written before the step's line is; but only the journal waits
for the disk at each step. Nothing but the report needs the prompts: a run that lost the last of them in a power cut, or
all of them, is read and gone on with like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Self

from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.journal import PROMPTS, SPARSE, numbered
from llm_as_rnn.runs.writing import Journal, whole


class Prompts(NamedTuple):
    """What a run's model was asked.

    Attributes
    ----------
    messages : mapping of str to Message
        By the digests by which the journal names them.
    problem : str
        Why some of them are not there, if that is known.
    """

    messages: Mapping[str, Message]
    problem: str = ""


NO_PROMPTS = Prompts(MappingProxyType({}))


def read_prompts(path: Path) -> Prompts:
    """Read what was asked, as far as it is not damaged."""
    messages: dict[str, Message] = {}
    try:
        for _, message in numbered(path, PROMPTS):
            messages[message.digest] = message
    except RunError as error:
        return Prompts(messages, error.message)
    return Prompts(messages, "" if path.exists() else f"{path.name} is not there")


class RunJournal:
    """Appends steps to a run's journal, and what the model was asked at them to the file beside it.

    A damaged file of prompts is set aside as ``prompts.damaged.jsonl``, and what stands before the damage is kept.
    Beside a journal of an earlier format, which cannot name them, no prompts are kept.

    Parameters
    ----------
    steps, prompts : Path
        The two files; they are made if they are not there.
    private : bool
        Whether they are for their owner only.

    Raises
    ------
    RunError
        On entry: as `journal.Journal` does.
    """

    def __init__(self, steps: Path, prompts: Path, *, private: bool = False) -> None:
        self._steps = Journal(steps, private=private)
        self._path = prompts
        self._private = private
        self._prompts: Journal | None = None
        self._known: set[str] = set()
        self._heard: dict[str, Message] = {}

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self._steps)
            if self._steps.format >= SPARSE:
                self._known = set(self._mended())
                self._prompts = opened.enter_context(Journal(self._path, PROMPTS, private=self._private))
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def hear(self, request: Request) -> None:
        """Take notice of what is asked; it is kept with the step that it belongs to."""
        if self._prompts is not None:
            named = {message.digest: message for message in request.messages}
            self._heard.update({name: message for name, message in named.items() if name not in self._known})

    def kept(self, record: StepRecord) -> StepRecord:
        """Give a step as it will be read again (see `writing.Journal.kept`)."""
        return self._steps.kept(record)

    def append(self, record: StepRecord, *, durably: bool = True) -> None:
        """Commit a step: when this returns, it is on the disk; what was asked at it was written before.

        Parameters
        ----------
        record : StepRecord
            The step.
        durably : bool
            Whether it has to be on the disk now, and not only after the next `sync`.

        Raises
        ------
        RunError
            As `journal.Journal.append` does.
        """
        names = dict.fromkeys(chain.from_iterable(record.asked))
        new = [(name, message) for name in names if (message := self._heard.pop(name, None))]
        if self._prompts is not None:
            for name, message in new:
                self._prompts.append(message, durably=False)
                self._known.add(name)
        self._steps.append(record, durably=durably)

    def sync(self) -> None:
        """Wait until all steps are on the disk that were appended before.

        Raises
        ------
        RunError
            As `journal.Journal.sync` does.
        """
        self._steps.sync()

    def _mended(self) -> Mapping[str, Message]:
        """Read what was asked so far; where that is damaged, begin the file anew with what stands before."""
        found = read_prompts(self._path)
        if found.problem and self._path.exists():
            try:
                self._path.rename(self._path.with_name("prompts.damaged.jsonl"))
                write_atomically(self._path, whole(found.messages.values(), PROMPTS), private=self._private)
            except OSError as error:
                raise RunError(f"{self._path} cannot be written: {error.strerror}", "check the folder") from error
        return found.messages
