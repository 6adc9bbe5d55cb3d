"""A forecast in words, compared with what came without any model: sky, temperatures and rain as code can read them.

It reads plain English in degrees C, and stands beside a judge's score: it cannot be talked into anything, and it does
not see what is said in other words than it knows. What is said twice in different ways counts as not said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

EXACT, LOST = 1.0, 6.0
"""Degrees C: an error up to the first costs nothing, one from the second on everything; in between it is linear."""

MOST_SKIES = 2
"""More kinds of sky than these in one forecast are none: it would be right whatever comes."""

HALF = 0.5
"""For a sky that is named, but not first, or is drizzle for rain."""

LIKELY = 50.0
"""Per cent: rain of at least this chance counts as rain."""

MOST_CHARS = 4_000
"""Characters of a text that are read: no forecast is longer."""

REACH = 200
"""Characters before and after a word in which it may be denied."""

SKIES = {
    "sun": r"sun(?:ny|shine)?|clear|fair|bright|cloudless|blue sk(?:y|ies)",
    "drizzle": r"drizzl(?:e|es|y|ing)",
    "rain": r"rain(?:y|s|ing|fall)?|showers?|showery|wet|downpours?|thunderstorms?|storms?|stormy",
    "snow": r"snow(?:y|s|ing|fall)?|sleet|flurr(?:y|ies)|blizzards?",
    "fog": r"fog(?:gy)?|mist(?:y)?|haz[ey]",
    "cloud": r"cloud(?:y|s)?|overcast|gr[ea]y",
}
"""Words for each sky. Drizzle, rain and snow are wet."""

_WET = ("drizzle", "rain", "snow")
_SKY = re.compile(r"\b(?:" + "|".join(f"(?P<{name}>{words})" for name, words in SKIES.items()) + r")\b")
_PRECIPITATION = re.compile(r"\bprecipitation\b")
# What ends the reach of a "no": clauses, and words that begin something else. "no rain or snow" is both.
_NOT_BEFORE = re.compile(
    r"(?:\b(?:no|not|without|never|neither|nor|zero|hardly|barely|free of|lack of|unlikely|cannot)\b|n't\b"
    r"|\b(?:slight|small|low|little|minimal|slim|remote) (?:chance|risk|probability|likelihood) of\b)"
    r"(?: (?!(?:and|but|with|then|only|just|yet|though|although|while|so)\b)[\w'-]+){0,4} $"
)
_NOT_AFTER = re.compile(
    r"^(?:[ -]free\b|\s*: *(?:no|none|nil|0)\b"
    r"| (?:(?:is|are|was|will be|looks?|remains?|seems?) )?(?:(?:very|highly|quite) )?"
    r"(?:unlikely|not (?:expected|likely|forecast)|absent|stays? away))"
)
_CHANCE_BEFORE = re.compile(
    r"(?<![0-9])([0-9]+(?:\.[0-9]+)?) ?(?:%|per ?cent)(?: (?:chance|risk|probability|likelihood))?(?: of)? $"
)
_DRY = re.compile(r"\bdry\b")

# A figure ends where no other writing of numbers goes on (12,5 and 1e1 are none), and no letters but a unit's.
_FIGURE = r"(?:-|minus )?[0-9]{1,3}(?:\.[0-9]+)?(?![0-9]|[.,][0-9]|(?!c\b|deg)[a-z])"
_NUMBER = rf"(?:(?<![\w.,]){_FIGURE})"
_DEGREES = r"(?: ?(?:\u00b0 ?c?|deg(?:rees?)?\b(?: ?(?:c|celsius|centigrade)\b)?|c\b|celsius\b|centigrade\b))"
_OTHER_UNITS = (
    r"mm\b|cm\b|m/s|km/h|kph\b|mph\b|m\b|km\b|kn\b|knots?\b|%|per ?cent\b|hpa\b|mbar\b|millimet\w+|inch(?:es)?\b|in\b"
    r"|hours?\b|days?\b|[ap]\.?m\b|th\b|st\b|nd\b|rd\b|\u00b0 ?f\b|f\b|fahrenheit\b|deg(?:rees?)? ?f(?:ahrenheit)?\b"
)
_NOT_DEGREES = re.compile(
    # Other units, with the range that may stand before them; dates; times; shares such as 95/100.
    rf"[0-9]+(?:\.[0-9]+)?(?: ?(?:-|to|and) ?[0-9]+(?:\.[0-9]+)?)? ?(?:{_OTHER_UNITS})"
    r"|[0-9]+(?:[/:][0-9]+)+|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]+ out of [0-9]+|[0-9]{4,}(?:\.[0-9]+)?"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* [0-9]{1,2}\b"
)
_RANGE = rf"(?P<a>{_NUMBER}){_DEGREES}?(?: ?(?:-|to|and|or) ?(?P<b>{_FIGURE}){_DEGREES}?)?"
_FILLER = (
    r"(?:[ :=~-]|\b(?:temperatures?|temps?|of|at|is|are|be|will|to|near|around|about|between|from|in|the|only|just|a"
    r"|reach(?:es|ing)?)\b)*?"
)
_HIGH = r"(?:highs?|max(?:imum)?|maxima|tops?|topping|peak(?:s|ing)?|reach(?:es|ing)?|up to|daytime|afternoon)"
_LOW = r"(?:lows?|min(?:imum)?|minima|down to|overnight|night|dropping to|falling to)"
_BEFORE = rf"(?P<before>{_NUMBER}){_DEGREES}? (?:at |by |in the |during the )?"
_LABELLED = {
    name: re.compile(rf"\b{label}\b{_FILLER}{_RANGE}|{_BEFORE}{label}\b(?!{_FILLER}{_NUMBER})")
    for name, label in (("high", _HIGH), ("low", _LOW))
}
_BOTH = re.compile(rf"\b(?:between|from) (?P<a>{_NUMBER}){_DEGREES}? ?(?:-|to|and) ?(?P<b>{_NUMBER}){_DEGREES}?")
_SPAN = re.compile(rf"(?P<a>{_NUMBER}){_DEGREES}? ?(?:-|to) ?(?P<b>{_FIGURE}){_DEGREES}")
_PLAIN = re.compile(rf"(?P<a>{_NUMBER}){_DEGREES}|\btemperatures?\b{_FILLER}(?P<b>{_NUMBER})")


class Facts(NamedTuple):
    """What a forecast says, None where it does not.

    Attributes
    ----------
    skies : tuple of str
        The kinds of sky that it names, in order.
    wet : bool or None
        Whether there will be rain, drizzle or snow. A forecast that names a sky and no rain is a dry one.
    high, low : float or None
        Degrees C; the middle of a range.
    """

    skies: tuple[str, ...] = ()
    wet: bool | None = None
    high: float | None = None
    low: float | None = None


def read_facts(text: str) -> Facts:
    """Read a forecast.

    >>> read_facts("Sunny, no rain, highs between 12 and 15 degrees.")
    Facts(skies=('sun',), wet=False, high=13.5, low=None)
    >>> read_facts("Foggy with light rain; 9 C, at night 4 C")
    Facts(skies=('fog', 'rain'), wet=True, high=9.0, low=4.0)
    """
    plain = _plain(text[:MOST_CHARS])
    skies, denied = _skies(plain)
    wet = True if set(skies) & set(_WET) or _affirmed(plain) else None
    if wet is None and (skies or denied or _DRY.search(plain)):
        wet = False
    high, low = _temperatures(_NOT_DEGREES.sub(" ; ", plain))
    return Facts(skies, wet, high, low)


def compare(said: str, came: str) -> dict[str, float]:
    """Score a forecast against what came, both in words.

    Returns
    -------
    dict of str to float
        ``facts_sky``, ``facts_temperature`` and ``facts_rain``, 0 to 1, as far as the outcome tells them, and their
        mean as ``facts``, 0 to 100. What the forecast does not say scores 0. Empty if the outcome tells none.

    Examples
    --------
    >>> scores = compare("Sunny, high 15", "Sunny with a high of 12 and a low of 4 degrees C. No rain.")
    >>> {name: round(score, 2) for name, score in scores.items()}
    {'facts_sky': 1.0, 'facts_temperature': 0.3, 'facts_rain': 1.0, 'facts': 76.67}
    """
    forecast, truth = read_facts(said), read_facts(came)
    parts: dict[str, float] = {}
    if truth.skies:
        parts["facts_sky"] = _sky_score(forecast.skies, truth.skies[0])
    known = [(a, b) for a, b in ((forecast.high, truth.high), (forecast.low, truth.low)) if b is not None]
    if known:
        parts["facts_temperature"] = sum(_closeness(a, b) for a, b in known) / len(known)
    if truth.wet is not None:
        parts["facts_rain"] = float(forecast.wet is truth.wet)
    return {**parts, "facts": 100 * sum(parts.values()) / len(parts)} if parts else {}


def _plain(text: str) -> str:
    """Fold case, signs and white space; end every clause where it can be seen."""
    folded = re.sub("[\u2010-\u2015\u2212]", "-", text.casefold().replace("\u2019", "'"))
    return " ".join(folded.split())


def _skies(plain: str) -> tuple[tuple[str, ...], set[str]]:
    """List the skies that are forecast, and those that are said not to come."""
    named: list[str] = []
    denied: set[str] = set()
    for found in _SKY.finditer(plain):
        name = str(found.lastgroup)
        (denied.add if _denied(plain, found) else named.append)(name)
    return tuple(dict.fromkeys(named)), denied


def _affirmed(plain: str) -> bool:
    return any(not _denied(plain, found) for found in _PRECIPITATION.finditer(plain))


def _denied(plain: str, found: re.Match[str]) -> bool:
    before = plain[max(0, found.start() - REACH) : found.start()]
    after = plain[found.end() : found.end() + REACH]
    chance = _CHANCE_BEFORE.search(before)
    if chance:
        return float(chance[1]) < LIKELY
    clause = re.split(r"[.,;:!?()] ", before)[-1]
    return bool(_NOT_BEFORE.search(clause) or _NOT_AFTER.search(after))


def _temperatures(plain: str) -> tuple[float | None, float | None]:
    found = {name: _one(_middle(match) for match in label.finditer(plain)) for name, label in _LABELLED.items()}
    rest = plain
    for label in _LABELLED.values():
        rest = label.sub(" ; ", rest)
    labelled = rest != plain
    spans = [sorted((_value(m["a"]), _value(m["b"]))) for span in (_BOTH, _SPAN) for m in span.finditer(rest)]
    if spans and not labelled:
        return _one(span[1] for span in spans), _one(span[0] for span in spans)
    if found["high"] is None and not _LABELLED["high"].search(plain):
        found["high"] = _one(_value(match["a"] or match["b"]) for match in _PLAIN.finditer(rest))
    return found["high"], found["low"]


def _middle(match: re.Match[str]) -> float:
    if match["before"]:
        return _value(match["before"])
    first = _value(match["a"])
    return (first + _value(match["b"])) / 2 if match["b"] else first


def _value(figure: str) -> float:
    return float(figure.replace("minus ", "-"))


def _one(values: Iterator[float]) -> float | None:
    """Give what all agree on; several different figures are none."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _sky_score(named: tuple[str, ...], truth: str) -> float:
    if len(named) > MOST_SKIES or not named:
        return 0.0
    if named[0] == truth:
        return 1.0
    alike = {"rain", "drizzle"}
    return HALF if truth in named or {named[0], truth} == alike else 0.0


def _closeness(said: float | None, came: float) -> float:
    if said is None:
        return 0.0
    return min(1.0, max(0.0, (LOST - abs(said - came)) / (LOST - EXACT)))
