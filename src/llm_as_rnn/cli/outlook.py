"""What a run would take, as a person reads it before it is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from llm_as_rnn.core.figures import time_span
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.report.tables import NONE, Cell, Column, Results, Row, plain_table
from llm_as_rnn.runs.forecast import Forecast, Outlook

COLUMNS = ("calls", "prompt tokens", "cached", "completion tokens", "cost", "time")


def outlook_table(outlook: Outlook, price: Price | None) -> Table:
    """Give a table of what each method would take, and all of them."""
    every = [*outlook.methods, together(outlook.methods)] if len(outlook.methods) > 1 else outlook.methods
    rows = tuple(_row(one, price, outlook.slots) for one in every)
    return plain_table(Results(tuple(Column(title, "") for title in COLUMNS), rows), "method")


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
    if outlook.kept:
        yield f"{outlook.kept:,} steps of methods that ask the model are done already, and are not counted"
    if not outlook.methods:
        yield "nothing is left to be asked" if outlook.kept else "no method of this run asks a model: it costs nothing"
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


def _row(one: Forecast, price: Price | None, slots: int) -> Row:
    cells = (
        f"{one.calls:,.0f}",
        f"{one.prompt:,.0f}",
        f"{one.cached / one.prompt:.0%}" if one.prompt else NONE,
        f"{one.completion:,.0f}",
        NONE if price is None else f"{one.cost(price):.4g}",
        NONE if one.seconds is None else time_span(one.seconds / slots),
    )
    return Row(one.method, tuple(map(Cell, cells)), is_reference=False)
