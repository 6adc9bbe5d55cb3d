"""FiNER-139 as ACE ships it: a prompt about four figures in sentences of financial reports, and their tags."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llm_as_rnn.datasets.base import Brought, Maker, Row
from llm_as_rnn.datasets.publishers.common import made_by_users, rows_of, wrong

BEFORE, AFTER = 14, 8
"""How many words of its sentence are shown before a figure, and after it."""

_QUESTION = re.compile(r"^\d+\. What is best tag for entity \"(.*?)\" in sentence: \"", re.MULTILINE)
_END = "\nOutput US GAAP tags:"


def rows(files: tuple[Brought, ...], _: str) -> list[Row]:
    """Read a file of ACE's: a row for each figure, in the file's order."""
    (file,) = files
    found = []
    for row in rows_of(file, ("context", "target"), "FiNER as ACE ships it"):
        context, target = str(row.cells["context"]), str(row.cells["target"])
        figures, tags = list(_figures(context)), [tag.strip() for tag in target.split(",")]
        if not figures:
            raise wrong(file, row.line, "it asks for the tag of no figure")
        if len(figures) != len(tags):
            raise wrong(file, row.line, f"it asks for the tags of {len(figures)} figures, and gives {len(tags)}")
        for (figure, sentence), tag in zip(figures, tags, strict=True):
            text = around(figure, sentence)
            if text is None:
                raise wrong(file, row.line, f"the figure {figure!r} does not stand in its sentence")
            found.append(Row(row.line, {"text": text, "tag": tag}))
    return found


def _figures(context: str) -> Iterator[tuple[str, str]]:
    """Give each figure with its sentence, which the prompt ends with a question mark and a quotation mark."""
    parts = _QUESTION.split(context.partition(_END)[0])
    for figure, sentence in zip(parts[1::2], parts[2::2], strict=True):
        yield figure, sentence.strip().removesuffix('"').removesuffix("?")


def around(figure: str, sentence: str) -> str | None:
    """Give a figure in square brackets with the words around it, or nothing if it is no word of the sentence.

    A figure that stands there several times is taken where it stands first: the prompt does not say which one is meant.

    >>> around("34.6", "On May 1 , we owned 34.6 % of it .")
    'On May 1 , we owned [34.6] % of it .'
    """
    words = sentence.split()
    if figure not in words:
        return None
    place = words.index(figure)
    return " ".join([*words[max(0, place - BEFORE) : place], f"[{figure}]", *words[place + 1 : place + 1 + AFTER]])


FINER = made_by_users(
    "finer",
    title="What a figure of a financial report is tagged as (FiNER-139)",
    source="ACE's files of FiNER-139 (Loukas et al., ACL 2022)",
    licence="Apache-2.0 (ACE's repository)",
    predicts="a figure's tag in the taxonomy of US GAAP (139)",
    size="2,000 figures in the validation file",
    maker=Maker(("a .jsonl file of ACE's finance data",), rows),
)
