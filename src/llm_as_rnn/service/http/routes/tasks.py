"""Tasks: what can be predicted."""

from __future__ import annotations

from typing import Annotated

from litestar import get, put
from litestar.params import Parameter

from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.http.parts import Parts, needs
from llm_as_rnn.service.http.routes.common import TaskName, problems
from llm_as_rnn.service.views import NewTask, TaskView


@put("/tasks/{name:str}", opt=needs("edit"), responses=problems(422), tags=["tasks"])
async def put_task(parts: Parts, caller: Caller, name: TaskName, data: NewTask) -> TaskView:
    """Keep a task.

    Content that differs from the latest version's makes a further version. Sessions keep the one that they were begun
    with.
    """
    return await parts.sessions.put_task(caller, name, data.content)


@get("/tasks", opt=needs("read"), responses=problems(), tags=["tasks"])
async def list_tasks(parts: Parts, caller: Caller) -> list[TaskView]:
    """List tasks, each in its latest version."""
    return await parts.sessions.tasks(caller)


@get("/tasks/{name:str}", opt=needs("read"), responses=problems(404), tags=["tasks"])
async def get_task(
    parts: Parts,
    caller: Caller,
    name: TaskName,
    version: Annotated[int | None, Parameter(ge=1, le=2**31 - 1, description="Which version; else the latest.")] = None,
) -> TaskView:
    """Give a task."""
    return await parts.sessions.task(caller, name, version)


ROUTES = (put_task, list_tasks, get_task)
