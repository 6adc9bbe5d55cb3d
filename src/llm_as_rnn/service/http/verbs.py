"""What the routes ask of sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from llm_as_rnn.core.records import Section
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.rows import Row
from llm_as_rnn.service.signals import Signals
from llm_as_rnn.service.views import (
    MemoryView,
    NewOutcome,
    NewPrediction,
    NewSession,
    OutcomeView,
    PredictionView,
    ScoresView,
    SessionView,
    SpendView,
    StepView,
    TaskView,
)


class Sessions(Protocol):
    """The verbs of the service, each for a caller, who sees the own tenant's things alone."""

    signals: Signals

    async def row(self, caller: Caller, session: str) -> Row:
        """Find a session."""

    async def put_task(self, caller: Caller, name: str, content: Mapping[str, Any]) -> TaskView:
        """Keep a task; content that is there already makes no further version."""

    async def tasks(self, caller: Caller) -> Sequence[TaskView]:
        """List the latest version of each task."""

    async def task(self, caller: Caller, name: str, version: int | None = None) -> TaskView:
        """Give a task."""

    async def create(self, caller: Caller, new: NewSession) -> SessionView:
        """Begin a session."""

    async def get(self, caller: Caller, session: str) -> SessionView:
        """Give a session."""

    async def list(
        self,
        caller: Caller,
        after: str = "",
        limit: int = 100,
        task: str | None = None,
        status: str | None = None,
        search: str | None = None,
    ) -> Sequence[SessionView]:
        """List sessions."""

    async def fork(self, caller: Caller, session: str, new: str | None = None) -> SessionView:
        """Begin a session as another one is now."""

    async def set_status(self, caller: Caller, session: str, status: str) -> SessionView:
        """Archive a session, or make it active again."""

    async def delete(self, caller: Caller, session: str) -> None:
        """Delete a session."""

    async def move(self, caller: Caller, session: str, version: int | None = None) -> SessionView:
        """Have a session go on with another version of its task."""

    async def dump(self, caller: Caller, session: str) -> bytes:
        """Give a session as a learner's file."""

    async def load(self, caller: Caller, content: bytes, name: str | None = None) -> SessionView:
        """Begin a session as a learner's file has it."""

    async def predict(self, caller: Caller, session: str, new: NewPrediction) -> PredictionView:
        """Predict."""

    async def prediction(self, caller: Caller, session: str, name: str) -> StepView:
        """Give a prediction, and what came."""

    async def tell(self, caller: Caller, session: str, name: str, new: NewOutcome) -> OutcomeView:
        """Take an outcome."""

    async def outcome(self, caller: Caller, session: str, name: str) -> OutcomeView:
        """Give a prediction's latest outcome."""

    async def wait(self, caller: Caller, session: str, name: str, seconds: float) -> OutcomeView:
        """Wait until an outcome is learned, but no longer than so many seconds."""

    async def memory(self, caller: Caller, session: str, version: int | None = None) -> MemoryView:
        """Give a version of the memory."""

    async def versions(self, caller: Caller, session: str, after: int = -1, limit: int = 100) -> Sequence[MemoryView]:
        """List versions of the memory."""

    async def restore(self, caller: Caller, session: str, version: int) -> MemoryView:
        """Put a version of the memory back."""

    async def edit(
        self, caller: Caller, session: str, sections: tuple[Section, ...], expected: int | None
    ) -> MemoryView:
        """Put what a person wrote in the memory's place."""

    async def pin(self, caller: Caller, session: str, item: str, pinned: bool) -> MemoryView:
        """Have a note stay, or let it go."""

    async def steps(self, caller: Caller, session: str, after: int = -1, limit: int = 100) -> Sequence[StepView]:
        """List steps."""

    async def scores(self, caller: Caller, session: str) -> ScoresView:
        """Give a session's scores."""

    async def spend(self, caller: Caller, days: int = 30) -> Sequence[SpendView]:
        """Give what the tenant used."""
