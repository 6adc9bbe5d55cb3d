"""How values show themselves in notebooks: small pieces of HTML, in which whatever comes from data is only ever text.

Notebooks are light or dark, and not all of them keep style sheets: so each piece has its style with it, takes its
colours from what is around it, and marks what is new or gone by lines and signs as well as by a tint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from llm_as_rnn.core.changes import Item, MemoryDiff
from llm_as_rnn.core.figures import in_full
from llm_as_rnn.core.records import Memory, Prediction, Value

FAINT = "opacity:.7"
LINE = "1px solid rgba(128,128,128,.45)"
NEW = "background:rgba(46,160,67,.22);text-decoration:underline"
GONE = "background:rgba(218,54,51,.18);text-decoration:line-through"
CELL = "padding:1px 12px 1px 0;text-align:left;vertical-align:top;background:none;border:0;font-size:13px"

MOST_OPTIONS = 8
"""Options of a distribution that are shown, the likeliest; the rest is one more line."""

NOTHING = 0.005
"""A chance that is shown as none."""

SIGNS = {"+": "+", "-": "\N{MINUS SIGN}", "~": "~", "=": "\N{MIDDLE DOT}"}
"""What stands before a note: new, gone, edited, or as it was."""

Many = Iterable[str]


def page(*parts: str) -> str:
    """Put pieces together as one output."""
    whole = Markup('<div style="font-size:13px;line-height:1.45;max-width:60em;overflow-x:auto">{}</div>')
    return str(whole.format(Markup("").join(parts)))


def title(text: str, *details: str) -> Markup:
    """Write what something is, and below it what there is to say of it."""
    head = Markup('<div style="font-weight:600">{}</div>').format(text)
    said = " \N{MIDDLE DOT} ".join(filter(None, details))
    return head + (Markup('<div style="{}">{}</div>').format(FAINT, said) if said else "")


def part(text: str) -> Markup:
    """Write a heading within an output."""
    return Markup('<div style="margin-top:8px;font-weight:600">{}</div>').format(text)


def line(text: str, *, faint: bool = False) -> Markup:
    """Write a line of text."""
    return Markup('<div style="{}">{}</div>').format(FAINT if faint else "", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, figures: bool = False) -> Markup:
    """Lay out a table; cells that are `Markup` stay what they are, and lines of ``figures`` are not broken.

    >>> "&lt;b&gt;" in table(["method"], [["<b>"]])
    True
    """
    named = [
        Markup('<th style="{};border-bottom:{};font-weight:600">{}</th>').format(CELL, LINE, name) for name in head
    ]
    first = Markup("<thead><tr>{}</tr></thead>").format(Markup("").join(named)) if head else Markup("")
    style = f"{CELL};white-space:nowrap" if figures else CELL
    cell = Markup('<td style="{}">{}</td>')
    body = [Markup("<tr>{}</tr>").format(Markup("").join(cell.format(style, one) for one in row)) for row in rows]
    whole = Markup('<table style="border-collapse:collapse;margin:4px 0;border:0">{}<tbody>{}</tbody></table>')
    return whole.format(first, Markup("").join(body))


def bar(share: float) -> Markup:
    """Draw a share of 1 as a bar."""
    drawn = Markup(
        '<span style="display:inline-block;width:8em;height:.7em;border:{}">'
        '<span style="display:block;width:{:.0f}%;height:100%;background:currentColor;opacity:.55"></span></span>'
    )
    return drawn.format(LINE, 100 * min(max(share, 0.0), 1.0))


def between(low: float, high: float, value: float | None) -> Markup:
    """Draw an interval, and where in it a value lies."""
    width = high - low
    place = 50.0 if value is None or not width or not math.isfinite(width) else 100 * (value - low) / width
    drawn = Markup(
        '<span style="display:inline-block;position:relative;width:8em;height:.7em;border-left:{line};'
        'border-right:{line};vertical-align:middle"><span style="position:absolute;left:0;right:0;top:50%;'
        'border-top:{line}"></span><span style="position:absolute;left:calc({place:.0f}% - 3px);top:calc(50% - 3px);'
        'width:6px;height:6px;border-radius:3px;background:currentColor"></span></span>'
    )
    return drawn.format(line="2px solid rgba(128,128,128,.8)", place=min(max(place, 0.0), 100.0))


# --- predictions ------------------------------------------------------------------------------------------------------


def prediction(made: Prediction) -> Markup:
    """Show a prediction: each field's answer, how far it can be trusted, and the chances of the options."""
    if made.values is None:
        return line(
            f"no answer ({made.status.value}): {made.problem}" if made.problem else f"no answer ({made.status.value})"
        )
    rows = [
        (Markup("<b>{}</b>").format(name), text_of(value), _trust(made, name), _spread(made, name))
        for name, value in made.values.items()
    ]
    return table((), rows)


