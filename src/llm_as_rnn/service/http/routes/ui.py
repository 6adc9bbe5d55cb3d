"""The page on which a person watches sessions: its files, which need no key, and what it shows beside the API's views.

What only the page asks for stands beside it, and not under the version's prefix: it changes with the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter, QueryParameter

from llm_as_rnn.service.http.parts import Asker, needs
from llm_as_rnn.service.http.routes.common import After, SessionId
from llm_as_rnn.service.ui import FILES
from llm_as_rnn.viewer import HEADERS, Asset, assets
from llm_as_rnn.viewer.index import STRETCH

PREFIX = "/ui"

PRIVATE = {"Cache-Control": "no-store"}
"""What goes with data."""


@get(PREFIX, opt=needs(None))
async def get_page() -> Response[bytes]:
    """Give the page."""
    return _given(assets(FILES), "index.html")


@get(f"{PREFIX}/{{name:str}}", opt=needs(None))
async def get_asset(name: Annotated[str, PathParameter(max_length=100)]) -> Response[bytes]:
    """Give a file of the page."""
    return _given(assets(FILES), name)


def _given(files: Mapping[str, Asset], name: str) -> Response[bytes]:
    found = files.get(name)
    if found is None:
        raise NotFoundException
    return Response(found.content, media_type=found.media_type, headers=HEADERS)


@get(f"{PREFIX}/sessions/{{session:str}}/steps", opt=needs("read"))
async def show_steps(
    by: Asker,
    session: SessionId,
    after: After = -1,
    limit: Annotated[int, QueryParameter(ge=1, le=STRETCH)] = STRETCH,
) -> Response[bytes]:
    """Show steps as the viewer takes them."""
    return _data(await by.sessions.trace(by.caller, session, after, limit))


@get(f"{PREFIX}/sessions/{{session:str}}/memories", opt=needs("read"))
async def show_memories(
    by: Asker,
    session: SessionId,
    before: Annotated[int | None, QueryParameter(ge=0, le=2**53)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> Response[bytes]:
    """Show how the memory changed, the latest change first."""
    return _data(await by.sessions.history(by.caller, session, before, limit))


@get(f"{PREFIX}/sessions/{{session:str}}/scores", opt=needs("read"))
async def show_scores(by: Asker, session: SessionId) -> Response[bytes]:
    """Give scores over time, those of a short session at shorter steps than the API's."""
    return _data(await by.sessions.curves(by.caller, session))


def _data(value: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json", headers=PRIVATE)


ROUTES = (get_page, get_asset, show_steps, show_memories, show_scores)
