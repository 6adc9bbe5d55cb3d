"""How likely a model holds each option to be, read off the chances of the tokens that it could have written.

An option is one path down a tree of tokens. A model that has written one answer tells, at each token of it, what else
it might have written there and how likely: so each branch that leaves the path is known to its first token. What is
known is shared out among the options, and nothing else: a grammar holds the answer to them, and the chances are those
from before the grammar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from llm_as_rnn.core.alignment import beginning_of
from llm_as_rnn.core.calls import Place

LEAST = 1e-4
"""A chance below is not kept: all options that are not named share what is left of 1.

Nor is one taken for smaller where chances are corrected or pooled: one that is 0 would be a veto for ever.
"""

MOST_KEPT = 24
"""So many options are kept with their chances, the likeliest; a journal's lines must have an end."""

MOST_DEEP = 64
"""Tokens of one option that are followed: whoever writes an answer may be anybody."""

MATTERS = 0.05
"""A branch that is less likely is not worth a call of its own."""

UNLISTED = 0.5
"""A token that is not listed is less likely than the least of those that are: by this much, at a guess."""

BYTES = "surrogateescape"
"""How bytes that are no letters are read, so that they can be given back."""


class Token(NamedTuple):
    """A token that a model wrote.

    Attributes
    ----------
    text : bytes
        What it stands for; a letter may be cut in two.
    chance : float
        How likely it was, in [0, 1].
    others : mapping of bytes to float
        The likeliest tokens at its place with their chances; it may be among them.
    """

    text: bytes
    chance: float
    others: Mapping[bytes, float]


def read_chances(places: Sequence[Place], tokens: Sequence[Token]) -> dict[str, dict[str, float]]:
    """Give the chances of the options of each field that has some.

    Parameters
    ----------
    places : sequence of Place
        Where their values stand in an answer.
    tokens : sequence of Token
        The answer.

    Returns
    -------
    dict of str to dict of str to float
        By field, the likeliest options; options that are not named share what is left of 1. A field is missing where
        the answer does not come so far.

    Examples
    --------
    >>> sky = Place("sky", "^", ("rain", "sun", "snow"))
    >>> said = [Token(b" rain", 0.3, {b" fog": 0.4, b" rain": 0.3, b" s": 0.1})]
    >>> {option: round(chance, 3) for option, chance in read_chances([sky], said)["sky"].items()}
    {'rain': 0.75, 'sun': 0.125, 'snow': 0.125}
    """
    # By letters, as answers are read, and not by bytes; one that was cut in two stays as it is.
    written = b"".join(token.text for token in tokens).decode(errors=BYTES)
    found = {}
    for place in places:
        lead = re.search(place.lead, written, re.ASCII)
        if lead is not None and lead.end() < len(written):
            spread = _spread(_notation(place), _from(tokens, len(written[: lead.end()].encode(errors=BYTES))))
            kept = likeliest(spread) if math.fsum(spread.values()) > 0 else {}
            if kept:
                found[place.name] = kept
    return found


def full(options: Sequence[str], named: Mapping[str, float]) -> dict[str, float]:
    """Give the chance of every option: those that are not named share what is left of 1, and all add up to 1.

    Parameters
    ----------
    options : sequence of str
        All there are.
    named : mapping of str to float
        The likeliest with their chances.

    Examples
    --------
    >>> full(("fog", "rain", "sun"), {"sun": 0.5})
    {'fog': 0.25, 'rain': 0.25, 'sun': 0.5}
    """
    others = sum(option not in named for option in options)
    rest = max(1.0 - math.fsum(named.values()), LEAST * others) / others if others else 0.0
    chances = {option: named.get(option, rest) for option in options}
    whole = math.fsum(chances.values())
    return {option: chance / whole for option, chance in chances.items()} if whole else chances


def completed(options: Sequence[str], told: Mapping[str, float]) -> dict[str, float]:
    """Give every option's chance where some were told; where none were, or nobody lists the options, what was told.

    >>> completed(("rain", "sun"), {"sun": 0.75}), completed(("rain", "sun"), {}), completed((), {"a note": 0.5})
    ({'rain': 0.25, 'sun': 0.75}, {}, {'a note': 0.5})
    """
    return full(options, told) if told and options else dict(told)


