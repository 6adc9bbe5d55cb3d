"""The sections of a discharge summary that tell what was known when a patient came, and nothing else.

A summary is written at the end of a stay. Only sections that `words` lists are ever taken, and reading stops for
good at the first heading of those that tell how the stay went. When in doubt, a section ends.
"""

from __future__ import annotations

import re

from llm_as_rnn.datasets.mimic.words import words

SECTIONS = words().sections
"""What is taken: the heading, its letters alone, to the field of x."""

MOST = {"present_illness": 1500, "past_history": 800}
"""How many characters of a section are kept, where it is not `SHORT`."""

SHORT = 300

LATE = words().late
"""Headings that tell how the stay went: from the first of them on, nothing is read."""

MASK = "___"
"""What stands where a name was taken out of a note; now and then a word of a heading was taken for one."""

MOST_WORDS = 8
"""Of a heading."""


def _spaced(phrase: str) -> str:
    """Give a pattern for a phrase however it is spaced or split, even between its letters."""
    return r"[\s_*\-.]*".join(re.escape(letter) for letter in phrase.replace(" ", ""))


_LATE_KEY = re.compile("|".join(phrase.replace(" ", "") for phrase in LATE))
_LATE = re.compile(
    rf"(?:{'|'.join(_spaced(phrase) for phrase in LATE)})[a-z]{{0,3}}\W{{0,6}}?(?:[:=]|-{{1,3}}|\n|\Z)", re.I
)
_OTHER_THAN_LETTERS = re.compile(r"[^a-z]+")
_HEADING = re.compile(r"[\W_\d]{0,40}([^:\n]{2,80}?)\s{0,40}(?::|=+|\s-+\s|\Z)\s*+")


def early_sections(text: str) -> dict[str, str]:
    r"""Take the sections of a summary that were known at admission.

    Parameters
    ----------
    text : str
        The whole summary.

    Returns
    -------
    dict of str to str
        By field of x: one line each, cut at a length. What is not there, or blank, is left out.

    Examples
    --------
    >>> early_sections("Chief Complaint:\nfever\n \nBRIEF  HOSPITAL COURSE :\nPneumonia.\nAllergies:\nnone")
    {'chief_complaint': 'fever'}
    """
    found: dict[str, list[str]] = {}
    current = ""
    for line in text.splitlines():
        heading, rest = _heading(line)
        if _is_late(line, heading):
            break
        name = SECTIONS.get(heading) or _unmasked(line)
        if name:
            # A heading that comes again adds nothing: the first is the summary's own.
            current = "" if name in found else name
            found.setdefault(name, [rest])
        elif _ends(heading, line, rest):
            current = ""
        elif current:
            found[current].append(line)
    kept = {name: _tidy("\n".join(lines), MOST.get(name, SHORT)) for name, lines in found.items()}
    return {name: section for name, section in kept.items() if section}


def _heading(line: str) -> tuple[str, str]:
    """Split a line into what may be a heading, its letters alone, and the rest."""
    match = _HEADING.match(line)
    if not match or len(match[1].split()) > MOST_WORDS:
        return "", line
    return _OTHER_THAN_LETTERS.sub("", match[1].casefold()), line[match.end() :]


def _is_late(line: str, heading: str) -> bool:
    if _LATE_KEY.search(heading) or any(word in rest for rest in _masked(line) for word in words().late_rest):
        return True
    return _may_be_late(line) and bool(_LATE.match(line.lstrip(" \t#*=_->.0123456789)(")))


def _may_be_late(text: str) -> bool:
    """Say whether a text has the letters of a late heading: far quicker than the pattern, which then decides."""
    return bool(_LATE_KEY.search(_OTHER_THAN_LETTERS.sub("", text.casefold())))


def _masked(line: str) -> list[str]:
    """Give the letters of a heading before, between and after its masked words; nothing if none is masked."""
    head, colon, _ = line.partition(":")
    if not colon or MASK not in head or len(head.split()) > MOST_WORDS:
        return []
    return [_OTHER_THAN_LETTERS.sub("", part.casefold()) for part in head.split(MASK)]


def _unmasked(line: str) -> str:
    """Name the field of a heading with masked words, if it could be of one field only."""
    letters = _masked(line)
    heading = re.compile("[a-z]+".join(letters))
    fields = {field for name, field in SECTIONS.items() if letters and heading.fullmatch(name)}
    return fields.pop() if len(fields) == 1 else ""


def _ends(heading: str, line: str, rest: str) -> bool:
    if _masked(line) and not line.partition(":")[2].strip():
        return True
    if not heading or ":" not in line:
        return False
    return not rest.strip() or any(word in heading for word in words().other)


def _tidy(section: str, most: int) -> str:
    """Cut a section where a late heading stands within a line, and to its length; blanks alone are nothing."""
    late = _LATE.search(section) if _may_be_late(section) else None
    text = " ".join((section[: late.start()] if late else section).split())
    if not re.search(r"[A-Za-z0-9]", text):
        return ""
    return text if len(text) <= most else text[: text.rfind(" ", 0, most - 3)] + " ..."