def text_of(value: Value) -> str:
    """Write a value of an answer.

    >>> text_of("sun"), text_of(12.0), text_of(("flu", "gout"))
    ('sun', '12', 'flu; gout')
    """
    return f"{value:.6g}" if isinstance(value, float | int) else value if isinstance(value, str) else "; ".join(value)


def end_of(value: float, width: float) -> str:
    """Write an end of an interval, to about a hundredth of its width: more digits tell nothing.

    >>> end_of(0.124865, 5.75), end_of(5.87513, 5.75), end_of(109.4, 36), end_of(-300.0, 600), end_of(1735689600123, 9)
    ('0.12', '5.88', '109.4', '-300', '1735689600123')
    """
    if not math.isfinite(value) or not math.isfinite(width) or width <= 0:
        return text_of(value)
    return in_full(round(value, 2 - math.floor(math.log10(width))))


def _trust(made: Prediction, name: str) -> Markup:
    """Show how likely an answer is to be right, or between which numbers the outcome will lie."""
    said = []
    if name in made.chance:
        said.append(Markup("{:.0%} likely").format(made.chance[name]))
    if name in made.interval:
        low, high = made.interval[name]
        value = (made.values or {}).get(name)
        drawn = between(low, high, value if isinstance(value, float | int) else None)
        said.append(Markup("{} {} {}").format(end_of(low, high - low), drawn, end_of(high, high - low)))
    if name in made.abstained:
        said.append(Markup("<b>held back</b>"))
    return Markup("<br>").join(said)


def _spread(made: Prediction, name: str) -> Markup:
    """Show the chances of a field's options, the likeliest first."""
    chances = sorted(made.distribution.get(name, {}).items(), key=lambda pair: -pair[1])
    if not chances:
        return Markup("")
    shown, others = chances[:MOST_OPTIONS], chances[MOST_OPTIONS:]
    rows = [(option, bar(chance), f"{chance:.0%}") for option, chance in shown]
    left = max(1 - sum(chance for _, chance in shown), 0.0)
    unnamed = left - sum(chance for _, chance in others)
    if others or unnamed > NOTHING:
        rows.append(("all others" if unnamed > NOTHING else f"{len(others)} others", bar(left), f"{left:.0%}"))
    return table((), rows)


# --- memories ---------------------------------------------------------------------------------------------------------


def memory_title(memory: Memory, budget: int | None = None) -> str:
    """Say in a line what a memory is."""
    tokens = f", {memory.tokens} tokens" if memory.tokens is not None else ""
    most = f" of at most {budget}" if budget is not None and tokens else ""
    return f"memory, version {memory.version}{tokens}{most}"


def memory(present: Memory, before: Memory | None = None) -> Markup:
    """Show a memory's notes by section; and, where the one before is known, what changed since."""
    diff = MemoryDiff()
    if before is None:
        items = diff.step(None, None, present)
        items = {name: [_unchanged(item) for item in found] for name, found in items.items()}
    else:
        items = diff.step(None, before, present)
    shown = [_section(name, found, present.pins) for name, found in items.items()]
    return Markup("").join(shown)


def _unchanged(item: Item) -> Item:
    return Item(item.id, None, "=", item.text)


def _section(name: str, items: Sequence[Item], pins: Sequence[str]) -> Markup:
    notes = Markup("").join(_note(item, pinned=item.text in pins) for item in items)
    whole = Markup('<div style="margin-top:4px"><span style="{}">{}</span>{}</div>')
    return whole.format(FAINT, name, notes)


def _note(item: Item, *, pinned: bool) -> Markup:
    if item.mark == "~":
        styles = {"+": NEW, "-": GONE}
        text = Markup("").join(
            Markup('<span style="{}">{}</span>').format(styles[span.mark], span.text) if span.mark in styles
            else Markup("{}").format(span.text)
            for span in item.spans
        )  # fmt: skip
    else:
        text = Markup('<span style="{}">{}</span>').format({"+": NEW, "-": GONE}.get(item.mark, ""), item.text)
    pin = Markup(' <span style="{}">(pinned)</span>').format(FAINT) if pinned else Markup("")
    whole = Markup('<div style="padding-left:1.4em;text-indent:-1em;white-space:pre-wrap">{} {}{}</div>')
    return whole.format(SIGNS[item.mark], text, pin)


def fields(values: Mapping[str, object]) -> str:
    """Write what an observation holds, in one line."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
