"""What a run would take, as a person reads it before it is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from llm_as_rnn.engines.spending import Price
from llm_as_rnn.report.tables import NONE
from llm_as_rnn.runs.forecast import Forecast, Outlook


def outlook_table(outlook: Outlook, price: Price | None) -> Table:
    """Give a table of what each method would take, and all of them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method")
    for column in ("calls", "prompt tokens", "cached", "completion tokens", "cost", "time"):
        table.add_column(column, justify="right")
    for one in outlook.methods:
        table.add_row(*_row(one, price, outlook.slots))
    if len(outlook.methods) > 1:
        table.add_section()
        table.add_row(*_row(together(outlook.methods), price, outlook.slots))
    return table


def together(methods: Sequence[Forecast]) -> Forecast:
    """Add up what methods would take."""
    seconds = [one.seconds for one in methods if one.seconds is not None]
    return Forecast(
        "all",
        sum(one.steps for one in methods),
        sum(one.calls for one in methods),
        sum(one.prompt for one in methods),
        sum(one.cached for one in methods),
        sum(one.completion for one in methods),
        sum(seconds) if seconds else None,
    )


def outlook_remarks(outlook: Outlook, price: Price | None) -> Iterator[str]:
    """Say in words what the figures are, and what they are not."""
    spec = outlook.spec
    if not outlook.methods:
        yield "no method of this run asks a model: it costs nothing"
        return
    yield (
        f"{spec.sequences} sequences of at most {spec.steps} steps with {spec.model}; references, and advice by "
        "methods of the run, ask nobody"
    )
    if outlook.measured:
        yield f"by {outlook.measured} calls that were made, and prompts as they would be; cached is what prompts share"
    else:
        yield "no call was made: tokens are estimates on the long side, and answers may be longer (--measure N asks)"
    if price is None:
        yield f'to see the cost: --prices FILE, with a table ["{spec.model}"]'


def _row(one: Forecast, price: Price | None, slots: int) -> tuple[str | Text, ...]:
    share = f"{one.cached / one.prompt:.0%}" if one.prompt else NONE
    cost = NONE if price is None else f"{one.cost(price):.4g}"
    return (
        one.method,
        f"{one.calls:,.0f}",
        f"{one.prompt:,.0f}",
        share,
        f"{one.completion:,.0f}",
        cost,
        NONE if one.seconds is None else _span(one.seconds / slots),
    )


def _span(seconds: float) -> str:
    """Give a time in words, as exactly as a forecast may be.

    >>> [_span(seconds) for seconds in (0.4, 75, 5000)]
    ['1 s', '75 s', '83 min']
    """
    minutes = seconds / 60
    if minutes < 2:  # noqa: PLR2004 - below, seconds say more
        return f"{max(seconds, 1):.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004
