"""Takes a page apart, as a browser's parser would see it."""

from __future__ import annotations

import base64
import gzip
import json
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
        """The viewer's data."""
        texts = {attributes.get("id"): text for attributes, text in self.scripts}

        def unpacked(name: str) -> Any:
            return json.loads(gzip.decompress(base64.b64decode(texts[name])))

        index = json.loads(texts["data"])
        traces = [{**trace, "steps": unpacked(f"steps-{number}")} for number, trace in enumerate(index["traces"])]
        blocks = [name for name in texts if name and name.startswith("pool-")]
        pool = [value for number in range(len(blocks)) for value in unpacked(f"pool-{number}")]
        return {**index, "traces": traces, "pool": pool}
