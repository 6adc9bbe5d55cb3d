"""What can be chosen for a live stream: how its model is asked, how it learns, and how much it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llm_as_rnn.engines.base import EngineInfo
from llm_as_rnn.errors import UsageError
from llm_as_rnn.method import AUTO_FEEDBACK, PRESETS, Settings, Updating, suit_layout
from llm_as_rnn.online import LIMITS, Limits, Policy
from llm_as_rnn.records import Form, Layout, Record, Style
from llm_as_rnn.runs.execute import suit_budget, suit_echo, suit_style, with_thinking


class Choices(Record, frozen=True):
    """How a learner asks its model; what is None is chosen to suit the model.

    Attributes
    ----------
    budget : int, optional
        The most tokens of a memory.
    form, style, layout, feedback, sampling, seed
        As `Settings` and ``llm-as-rnn run`` have them.
    policy : str
        What to do with an outcome that comes after later ones (see `online.Policy`).
    updating : Updating
        How the memory is updated.
    thinking : int
        Tokens that a reasoning model may take to think, at every call.
    limits : Limits
        How much the stream keeps.
    """

    budget: int | None = None
    form: Form | None = None
    style: Style | None = None
    layout: Layout | None = None
    feedback: str = AUTO_FEEDBACK
    sampling: str = "greedy"
    seed: int = 0
    policy: Policy = "apply"
    updating: Updating = Updating(rule="auto")
    thinking: int = 0
    limits: Limits = LIMITS

    def settings(self, engine: EngineInfo) -> Settings:
        """Fill in what was left open.

        Raises
        ------
        UsageError
            If the engine's context window has no room for the budget, or there is no such sampling preset.
        """
        if self.thinking < 0:
            raise UsageError(f"thinking must be at least 0 tokens, not {self.thinking}", "correct it")
        engine = with_thinking(engine, self.thinking)
        budget = suit_budget(self.budget, engine)
        if budget < 1:
            raise UsageError(f"a budget must be at least 1 token, not {budget}", "correct it")
        if self.sampling not in PRESETS:
            raise UsageError(f"there is no sampling preset {self.sampling!r}", f"choose from {', '.join(PRESETS)}")
        return Settings(
            form=self.form or engine.form,
            style=suit_style(self.style, engine),
            layout=suit_layout(self.layout, self.form or engine.form),
            budget=budget,
            window=engine.context_window,
            feedback=self.feedback,
            updating=suit_echo(self.updating, engine),
            sampling=PRESETS[self.sampling],
            seed=self.seed,
            thinking=self.thinking,
        )


_INNER: dict[str, type[Record]] = {"updating": Updating, "limits": Limits}
"""Choices that are records of their own; what can be chosen in them stands beside the others."""

CHOICES = [
    name
    for outer in Choices.__struct_fields__
    for name in (_INNER[outer].__struct_fields__ if outer in _INNER else (outer,))
]
"""What can be chosen, by name."""


def read_choices(named: Mapping[str, Any]) -> Choices:
    """Sort named values into choices.

    Raises
    ------
    msgspec.ValidationError
        If there is no such choice, or its value does not fit.

    Examples
    --------
    >>> read_choices({"budget": 256, "rule": "delta"}).updating.rule
    'delta'
    """
    sorted_in: dict[str, dict[str, Any]] = {"updating": {"rule": "auto"}, "limits": {}}
    outer: dict[str, Any] = {}
    for name, value in named.items():
        home = next((inner for inner, kind in _INNER.items() if name in kind.__struct_fields__), None)
        (outer if home is None else sorted_in[home])[name] = value
    return msgspec.convert({**sorted_in, **outer}, Choices)


def named_choices(choices: Choices) -> dict[str, Any]:
    """Give choices by name, as `Learner` takes them.

    >>> named_choices(Choices(budget=256))["max_waiting"]
    1000
    """
    named: dict[str, Any] = msgspec.to_builtins(choices)
    for inner in _INNER:
        named |= named.pop(inner)
    return named
