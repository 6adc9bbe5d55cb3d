"""The prompt templates of all methods: shipped beside the method that uses them, replaceable by a user's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.errors import PromptError
from llm_as_rnn.core.files import read_file
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.templates import render

ROOMS = ("recurrence", "baselines")
"""Where the templates of methods lie; their fingerprint is part of a run's spec."""

EVERY_ROOM = (*ROOMS, "runs")
"""With those for judges, who come after a run and have a fingerprint of their own (see `runs.judging`)."""


def shipped_prompts(rooms: Sequence[str] = ROOMS) -> dict[str, str]:
    """Read every shipped template, by its name (``recurrence/update``)."""
    here = Path(__file__).parents[1]
    return {
        f"{room}/{path.stem}": path.read_text(encoding="utf-8")
        for room in rooms
        for path in sorted((here / room / "prompts").glob("*.j2"))
    }


class Prompts:
    """A set of templates, complete and read into memory: rendering does no I/O.

    Parameters
    ----------
    sources : mapping of str to str, optional
        Templates by name; the shipped ones by default.

    Examples
    --------
    >>> Prompts({"recurrence/hello": "Hello {{ name }}."}).render("recurrence/hello", name="h_0")
    'Hello h_0.'
    """

    def __init__(self, sources: Mapping[str, str] | None = None) -> None:
        self._sources = dict(shipped_prompts() if sources is None else sources)

    @classmethod
    def with_folder(cls, folder: Path | None, rooms: Sequence[str] = ROOMS) -> Prompts:
        """Take the shipped templates, those in a user's folder (``recurrence/update.j2``) in their place.

        Raises
        ------
        PromptError
            If the folder is missing, cannot be read, or holds a template of a name that nothing uses.
        """
        sources, known = shipped_prompts(rooms), shipped_prompts(EVERY_ROOM)
        if folder is None:
            return cls(sources)
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise PromptError(f"prompt folder {folder} {what}", "check the path")
        for path in sorted(folder.rglob("*.j2")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name not in known:
                raise PromptError(f"no prompt is called {name!r} ({path})", f"names are {', '.join(known)}")
            if name not in sources:
                continue  # the same folder may hold templates for runs and for judges
            try:
                sources[name] = read_file(path).decode("utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                raise PromptError(f"prompt {path} cannot be read: {why}", "check the file") from error
        return cls(sources)

    def render(self, name: str, /, **values: Any) -> str:
        """Fill the template of a name.

        Raises
        ------
        PromptError
            If there is none, or it uses a value that it is not given.
        """
        if name not in self._sources:
            raise PromptError(f"no prompt is called {name!r}", f"names are {', '.join(self._sources)}")
        return render(self._sources[name], f"prompt {name}", **values)

    @property
    def digest(self) -> str:
        """Fingerprint of all templates, to tell whether two runs had the same ones."""
        text = "\0".join(f"{name}\0{source}" for name, source in sorted(self._sources.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def examples_in(messages: tuple[Message, ...], *own: str) -> set[str]:
    """Give the lines of a prompt, as notes are written, that are not the step's own: none of them was learned."""
    return _lines(message.content for message in messages) - _lines(own)


def _lines(texts: Iterable[str]) -> set[str]:
    """Give the lines of texts as notes are written."""
    return {tidy_item(line) for text in texts for line in text.splitlines() if line.strip()}


SAME_TEXTS = {
    "4b4e07038e240589": "aa62ae49ef6d8773",
    "aa62ae49ef6d8773": "e908eb3c7a78275a",
    "e908eb3c7a78275a": "c0eb22604de593b1",
}
"""Fingerprints of earlier shipped templates, each with that of later ones which give the very same texts, or more."""


def same_texts(begun: str, now: str) -> bool:
    """Tell by their fingerprints whether templates give the same texts.

    >>> same_texts("4b4e07038e240589", "aa62ae49ef6d8773"), same_texts("aa62ae49ef6d8773", "4b4e07038e240589")
    (True, False)
    """
    while begun != now and begun in SAME_TEXTS:
        begun = SAME_TEXTS[begun]
    return begun == now
