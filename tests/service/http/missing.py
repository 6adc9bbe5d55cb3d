"""The verbs that sessions do not have yet, as the routes ask for them."""

from __future__ import annotations

from msgspec.structs import replace

from llm_as_rnn.core.records import Section
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.errors import ConflictError, NotFoundError
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.views import MemoryView


class Whole(Sessions):
    """Sessions whose memories can be edited and pinned, without any effect that lasts."""

    async def edit(
        self, caller: Caller, session: str, sections: tuple[Section, ...], expected: int | None
    ) -> MemoryView:
        memory = await self.memory(caller, session)
        if expected not in (None, memory.version):
            raise ConflictError(f"the memory is version {memory.version} by now", "look at it again")
        return replace(memory, sections=sections, version=memory.version + 1, author=caller.name)

    async def pin(self, caller: Caller, session: str, item: str, pinned: bool) -> MemoryView:
        del pinned
        memory = await self.memory(caller, session)
        if not any(item in section.items for section in memory.sections):
            raise NotFoundError(f"there is no note {item!r}", "give it as it stands there")
        return memory
