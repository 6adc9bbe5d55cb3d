"""Sessions: streams of predictions, each with a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from litestar import Response, delete, get, post
from litestar.params import QueryParameter, RequestBody

from llm_as_rnn.service.bodies import Fork, Move
from llm_as_rnn.service.http.parts import Asker, Incoming, needs
from llm_as_rnn.service.http.routes.common import Limit, SessionId, problems, require_free
from llm_as_rnn.service.views import NewSession, SessionView

FILE = "application/octet-stream"
"""The media type of a learner's file: JSON, sealed by a check of its bytes."""

TAGS = ["sessions"]


@post("/sessions", opt=needs("edit"), responses=problems(404, 409, 422), tags=TAGS)
async def create_session(by: Asker, data: RequestBody[NewSession]) -> SessionView:
    """Begin a session.

    To begin it again under the same id gives the one that is there, if all else is the same; else it is a conflict.
    """
    require_free(data.id)
    return await by.sessions.create(by.caller, data)


@get("/sessions", opt=needs("read"), responses=problems(), tags=TAGS)
async def list_sessions(
    by: Asker,
    after: Annotated[
        str, QueryParameter(max_length=200, pattern=r"^[^\x00]*$", description="The id of the last one that was seen.")
    ] = "",
    limit: Limit = 100,
    task: Annotated[
        str | None, QueryParameter(max_length=200, pattern=r"^[^\x00]*$", description="Only those of this task.")
    ] = None,
    status: Annotated[Literal["active", "archived"] | None, QueryParameter(description="Only those.")] = None,
    search: Annotated[
        str | None, QueryParameter(max_length=200, pattern=r"^[^\x00]*$", description="Only ids that hold this text.")
    ] = None,
) -> Sequence[SessionView]:
    """List sessions, a page at a time."""
    return await by.sessions.list(by.caller, after, limit, task, status, search)


@get("/sessions/{session:str}", opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_session(by: Asker, session: SessionId) -> SessionView:
    """Give a session."""
    return await by.sessions.get(by.caller, session)


@delete("/sessions/{session:str}", opt=needs("admin"), responses=problems(404, 409), tags=TAGS)
async def delete_session(by: Asker, session: SessionId) -> None:
    """Delete a session, with all that was predicted and learned in it; there is no way back."""
    await by.sessions.delete(by.caller, session)


@post("/sessions/{session:str}/fork", opt=needs("edit"), responses=problems(404, 409, 422), tags=TAGS)
async def fork_session(by: Asker, session: SessionId, data: RequestBody[Fork]) -> SessionView:
    """Begin a session as another one is now."""
    require_free(data.id)
    return await by.sessions.fork(by.caller, session, data.id)


@post("/sessions/{session:str}/archive", opt=needs("edit"), status_code=200, responses=problems(404, 409), tags=TAGS)
async def archive_session(by: Asker, session: SessionId) -> SessionView:
    """Archive a session: it can be read, and takes nothing more."""
    return await _status(by, session, "archived")


@post("/sessions/{session:str}/activate", opt=needs("edit"), status_code=200, responses=problems(404, 409), tags=TAGS)
async def activate_session(by: Asker, session: SessionId) -> SessionView:
    """Have an archived session go on."""
    return await _status(by, session, "active")


async def _status(by: Asker, session: str, status: Literal["active", "archived"]) -> SessionView:
    return await by.sessions.set_status(by.caller, session, status)


@post("/sessions/{session:str}/move", opt=needs("edit"), status_code=200, responses=problems(404, 409, 422), tags=TAGS)
async def move_session(by: Asker, session: SessionId, data: RequestBody[Move]) -> SessionView:
    """Have a session go on with another version of its task."""
    return await by.sessions.move(by.caller, session, data.task_version)


@get("/sessions/{session:str}/export", opt=needs("read"), responses=problems(404, 409), media_type=FILE, tags=TAGS)
async def export_session(by: Asker, session: SessionId) -> Response[bytes]:
    """Give a session as the file that `Learner.load` reads."""
    content = await by.sessions.dump(by.caller, session)
    return Response(content, media_type=FILE)


@post("/sessions/import", opt=needs("edit"), responses=problems(409, 422), tags=TAGS)
async def import_session(
    by: Asker,
    request: Incoming,
    id: Annotated[  # noqa: A002 - as the parameter is called
        str | None,
        QueryParameter(
            min_length=1,
            max_length=200,
            pattern=r"^[^\s/?#\x00-\x1f\x7f]+$",
            description="The session's id; else that of the stream in the file.",
        ),
    ] = None,
) -> SessionView:
    """Begin a session as the file has it that `Learner.save` or an export wrote; the file is the body."""
    require_free(id)
    return await by.sessions.load(by.caller, await request.body(), id)


ROUTES = (
    create_session,
    list_sessions,
    get_session,
    delete_session,
    fork_session,
    archive_session,
    activate_session,
    move_session,
    export_session,
    import_session,
)
