"""Takes a page apart, as a browser's parser would see it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """The tags and texts of a page.

    Attributes
    ----------
    tags : list of (str, dict)
        Every start tag and its attributes, in order.
    scripts : list of (dict, str)
        Every script's attributes and text.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        """Leave a tag, and those in it that need no end."""
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Note a text."""
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        self._texts.append((inside, data))

    def text(self, tag: str = "") -> str:
        """Give the text directly inside tags of a name, or all that a reader sees."""
        return "".join(
            data for inside, data in self._texts if (inside == tag if tag else inside not in ("script", "style"))
        )

    @property
    def data(self) -> Any:
        """The viewer's data (see `unpacked`)."""
        texts = {attributes.get("id"): text for attributes, text in self.scripts}
        parts = [texts[name] for name in texts if name and name.startswith("part-")]
        return unpacked(texts["data"], parts)


def unpacked(head: str, parts: Sequence[str]) -> Any:
    """Unpack the viewer's data as the viewer does: each trace has its steps and the pool that they name values of.

    The values of all pools are there as one list as well: of a single part, the very same.
    """
    index = json.loads(head)
    opened = [json.loads(gzip.decompress(base64.b64decode(part))) for part in parts]
    traces = [
        {
            "method": index["methods"][method],
            "sequence": part["sequence"],
            "steps": _steps(content["traces"][place]),
            "pool": content["pool"],
        }
        for part, content in zip(index["parts"], opened, strict=True)
        for place, method in enumerate(part["methods"])
    ]
    return {**index, "traces": traces, "pool": [value for content in opened for value in content["pool"]]}


def _steps(columns: Any) -> list[dict[str, Any]]:
    def row(of: Any, place: int) -> dict[str, Any]:
        return {name: column[place] for name, column in of.items() if column[place] is not None}

    return [
        {
            "t": t,
            **row(columns["steps"], place),
            "answers": [{"name": name, **row(of, place)} for name, of in columns["answers"].items()],
            "said": [{"field": field, **found} for field, of in columns["trust"].items() if (found := row(of, place))],
        }
        for place, t in enumerate(columns["t"])
    ]
