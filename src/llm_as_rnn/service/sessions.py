"""The service's verbs, without HTTP: what a caller may do with its tasks and sessions.

A prediction is one read, the model, and one durable write. An outcome is one durable write; `learning` takes it from
there. Whatever changes a state says which one it was made from (`present.commit`), and begins again where that is gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from llm_as_rnn.service import rows, sum_rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.files import Files
from llm_as_rnn.service.memories import Memories
from llm_as_rnn.service.spending_rows import used
from llm_as_rnn.service.steps import Steps
from llm_as_rnn.service.views import ScoresView, SpendView
from llm_as_rnn.service.watching import Watching


class Sessions(Files, Steps, Memories, Watching):
    """All verbs (see `Desk` for what it is made of)."""

    async def spend(self, caller: Caller, days: int = 30) -> Sequence[SpendView]:
        """List what the caller's tenant used, a day each, today last; days without anything are left out."""
        found = await self.store.read(lambda connection: used(connection, caller.tenant, days))
        return [SpendView(**day._asdict()) for day in found]

    async def scores(self, caller: Caller, session: str) -> ScoresView:
        """Give the sums of scores, in all and by blocks of steps."""

        def reading(connection: sa.Connection) -> ScoresView:
            row = rows.find(connection, caller.tenant, session)
            size, blocks = sum_rows.curve(connection, row)
            return ScoresView(total=sum_rows.read_sums(row.sums), blocks=blocks, steps_in_block=size)

        return await self.store.read(reading)
