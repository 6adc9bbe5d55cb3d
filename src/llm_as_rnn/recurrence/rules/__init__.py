"""Update rules: how h_{t-1} and a step become a proposal for h_t. All keep to the same sections, text form and budget.

A file a rule; each says of itself who writes the memory and what it needs (`Traits`). To add one is to add its file,
and its name and place to `RULES`. A rule is imported when it is asked for, so that help can list the names at once. One
of somebody else's is brought by an entry point of the group ``llm_as_rnn.rules``, or made known by `register`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.plugins import Plugins
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


GROUP = "llm_as_rnn.rules"

_OWN: dict[str, RuleType] = {}


def _flaw(name: str, found: Any) -> str:
    from llm_as_rnn.recurrence.rules.base import Traits  # noqa: PLC0415 - help needs the names alone

    if not callable(found) or not isinstance(getattr(found, "traits", None), Traits):
        return "it is no rule: a class with name, traits and propose"
    return "" if found.name == name else f"it calls itself {found.name!r}"


PLUGINS: Plugins[RuleType] = Plugins("update rule", GROUP, lambda: (AUTO, *RULES), _flaw)
"""Rules that other packages bring."""


def register(rule: RuleType) -> None:
    """Make a rule of your own known by its name in this process; a package brings it by an entry point of `GROUP`.

    Raises
    ------
    UsageError
        If the name is taken or none, or it is no rule.
    """
    name = str(getattr(rule, "name", ""))
    if not re.fullmatch(r"\w+", name) or name in (AUTO, *RULES):
        raise UsageError(f"a rule of your own cannot be called {name!r}", "choose a plain word that no other has")
    if flaw := _flaw(name, rule):
        raise UsageError(f"the rule {name!r} cannot be used: {flaw}", "see docs/your-own-method.md")
    _OWN[name] = rule


def registered(name: str) -> RuleType | None:
    """Give the rule that was registered under a name; None where there is none."""
    return _OWN.get(name)


def forget(name: str) -> None:
    """Take back what was registered under a name, if anything was."""
    _OWN.pop(name, None)


def known_rules() -> list[str]:
    """Name all rules that there are here: ours, those that were registered, and those of packages."""
    return list(dict.fromkeys((*RULES, *_OWN, *PLUGINS.names())))


def rule_type(name: str) -> RuleType:
    """Give what makes a rule, by its name.

    Raises
    ------
    UsageError
        If there is none of that name, or the package that brings it is broken.
    """
    if name in RULES:
        return RULES[name]
    found = _OWN.get(name) or PLUGINS.get(name)
    if found is None:
        raise UsageError(f"there is no update rule {name!r}", f"choose from {', '.join(known_rules())}")
    return found


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
    return rule_type(name).traits


def suited(rule: str, feedback: str) -> str:
    """Give the rule that was asked for, or in place of `AUTO` the usual one.

    Models that could be measured learn from cases and not by rewriting, in lines and in JSON (docs/results/memory.md).
    Who learns from a judge alone gets the paper's rule: without outcomes there are no cases.

    Raises
    ------
    UsageError
        If there is no such rule.

    Examples
    --------
    >>> suited("auto", "model"), suited("auto", "judge"), suited("delta", "model")
    ('cases', 'rewrite', 'delta')
    """
    if rule != AUTO:
        traits(rule)
        return rule
    known = knows_outcomes(feedback)
    usual = (name for name, kind in RULES.items() if kind.traits.is_usual and (known or not kind.traits.needs_outcomes))
    return next(usual, REWRITE)


def build_rule(name: str, writer: Writer) -> Rule:
    """Build a rule by its name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    return rule_type(name)(writer)


def table() -> str:
    """Write the table that explains the rules, in Markdown.

    >>> print(table().splitlines()[6])
    | `append` | code keeps every step | the oldest go |
    """
    rows = [f"| `{name}` | {kind.traits.writer} | {kind.traits.when_full} |" for name, kind in RULES.items()]
    return "\n".join(["| `--rule` | who writes the next memory | when the budget is full |", "|---|---|---|", *rows])
