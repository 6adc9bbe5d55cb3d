"""Jinja templates, sandboxed and strict: a name that does not exist is an error, never an empty text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llm_as_rnn.errors import PromptError

_environment = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


@lru_cache(maxsize=512)
def _compiled(source: str) -> Template:
    return _environment.from_string(source)


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
        raise PromptError(f"{place}: {error}", "correct the template") from error
