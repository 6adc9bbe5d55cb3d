"""Jinja templates, sandboxed and strict: a name that does not exist is an error, never an empty text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from llm_as_rnn.core.errors import PromptError

MISSING = "unknown"
"""How a missing value reads, wherever a text is made of values."""


class Missing:
    """A missing value in a template: a condition takes it for none, a text tells that it is not known.

    Jinja would write ``None``, which reads as a word of the data: a first name, the absence of a finding.
    """

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return MISSING

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Missing)

    def __hash__(self) -> int:
        return hash(None)


def with_missing(value: Any) -> Any:
    """Give a JSON value with what is missing in it marked, at every depth.

    >>> with_missing({"sky": None, "highs": [9, None]})
    {'sky': unknown, 'highs': [9, unknown]}
    """
    match value:
        case None:
            return Missing()
        case dict():
            return {name: with_missing(part) for name, part in value.items()}
        case list():
            return [with_missing(part) for part in value]
    return value


class _LacksError(TemplateRuntimeError):
    """A template uses a name that is not there."""

    def __init__(self, name: str, of: Any) -> None:
        super().__init__(f"there is no {name!r}")
        self.name, self.of = name, of


class _Lacking(StrictUndefined):
    """What is not there; Jinja asks it what to say when it is used, and it says the name instead of words."""

    @property
    def _undefined_message(self) -> str:
        raise _LacksError(str(self._undefined_name), None if self._undefined_obj is missing else self._undefined_obj)


_environment = ImmutableSandboxedEnvironment(undefined=_Lacking, trim_blocks=True, lstrip_blocks=True, autoescape=False)


_environment.tests["none"] = lambda value: value is None or isinstance(value, Missing)


@lru_cache(maxsize=512)
def _compiled(source: str) -> Template:
    template = _environment.from_string(source)
    template.globals = dict(template.globals)  # copied at every rendering, which takes long from what Jinja puts here
    return template


def render(source: str, name: str = "template", /, **values: Any) -> str:
    """Fill a template; white space at both ends is dropped.

    Parameters
    ----------
    source : str
        The template's text (https://jinja.palletsprojects.com).
    name : str
        How an error should call it.
    **values
        What the template may use.

    Raises
    ------
    PromptError
        If it is not a template, or uses a name that is not there.

    Examples
    --------
    >>> render("high {{ high }}", high=12.8)
    'high 12.8'
    """
    try:
        return _compiled(source).render(values).strip()
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        line = getattr(error, "lineno", None)
        place = f"{name}, line {line}" if line else name
        broken = PromptError(f"{place}: {error}", "correct the template")
        if isinstance(error, _LacksError):
            broken.lacks, broken.of = error.name, error.of
        raise broken from error


ALL = "fields"
"""The name by which a template of x_t has all fields, for those whose names are no plain words."""


def used(source: str, among: Iterable[str]) -> set[str]:
    """Name what a template uses of some fields: by its name, or by looking it up in all of them.

    >>> sorted(used("{{ sky }}, {{ fields['wind speed'] }}", ("sky", "wind speed", "high")))
    ['sky', 'wind speed']
    >>> sorted(used("{% for name, value in fields.items() %}{{ name }}{% endfor %}", ("sky", "high")))
    ['high', 'sky']
    """
    import jinja2.meta  # noqa: PLC0415 - only a check asks
    from jinja2 import nodes  # noqa: PLC0415

    parsed = _environment.parse(source)
    names = jinja2.meta.find_undeclared_variables(parsed)
    if ALL in names:
        looked_up = [
            node.arg.value
            for node in parsed.find_all(nodes.Getitem)
            if isinstance(node.node, nodes.Name) and node.node.name == ALL and isinstance(node.arg, nodes.Const)
        ]
        mentions = sum(node.name == ALL for node in parsed.find_all(nodes.Name))
        # Where all are gone through, each of them is used.
        names |= set(looked_up) if len(looked_up) == mentions else set(among)
    return names & set(among)