def likeliest(spread: Mapping[str, float], whole: float | None = None) -> dict[str, float]:
    """Give the likeliest options with their chances, as they are kept (see `full`).

    Parameters
    ----------
    spread : mapping of str to float
        The chances of some options, of any sum.
    whole : float, optional
        What those of all options add up to, where others may come that are not among these; by default, none may.

    Examples
    --------
    >>> likeliest({"fog": 0.00001, "sun": 2.99999, "rain": 1}), likeliest({"flu": 0.25}, whole=1.0)
    ({'sun': 0.75, 'rain': 0.25}, {'flu': 0.25})
    """
    if whole is None:
        whole = math.fsum(spread.values())
    best = sorted(spread, key=lambda option: -spread[option])[:MOST_KEPT]
    shares = {option: float(f"{spread[option] / whole:.4g}") for option in best}
    return {option: share for option, share in shares.items() if share >= LEAST}


class Untold(NamedTuple):
    """Options of one branch that an answer did not take: their chances are known together alone.

    Attributes
    ----------
    options : tuple of str
        Two at least, which begin alike.
    chance : float
        That of all of them.
    """

    options: tuple[str, ...]
    chance: float


def untold(options: Sequence[str], told: Mapping[str, float]) -> Untold | None:
    """Find the likeliest branch whose options were all told the same chance; None where none matters.

    Parameters
    ----------
    options : sequence of str
        All there are.
    told : mapping of str to float
        Their chances, as `read_chances` gives them.

    Examples
    --------
    >>> untold(("card lost", "card stolen", "fee"), {"fee": 0.8, "card lost": 0.1, "card stolen": 0.1})
    Untold(options=('card lost', 'card stolen'), chance=0.2)
    >>> untold(("card lost", "card stolen", "fee"), {"fee": 0.8, "card lost": 0.15, "card stolen": 0.05}) is None
    True
    """
    chances = full(options, told)
    alike: dict[tuple[float, str], list[str]] = {}
    for option in options:
        if option in told:
            alike.setdefault((told[option], option[:1]), []).append(option)
    branches = []
    for few in alike.values():
        if len(few) > 1:
            beginning = beginning_of(few)
            # Those that were too unlikely to be kept belong to it as well.
            all_ = tuple(o for o in options if o.startswith(beginning) and (o in few or o not in told))
            branches.append(Untold(all_, math.fsum(chances[option] for option in all_)))
    best = max(branches, key=lambda branch: branch.chance, default=None)
    return best if best is not None and best.chance >= MATTERS else None


def shared_out(
    options: Sequence[str], told: Mapping[str, float], branch: Untold, within: Mapping[str, float]
) -> dict[str, float]:
    """Share the chance of a branch out as its options' chances among themselves say.

    >>> shared_out(("card lost", "card stolen", "fee"), {"fee": 0.8, "card lost": 0.1, "card stolen": 0.1},
    ...     Untold(("card lost", "card stolen"), 0.2), {"card lost": 0.75, "card stolen": 0.25})
    {'fee': 0.8, 'card lost': 0.15, 'card stolen': 0.05}
    """
    inner = full(branch.options, within)
    return likeliest({**full(options, told), **{option: branch.chance * inner[option] for option in branch.options}})


class _Rest(NamedTuple):
    """What is left of an answer from some place on: the first token's part before that place, and the tokens."""

    before: bytes
    tokens: Sequence[Token]


def _from(tokens: Sequence[Token], place: int) -> _Rest:
    begin = 0
    for number, token in enumerate(tokens):
        if begin + len(token.text) > place:
            if number and begin == place and not tokens[number - 1].text.strip():
                return _Rest(b"", tokens[number - 1 :])  # the blank is a token of its own: what else stood there tells
            return _Rest(token.text[: place - begin], tokens[number:])
        begin += len(token.text)
    return _Rest(b"", ())


def _notation(place: Place) -> dict[str, bytes]:
    """Give options as they stand in the answer."""
    if not place.quoted:
        return {option: option.encode() for option in place.options}
    return {option: msgspec.json.encode(option)[1:-1] for option in place.options}


def _spread(options: Mapping[str, bytes], rest: _Rest) -> dict[str, float]:
    """Share out what is known of an answer from where an option stands in it."""
    tokens = rest.tokens
    if not tokens or tokens[0].text.strip():
        return _down(options, rest).chances
    # A blank of its own may have been on the way to an option, or to begin something else: a grammar then has the model
    # write an option that it would not have gone on with. So there are two ways, without the blank and behind it, and
    # each counts as far as the model would have gone it.
    blank, behind = tokens[0], _down(options, _Rest(rest.before, tokens[1:]))
    instead = _branches(blank, b"", options)
    mass = max(blank.chance, blank.others.get(blank.text, 0.0)) * behind.known if behind.chances else 0.0
    whole = math.fsum(branch.chance for branch in instead.values()) + mass
    if not instead or not whole:
        return behind.chances
    return _shared(instead, {option: mass / whole * behind.chances.get(option, 0.0) for option in options}, 1 / whole)


