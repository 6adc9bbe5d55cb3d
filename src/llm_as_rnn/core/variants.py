"""A method as it stands in a run: under which name, which method that is, and what settings of its own it has.

One method can stand in a run several times, as `recurrent` with two budgets, so that they are compared on the very same
steps. Its name says what is different: ``recurrent:budget=64``, ``recurrent:delta:budget=64:watch=on``. Everything that
knows methods by their names (the journal, tables, advice) so tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.knobs import Knob, knobs
from llm_as_rnn.core.settings import AUTO, Settings, suited_layout

OF_THE_RUN = ("seed", "coverage", "thinking")
"""Settings that all methods of a run have in common: the data, how trust is scored, and the room in the context."""

_SWITCH = {"on": True, "off": False, "true": True, "false": False}


class Variant(NamedTuple):
    """A method with settings of its own.

    Attributes
    ----------
    name : str
        What it is called in a run.
    plain : str
        The same without the settings: the method's own name, and behind it the update rule that it gives ``recurrent``,
        if it gives one.
    choices : mapping
        Values of settings, by name, that stand before those of the run.
    """

    name: str
    plain: str
    choices: Mapping[str, Any]

    @property
    def method(self) -> str:
        """The method's own name."""
        return self.plain.partition(":")[0]

    @property
    def rule(self) -> str:
        """The update rule; empty for that of the settings."""
        return self.plain.partition(":")[2]

    def settings(self, run: Settings) -> Settings:
        """Give the settings that the method has in a run.

        What follows from a form, the layout, and what follows from feedback, the rule, follow from those chosen here.
        """
        chosen = dict(self.choices)
        if chosen.get("form", run.form) != run.form:
            chosen.setdefault("layout", suited_layout(chosen["form"]))
        if "feedback" in chosen and not self.rule:
            chosen.setdefault("rule", AUTO)
        return msgspec.structs.replace(run, **chosen)

    def like(self, method: str, but: Collection[str] = ()) -> str:
        """Name another method with the same settings of its own, ``but`` some.

        >>> read_variant("advised:bare=on:budget=64").like("recurrent", but=("bare",))
        'recurrent:budget=64'
        """
        return with_settings(method, {name: value for name, value in self.choices.items() if name not in but})


@lru_cache(maxsize=1024)
def read_variant(name: str) -> Variant:
    """Read a method's name: ``METHOD``, ``METHOD:RULE``, and behind it ``:SETTING=VALUE`` as often as wanted.

    Whether there is such a method, and such a rule, is for others to say (see `catalogue.require_method`).

    Raises
    ------
    UsageError
        If there is no such setting, its value does not fit, it stands there twice, or all methods of a run share it.

    Examples
    --------
    >>> variant = read_variant("recurrent:delta:budget=64:when=every:4")
    >>> variant.plain, variant.method, variant.rule, dict(variant.choices)
    ('recurrent:delta', 'recurrent', 'delta', {'budget': 64, 'when': 'every:4'})
    """
    plain, *settings = _parts(name)
    choices: dict[str, Any] = {}
    known = knobs(Settings)
    for setting in settings:
        what, _, value = setting.partition("=")
        if what not in known or what in OF_THE_RUN:
            why = "all methods of a run have the same" if what in OF_THE_RUN else "there is no such setting"
            free = ", ".join(one for one in known if one not in OF_THE_RUN)
            raise UsageError(f"{name} cannot have a {what} of its own: {why}", f"choose from {free}")
        if what in choices:
            raise UsageError(f"{name} names {what} twice", "name it once")
        choices[what] = _read(known[what], value)
    return Variant(name, plain, choices)


def plain_name(name: str) -> str:
    """Give a method's name without settings, whatever these are.

    >>> plain_name("recurrent:delta:budget=many")
    'recurrent:delta'
    """
    return _parts(name)[0]


def _parts(name: str) -> list[str]:
    """Part a name into the plain one and its settings; a value may hold a colon itself."""
    return re.split(r":(?=\w+=)", name)


def with_settings(method: str, choices: Mapping[str, Any]) -> str:
    """Name a method with settings of its own.

    >>> with_settings("recurrent:delta", {"budget": 64, "watch": True})
    'recurrent:delta:budget=64:watch=on'
    """
    return ":".join([method, *(f"{name}={_written(value)}" for name, value in choices.items())])


def _read(knob: Knob, value: str) -> Any:
    """Read a setting's value as it is written in a name."""
    plain: Any = value
    if knob.type is bool:
        plain = _SWITCH.get(value.casefold(), value)
    elif knob.type in (int, float):
        try:
            plain = knob.type(value)
        except ValueError:
            plain = value
    return knob.read(plain)


def _written(value: Any) -> str:
    """Write a value so that it is read as the same."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
