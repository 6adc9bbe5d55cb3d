"""One look at steps and memories for whoever shows them: the report's page, the service's page, a run that goes on.

`trace` prepares steps, with how memories changed (`core.changes`); the script and style sheets in ``static/`` show
them in a browser. They need no build step: they are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

STATIC = Path(__file__).parent / "static"
"""Scripts and style sheets."""

LOOK = ("palette.css", "base.css", "viewer.css")
"""The style sheets of every page that shows steps, in their order."""

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
"""Media types of what a page is made of, all of it UTF-8, by the ends of names; files of other kinds are not given."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""What goes with every file of a page that is served: nothing may run or load but these files."""


class Asset(NamedTuple):
    """A file of a page."""

    content: bytes
    media_type: str


@cache
def assets(folder: Path) -> Mapping[str, Asset]:
    """Read the files of a page that is served, by name: those of its own folder, and those that every page has.

    Parameters
    ----------
    folder : Path
        Where its own are; one that is called as a common one takes its place.
    """
    found = {
        path.name: Asset(path.read_bytes(), TYPES[path.suffix])
        for place in (STATIC, folder)
        for path in sorted(place.iterdir())
        if path.suffix in TYPES
    }
    return MappingProxyType(found)