class _Way(NamedTuple):
    """What an answer tells of the options.

    Attributes
    ----------
    chances : dict of str to float
        Theirs; empty where it tells none of them from another.
    known : float
        How likely the first token of any of them was.
    """

    chances: dict[str, float]
    known: float


def _down(options: Mapping[str, bytes], rest: _Rest) -> _Way:
    """Go down the tree along what was written, and share out at each token what leaves the path there."""
    chances = dict.fromkeys(options, 0.0)
    left, mass, known = dict(options), 1.0, 0.0  # what is still to write of each option that the answer may yet be
    for number, token in enumerate(rest.tokens[:MOST_DEEP]):
        before = None if number else rest.before
        branches = _branches(token, before, left)
        on = _bare(token.text, before)
        if on not in branches:
            break
        taken = branches.pop(on)
        whole = math.fsum(branch.chance for branch in (taken, *branches.values()))
        known = known if number else whole
        chances = _shared(branches, chances, mass / whole)
        mass *= taken.chance / whole
        left = {option: left[option][len(on) :] for option in taken.options}
        if len(left) == 1:
            break
    if len(left) == len(options):  # the answer tells none of them from another
        return _Way({}, known)
    ended = [option for option in left if not left[option]] or list(left)
    for option in ended:
        chances[option] += mass / len(ended)
    return _Way(chances, known)


def _shared(branches: Mapping[bytes, _Branch], chances: Mapping[str, float], scale: float) -> dict[str, float]:
    """Share the chance of each branch out among the options that are likely meant by it."""
    shared = dict(chances)
    for branch in branches.values():
        for option in branch.meant:
            shared[option] += scale * branch.chance / len(branch.meant)
    return shared


class _Branch(NamedTuple):
    """What may stand at a token's place.

    Attributes
    ----------
    chance : float
        How likely.
    options : list of str
        Those that go on so.
    meant : list of str
        Those of them for which no longer token is listed: who means ``rainy`` and has that word for a token does not
        write ``rain`` first.
    """

    chance: float
    options: list[str]
    meant: list[str]


def _branches(token: Token, before: bytes | None, left: Mapping[str, bytes]) -> dict[bytes, _Branch]:
    """Give what may stand at a token's place, how likely, and the options that go on so."""
    # At the beginning nothing is what stands before a value. Behind it, it is the token that ends an answer, which is
    # written as nothing: an option ends there as it does before the end of a line.
    may_end = before is None and bool(token.others)
    chances: dict[bytes, float] = {}
    leads: dict[bytes, set[bytes]] = {}
    for text, chance in {**token.others, token.text: max(token.chance, token.others.get(token.text, 0.0))}.items():
        bare = _bare(text, before)
        chances[bare] = chances.get(bare, 0.0) + chance
        leads.setdefault(bare, set()).add(text[: len(text) - len(bare)])
    found = {}
    for text, chance in chances.items():
        options = _going_on(left, text) if text else [option for option, rest in left.items() if may_end and not rest]
        if options and chance > 0:
            # With a blank before it a word has other tokens than without: a longer one of the same kind counts alone.
            longer = [one for one in chances if one.startswith(text) and one != text and leads[text] <= leads[one]]
            meant = [option for option in options if not left[option].startswith(tuple(longer))]
            found[text] = _Branch(chance, options, meant or options)
    reached = {option for branch in found.values() for option in branch.options}
    missing = [option for option, rest in left.items() if found and rest and option not in reached]
    # No likelier than the least that is listed, and all of them together no more than what the listed ones leave.
    unlisted = max(1.0 - math.fsum(token.others.values()), LEAST**2) / max(len(missing), 1)
    least = min(UNLISTED * min(token.others.values(), default=token.chance), unlisted)
    for option in missing if least > 0 else ():
        found[left[option]] = _Branch(least, [option], [option])
    return found


def _bare(text: bytes, before: bytes | None) -> bytes:
    """Take off a value's first token what stands there before it, a blank or a quotation mark; None at later tokens."""
    if before is None:
        return text
    text, lead = text.lstrip(b" \n"), before.strip(b" \n")
    return text.removeprefix(lead) if text.startswith(lead) else b""


def _going_on(left: Mapping[str, bytes], text: bytes) -> list[str]:
    """Give the options that go on with a text; else those that end in it, or before it."""
    longer = [option for option, rest in left.items() if rest and rest.startswith(text)]
    return longer or [option for option, rest in left.items() if text.startswith(rest) and _ends(text[len(rest) :])]


def _ends(behind: bytes) -> bool:
    """Tell whether a word ends where this comes next."""
    return not (behind[:1].isalnum() or behind[:1] == b"_")
