"""Update rules: how h_{t-1} and a step become a proposal for h_t. All keep to the same sections, text form and budget.

A file a rule; each says of itself who writes the memory and what it needs (`Traits`). To add one is to add its file,
and its name and place to `RULES`. A rule is imported when it is asked for, so that help can list the names at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Form
from llm_as_rnn.core.settings import AUTO, knows_outcomes
from llm_as_rnn.core.shelf import Shelf

if TYPE_CHECKING:
    from llm_as_rnn.recurrence.rules.base import Rule, Traits
    from llm_as_rnn.recurrence.writing import Writer

REWRITE = "rewrite"
"""The paper's rule, which needs nothing of a form."""


class RuleType(Protocol):
    """What makes a rule: most often its class."""

    name: str
    traits: Traits

    def __call__(self, writer: Writer) -> Rule:
        """Build the rule."""
        ...


_CLASSES = {
    REWRITE: "rewrite:Rewrite",
    "delta": "delta:Delta",
    "cases": "cases:Cases",
    "hybrid": "hybrid:Hybrid",
    "append": "append:Append",
    "none": "nothing:Nothing",
}

RULES: Shelf[RuleType] = Shelf({name: f"{__name__}.{place}" for name, place in _CLASSES.items()})
"""The rules by name, in the order in which help and tables list them."""


def traits(name: str) -> Traits:
    """Give what a rule says of itself.

    Raises
    ------
    UsageError
        If there is none of that name.

    Examples
    --------
    >>> traits("cases").needs_outcomes, traits("delta").wants_critic(told=False)
    (True, True)
    """
    if name not in RULES:
        raise UsageError(f"there is no update rule {name!r}", f"choose from {', '.join(RULES)}")
    return RULES[name].traits


def suited(rule: str, form: Form, feedback: str) -> str:
    """Give the rule that was asked for, or in place of `AUTO` the one that suits the form.

    Small models, which answer in lines, learn from cases and not by rewriting (docs/results/memory.md); for the others
    nothing was measured, and they get the paper's rule. So does learning from a judge alone: without outcomes there are
    no cases.

    Raises
    ------
    UsageError
        If there is no such rule.

    Examples
    --------
    >>> suited("auto", "line", "model"), suited("auto", "line", "judge"), suited("delta", "line", "model")
    ('cases', 'rewrite', 'delta')
    """
    if rule != AUTO:
        traits(rule)
        return rule
    known = knows_outcomes(feedback)
    by_form = (name for name, kind in RULES.items() if kind.traits.suits == form)
    return next((name for name in by_form if known or not traits(name).needs_outcomes), REWRITE)


def build_rule(name: str, writer: Writer) -> Rule:
    """Build a rule by its name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    traits(name)
    return RULES[name](writer)


def table() -> str:
    """Write the table that explains the rules, in Markdown.

    >>> print(table().splitlines()[6])
    | `append` | code keeps every step | the oldest go |
    """
    rows = [f"| `{name}` | {kind.traits.writer} | {kind.traits.when_full} |" for name, kind in RULES.items()]
    return "\n".join(["| `--rule` | who writes the next memory | when the budget is full |", "|---|---|---|", *rows])
