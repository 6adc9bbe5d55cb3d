"""Predictions and outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.door import plain_fields
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.service import rows, step_rows
from llm_as_rnn.service.asked import Hearing
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.desk import Desk
from llm_as_rnn.service.errors import ArchivedError, ConflictError, NotFoundError, UnfitError, fitting
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.present import Lost
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.schema import predictions
from llm_as_rnn.service.showing import outcome_view, prediction_view, step_view
from llm_as_rnn.service.views import NewOutcome, NewPrediction, OutcomeView, PredictionView, StepView
from llm_as_rnn.streams.live import outcome as read_outcome
from llm_as_rnn.streams.online import Stream, ask, was_learned
from llm_as_rnn.streams.replaying import Waiting

LOOK = 0.25
"""Seconds after which whoever waits looks what other processes did."""
ATTEMPTS = 20
"""How often a step is begun again because the state was put aside meanwhile."""


class Steps(Desk):
    """The verbs of steps."""

    async def predict(self, caller: Caller, session: str, new: NewPrediction) -> PredictionView:
        """Predict the outcome of an observation; the same id with the same observation is the same prediction.

        One that an engine gave no answer to, or to one of its advisers, is made again as long as no outcome was told.

        Raises
        ------
        ConflictError
            If the id belongs to another observation, or its outcome was learned before the session came here.
        ArchivedError
            If the session is archived.
        UnfitError
            If the observation cannot be kept, or lacks what the task shows.
        EngineUnavailableError
            If the model cannot be asked now. Nothing was kept: ask again.
        """
        fields = fitting(plain_fields, new.x, "the observation")

        def reading(connection: sa.Connection) -> tuple[Loaded, Row | None, bool]:
            loaded = rows.load(connection, caller.tenant, session, self.present.known(caller.tenant, session))
            kept = None if new.id is None else step_rows.prediction(connection, loaded.row.number, new.id)
            return loaded, kept, kept is not None and self._is_to_be_asked_again(connection, kept)

        for _ in range(ATTEMPTS):
            loaded, kept, again = await self.store.read(reading)
            fields = self.present.predictor(loaded.row).task.filled(fields)
            if kept is not None and not again:
                return self._the_same(kept, fields)
            if loaded.row.status != "active":
                raise ArchivedError(f"the session {session!r} is archived", "activate it")
            try:
                predictor, stream = self.present.of(loaded)
            except Lost:
                continue
            return await self._predicted(loaded.row, predictor, stream, fields, new.id, kept)
        raise ConflictError("the session changes too quickly", "ask again")

    async def _predicted(
        self, row: Row, predictor: Predictor, stream: Stream, fields: dict[str, Any], name: str | None, kept: Row | None
    ) -> PredictionView:
        calls: list[Call] = []
        engine = Hearing(self.seat(row.number))
        asking = ask(predictor.method, stream, row.id, fields, name, predictor.keeping)
        try:
            _, made = await drive(asking, engine, calls)
        except UsageError as error:
            known = name is not None and was_learned(stream, name)
            raise (ConflictError if known else UnfitError)(error.message, error.hint) from error
        asked = None if engine.last is None else rows.text(engine.last)
        self.figures.called(calls)

        def keeping(connection: sa.Connection) -> tuple[Waiting, float] | None:
            if kept is None:
                most = predictor.keeping.max_waiting
                return step_rows.add_prediction(connection, row, made, name is not None, asked, calls, most)
            observation = msgspec.structs.replace(made.observation, t=kept.step)
            again = msgspec.structs.replace(made, observation=observation)
            was_first = step_rows.replace_prediction(connection, row, kept, again, asked, calls)
            return (again, kept.created) if was_first else None

        try:
            done = await self.store.write(keeping)
        except IntegrityError:
            done = None
            await self.store.write(partial(step_rows.add_cost, row=row, calls=calls))
        if done is None:  # the same id was asked twice at the same time, and the other one was first
            finding = partial(step_rows.find_prediction, session=row.number, name=str(name))
            return self._the_same(await self.store.read(finding), fields)
        self.signals.happened(row.number)
        return prediction_view(done[0], "waiting", done[1])

    @staticmethod
    def _is_to_be_asked_again(connection: sa.Connection, kept: Row) -> bool:
        if kept.status != "waiting" or not step_rows.read_waiting(kept.content).prediction.is_unheard:
            return False
        return not step_rows.told(connection, kept.session, kept.step)

    @staticmethod
    def _the_same(kept: Row, fields: Mapping[str, Any]) -> PredictionView:
        waiting = step_rows.read_waiting(kept.content)
        if waiting.observation.fields != fields:
            raise ConflictError(
                f"the id {waiting.id!r} belongs to another observation", "give each prediction its own id"
            )
        return prediction_view(waiting, kept.status, kept.created)

    async def prediction(self, caller: Caller, session: str, name: str) -> StepView:
        """Show a prediction, with what became of it."""

        def reading(connection: sa.Connection) -> StepView:
            row = rows.find(connection, caller.tenant, session)
            kept = step_rows.find_prediction(connection, row.number, name)
            told = step_rows.told(connection, row.number, kept.step)
            return step_view(kept, told[-1] if told else None, with_prompt=True)

        return await self.store.read(reading)

    async def steps(
        self, caller: Caller, session: str, after: int = -1, limit: int = 100, state: str | None = None
    ) -> Sequence[StepView]:
        """List steps, those after one; of predictions in one state, if it is named."""

        def reading(connection: sa.Connection) -> Sequence[StepView]:
            row = rows.find(connection, caller.tenant, session)
            asked = sa.select(predictions).where(predictions.c.session == row.number, predictions.c.step > after)
            if state is not None:
                asked = asked.where(predictions.c.status == state)
            kept = connection.execute(asked.order_by(predictions.c.step).limit(limit)).all()
            latest = step_rows.latest_told(connection, row.number, [one.step for one in kept])
            return [step_view(one, latest.get(one.step)) for one in kept]

        return await self.store.read(reading)

    async def tell(self, caller: Caller, session: str, name: str, new: NewOutcome) -> OutcomeView:
        """Take an outcome, to be learned in the order of arrival; it is durable when this returns.

        Raises
        ------
        NotFoundError
            If there is no such prediction.
        ConflictError
            If another outcome was told and this one does not say that it replaces that, or the prediction's was learned
            before the session came here.
        UnfitError
            If it is no outcome of the task.
        """

        def telling(connection: sa.Connection) -> Row:
            row = rows.find(connection, caller.tenant, session, lock=True)
            predictor = self.present.predictor(row)
            content = rows.text(fitting(read_outcome, predictor.task, new.y))
            try:
                kept = step_rows.find_prediction(connection, row.number, name)
            except NotFoundError:
                _require_not_learned_elsewhere(predictor, rows.load(connection, caller.tenant, session), name)
                raise
            told = step_rows.told(connection, row.number, kept.step)
            same = _told_before(told, content, new.replaces)
            if same is not None:
                return same
            latest = told[-1] if told else None
            _require_right_to_replace(latest, new.replaces)
            if kept.status == "given_up":
                raise ConflictError("the prediction was given up, because too many waited", "allow more: max_waiting")
            if row.status != "active":
                raise ArchivedError(f"the session {session!r} is archived", "activate it")
            if latest is not None:
                step_rows.supersede(connection, row.number, latest.number)
            return step_rows.add_outcome(connection, row.number, kept.step, content, new.replaces)

        row = await self.store.write(telling)
        self.due.set()
        return outcome_view(row, name)

    async def outcome(self, caller: Caller, session: str, name: str) -> OutcomeView:
        """Show the latest outcome of a prediction."""

        def reading(connection: sa.Connection) -> OutcomeView:
            row = rows.find(connection, caller.tenant, session)
            kept = step_rows.find_prediction(connection, row.number, name)
            told = step_rows.told(connection, row.number, kept.step)
            if not told:
                raise NotFoundError(f"no outcome of {name!r} was told", "tell it when it is known")
            return outcome_view(told[-1], step_rows.read_waiting(kept.content).id)

        return await self.store.read(reading)

    async def wait(self, caller: Caller, session: str, name: str, seconds: float) -> OutcomeView:
        """Show the latest outcome of a prediction once it was learned, or after so many seconds as it is then."""
        number = (await self.row(caller, session)).number
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            found = await self.outcome(caller, session, name)
            left = until - loop.time()
            if found.status != "waiting" or left <= 0:
                return found
            await self.signals.wait(number, min(left, LOOK))


def _require_not_learned_elsewhere(predictor: Predictor, loaded: Loaded, name: str) -> None:
    """Say of an outcome without a prediction here that it was learned before the session came here, if it was."""
    stream = predictor.revive((loaded.state or "").encode(), rows.sequence_of(loaded.row))
    if was_learned(msgspec.structs.replace(stream, t=loaded.row.steps), name):
        raise ConflictError(f"the outcome of {name!r} was learned before the session came here", "go on with the next")


def _told_before(told: Sequence[Row], content: str, replaces: int | None) -> Row | None:
    """Find the outcome that is told again; it may have been corrected since: whoever got no answer tells it again."""
    for row in reversed(told):
        if row.content == content and (row.replaces == replaces or (replaces is None and row is told[-1])):
            return row
    return None


def _require_right_to_replace(latest: Row | None, replaces: int | None) -> None:
    if latest is None:
        if replaces is not None:
            raise ConflictError(f"there is no outcome {replaces} to be replaced", "tell the outcome as the first one")
    elif replaces != latest.number:
        raise ConflictError(
            "another outcome was told of this prediction",
            f'if this one corrects it, say so: "replaces": {latest.number}',
        )
