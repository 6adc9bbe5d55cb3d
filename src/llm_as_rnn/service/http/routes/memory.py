"""The memory of a session: its versions, and what people change in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import unified_diff
from typing import Annotated

from litestar import Response, delete, get, post, put
from litestar.datastructures.headers import Accept
from litestar.params import HeaderParameter, QueryParameter, RequestBody

from llm_as_rnn.service.bodies import MemoryChange, MemoryEdit, Pin, Restore, SectionChange
from llm_as_rnn.service.errors import ConflictError, UnfitError
from llm_as_rnn.service.http.parts import Asker, Incoming, needs
from llm_as_rnn.service.http.problems import FailedConditionError, MissingConditionError
from llm_as_rnn.service.http.routes.common import After, Limit, SessionId, Version, problems
from llm_as_rnn.service.views import MemoryView

TAGS = ["memory"]

MEMORY = "/sessions/{session:str}/memory"

DIFF = "text/x-diff"
"""The media type of a unified diff."""

_TAG = re.compile(r'(?:W/)?"(\d+)"')


@get(MEMORY, opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_memory(by: Asker, session: SessionId, request: Incoming) -> Response[MemoryView | None]:
    """Give the present memory; its ETag is its version."""
    view = await by.sessions.memory(by.caller, session)
    tag = _tag(view)
    if tag in [given.strip() for given in request.headers.get("if-none-match", "").split(",")]:
        return Response(None, status_code=304, headers={"ETag": tag})
    return Response(view, headers={"ETag": tag})


@put(MEMORY, opt=needs("edit"), responses=problems(404, 409, 412, 422, 428), tags=TAGS)
async def edit_memory(
    by: Asker,
    session: SessionId,
    data: RequestBody[MemoryEdit],
    condition: Annotated[
        str | None,
        HeaderParameter(name="If-Match", description='The version that is edited, as in its ETag: "12". It is needed.'),
    ] = None,
) -> Response[MemoryView]:
    """Put what a person wrote in the memory's place, as a new version with its author."""
    expected = _expected(condition)
    try:
        view = await by.sessions.edit(by.caller, session, data.sections, expected)
    except ConflictError as error:
        raise FailedConditionError(error.message, error.hint) from error
    return _changed(view)


@get(f"{MEMORY}/versions", opt=needs("read"), responses=problems(404), tags=TAGS)
async def list_versions(by: Asker, session: SessionId, after: After = -1, limit: Limit = 100) -> Sequence[MemoryView]:
    """List versions of the memory, a page at a time: those behind revision `after`."""
    return await by.sessions.versions(by.caller, session, after, limit)


@get(f"{MEMORY}/versions/{{version:int}}", opt=needs("read"), responses=problems(404), tags=TAGS)
async def get_version(by: Asker, session: SessionId, version: Version) -> MemoryView:
    """Give a version of the memory."""
    return await by.sessions.memory(by.caller, session, version)


@get(f"{MEMORY}/diff", opt=needs("read"), responses=problems(404), tags=TAGS)
async def diff_memory(
    by: Asker,
    session: SessionId,
    request: Incoming,
    before: Annotated[int, QueryParameter(name="from", ge=0, le=2**31 - 1, description="The earlier version.")],
    after: Annotated[
        int | None,
        QueryParameter(name="to", ge=0, le=2**31 - 1, description="The later version; else the present one."),
    ] = None,
) -> Response[MemoryChange] | Response[str]:
    """Give what changed from one version of the memory to another, by its parts.

    Whoever asks with `Accept: text/x-diff` gets it as a unified diff.
    """
    earlier = await by.sessions.memory(by.caller, session, before)
    later = await by.sessions.memory(by.caller, session, after)
    if Accept(request.headers.get("accept", "*/*")).best_match(["application/json", DIFF]) == DIFF:
        return Response(_unified(earlier, later), media_type=DIFF)
    return Response(_change(earlier, later))


@post(f"{MEMORY}/restore", opt=needs("edit"), status_code=200, responses=problems(404, 409, 422), tags=TAGS)
async def restore_memory(by: Asker, session: SessionId, data: RequestBody[Restore]) -> Response[MemoryView]:
    """Put an earlier version of the memory back, as a new version; nothing is lost."""
    return _changed(await by.sessions.restore(by.caller, session, data.version))


@put(f"{MEMORY}/pins", opt=needs("edit"), responses=problems(404, 409, 422), tags=TAGS)
async def pin_note(by: Asker, session: SessionId, data: RequestBody[Pin]) -> Response[MemoryView]:
    """Pin a note of the memory: no update drops or alters it."""
    return _changed(await by.sessions.pin(by.caller, session, data.item, True))


@delete(f"{MEMORY}/pins", opt=needs("edit"), status_code=200, responses=problems(404, 409, 422), tags=TAGS)
async def unpin_note(
    by: Asker,
    session: SessionId,
    item: Annotated[str, QueryParameter(min_length=1, description="The note, as it stands in the memory.")],
) -> Response[MemoryView]:
    """Let a note that was pinned go again."""
    return _changed(await by.sessions.pin(by.caller, session, item, False))


def _changed(view: MemoryView) -> Response[MemoryView]:
    return Response(view, headers={"ETag": _tag(view)})


def _tag(view: MemoryView) -> str:
    return f'"{view.version}"'


def _expected(condition: str | None) -> int | None:
    """Read If-Match: the version that is edited, or None for whichever there is."""
    if condition is None:
        raise MissingConditionError("an edit says which version it is of", 'send If-Match: "VERSION", or *')
    if condition.strip() == "*":
        return None
    found = _TAG.fullmatch(condition.strip())
    if found is None:
        raise UnfitError(f"If-Match names no version: {condition!r}", 'send the ETag of the memory, such as "12"')
    return int(found[1])


def _unified(earlier: MemoryView, later: MemoryView) -> str:
    lines = unified_diff(
        earlier.text.splitlines(), later.text.splitlines(), f"v{earlier.version}", f"v{later.version}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _change(earlier: MemoryView, later: MemoryView) -> MemoryChange:
    """Compare two versions part by part."""
    before = {section.name: section.items for section in earlier.sections}
    after = {section.name: section.items for section in later.sections}
    found = []
    for name in {**before, **after}:
        old, new = before.get(name, ()), after.get(name, ())
        added = tuple(item for item in new if item not in old)
        removed = tuple(item for item in old if item not in new)
        if added or removed:
            found.append(SectionChange(section=name, added=added, removed=removed))
    return MemoryChange(before=earlier.version, after=later.version, sections=tuple(found))


ROUTES = (
    get_memory,
    edit_memory,
    list_versions,
    get_version,
    diff_memory,
    restore_memory,
    pin_note,
    unpin_note,
)
