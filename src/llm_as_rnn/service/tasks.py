"""A tenant's tasks, by name and version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.task import Task, load_task, shipped_tasks
from llm_as_rnn.service import rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.desk import Desk
from llm_as_rnn.service.errors import NotFoundError, UnfitError
from llm_as_rnn.service.rows import Row
from llm_as_rnn.service.schema import tasks
from llm_as_rnn.service.showing import task_view
from llm_as_rnn.service.views import TaskView


class Tasks(Desk):
    """The verbs of tasks."""

    async def put_task(self, caller: Caller, name: str, content: Mapping[str, Any]) -> TaskView:
        """Keep a task under a name: a new version, unless it is the same as the latest.

        Raises
        ------
        UnfitError
            If it is no task.
        """
        try:
            task = msgspec.convert({"name": name, **content}, Task)
        except (msgspec.ValidationError, ValueError) as error:
            raise UnfitError(f"this is no task: {error}", "see docs/tutorial.md for what a task has") from error
        return task_view(await self.keep_task(caller, name, task))

    async def tasks(self, caller: Caller) -> Sequence[TaskView]:
        """List the caller's tasks, every version of each; without their contents."""
        asked = sa.select(tasks).where(tasks.c.tenant == caller.tenant).order_by(tasks.c.name, tasks.c.version)
        found = await self.store.read(lambda connection: connection.execute(asked).all())
        return [task_view(row, whole=False) for row in found]

    async def task(self, caller: Caller, name: str, version: int | None = None) -> TaskView:
        """Show a task, its latest version where none is named.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        return task_view(await self.task_of(caller, name, version))

    async def keep_task(self, caller: Caller, name: str, task: Task) -> Row:
        """Keep a task, and give its row."""
        content = rows.text(task)
        return await self.store.write(lambda connection: rows.put_task(connection, caller.tenant, name, content))

    async def task_of(self, caller: Caller, name: str, version: int | None) -> Row:
        """Find a task's version; a shipped task is the tenant's own from its first use on."""
        found = await self.store.read(lambda connection: rows.task_row(connection, caller.tenant, name, version))
        if found is None and version in (None, 1) and name in shipped_tasks():
            content = rows.text(load_task(name))
            found = await self.store.write(lambda connection: rows.put_task(connection, caller.tenant, name, content))
        if found is None:
            which = name if version is None else f"{name}, version {version}"
            raise NotFoundError(f"there is no task {which}", f"put it, or use one of {', '.join(shipped_tasks())}")
        return found
