"""Tasks: what can be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import get, put
from litestar.params import QueryParameter, RequestBody

from llm_as_rnn.service.http.parts import Asker, needs
from llm_as_rnn.service.http.routes.common import TaskName, problems
from llm_as_rnn.service.views import TaskView


@put("/tasks/{name:str}", opt=needs("edit"), responses=problems(422), tags=["tasks"])
async def put_task(by: Asker, name: TaskName, data: RequestBody[dict[str, Any]]) -> TaskView:
    """Keep a task: the body is what its file holds, as JSON.

    Content that differs from the latest version's makes a further version. Sessions keep the one that they were begun
    with.
    """
    return await by.sessions.put_task(by.caller, name, data)


@get("/tasks", opt=needs("read"), responses=problems(), tags=["tasks"])
async def list_tasks(by: Asker) -> Sequence[TaskView]:
    """List tasks, every version of each, without their contents."""
    return await by.sessions.tasks(by.caller)


@get("/tasks/{name:str}", opt=needs("read"), responses=problems(404), tags=["tasks"])
async def get_task(
    by: Asker,
    name: TaskName,
    version: Annotated[
        int | None, QueryParameter(ge=1, le=2**31 - 1, description="Which version; else the latest.")
    ] = None,
) -> TaskView:
    """Give a task."""
    return await by.sessions.task(by.caller, name, version)


ROUTES = (put_task, list_tasks, get_task)
