"""A session as the file that `Learner.save` writes, out and in."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.core.records import SequenceInfo
from llm_as_rnn.service import rows, step_rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.errors import ConflictError, UnfitError, fitting
from llm_as_rnn.service.lifecycle import Lifecycle, insert_session
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.showing import session_view
from llm_as_rnn.service.views import RESERVED, Name, SessionView
from llm_as_rnn.streams.live import measured
from llm_as_rnn.streams.online import Stream, Version
from llm_as_rnn.streams.saved import Saved, packed, unpacked

EXCERPT = 80
"""Characters of a name that an error quotes."""


class Files(Lifecycle):
    """The verbs of files."""

    async def dump(self, caller: Caller, session: str) -> bytes:
        """Give a session as the file that `Learner.save` writes.

        Raises
        ------
        ConflictError
            While outcomes are due: the file has no place for what was told and is not learned.
        """

        def reading(connection: sa.Connection) -> tuple[Loaded, Stream]:
            loaded = rows.load(connection, caller.tenant, session)
            if loaded.row.due:
                raise ConflictError(f"{loaded.row.due} outcomes are still to be learned", "ask again when they are")
            predictor = self.present.predictor(loaded.row)
            keeping = predictor.keeping
            stream = predictor.revive((loaded.state or "").encode(), rows.sequence_of(loaded.row))
            ended = step_rows.ended(connection, loaded.row.number)
            learned = (*stream.learned, *ended["learned"])
            given_up = (*stream.given_up, *ended["given_up"])
            waiting = step_rows.waiting(connection, loaded.row.number)
            known = len(waiting) + len(learned) + stream.forgotten + stream.abandoned + len(ended["given_up"])
            retired = max(loaded.row.steps - known, 0)  # steps that retention deleted
            return loaded, msgspec.structs.replace(
                stream,
                t=loaded.row.steps,
                waiting=waiting,
                versions=rows.entries(connection, loaded.row.number, keeping.keep_versions),
                learned=learned[-keeping.remember :],
                forgotten=stream.forgotten + len(learned[: -keeping.remember]) + retired,
                given_up=given_up[-keeping.remember :],
                abandoned=stream.abandoned + len(ended["given_up"]),
            )

        loaded, stream = await self.store.read(reading)
        row, predictor = loaded.row, self.present.predictor(loaded.row)
        content = msgspec.Raw(msgspec.json.encode(stream))
        saved = Saved(predictor.task, row.method, self.model, predictor.choices, rows.sequence_of(row), content)
        return packed(saved, session)

    async def load(self, caller: Caller, content: bytes, name: str | None = None) -> SessionView:
        """Begin a session with a learner's file.

        Raises
        ------
        UnfitError
            If it is none, does not fit this engine, or was made with templates of its own. Or if its stream is called
            as no session can be, and no other name is given.
        ConflictError
            If there is a session of this name.
        """
        try:
            saved = unpacked(content, "this file")
        except LlmAsRnnError as error:
            raise UnfitError(error.message, error.hint) from error
        if saved.own_prompts:
            raise UnfitError("it was made with prompts of its own", "the service has the shipped ones alone")
        name = _session_of(saved.sequence.id) if name is None else name
        chosen = rows.text({knob: value for knob, value in sorted(saved.choices.items()) if value is not None})
        task = await self.keep_task(caller, saved.task.name, saved.task)
        predictor = self.present.predictors.of(task.content, saved.method, chosen)
        budget = predictor.settings.budget
        stream: Stream = fitting(_revived, predictor, bytes(saved.stream), saved.sequence)
        stream = await self.computed(measured(predictor.method, stream, budget, self.model))
        about = rows.text(saved.sequence.about)

        def creating(connection: sa.Connection) -> Row:
            values = {"method": saved.method, "settings": chosen, "about": about, "task": task.number}
            insert_session(connection, caller, name, values, predictor, stream)
            return rows.find(connection, caller.tenant, name)

        try:
            return session_view(await self.store.write(creating))
        except IntegrityError:
            raise ConflictError(f"there is a session {name!r}", "choose another name") from None


def _session_of(stream: str) -> str:
    """Give the name of a stream as that of its session, which stands in paths."""
    try:
        if stream not in RESERVED:
            return msgspec.convert(stream, Name)
    except msgspec.ValidationError:
        pass
    short = stream if len(stream) <= EXCERPT else f"{stream[:EXCERPT]}..."
    raise UnfitError(f"the stream in this file is called {short!r}, and a session cannot be", "give the session an id")


def _revived(predictor: Predictor, content: bytes, sequence: SequenceInfo) -> Stream:
    versions_too = predictor.revive(content, sequence)
    kept = msgspec.json.decode(content, type=_Kept)
    return msgspec.structs.replace(versions_too, versions=kept.versions)


class _Kept(msgspec.Struct):
    """The versions in a learner's file."""

    versions: tuple[Version, ...] = ()
