"""What a user can choose of a record: declared once at its fields, for command line, library, service and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Record


def knob(
    description: str, *, least: int | None = None, default: str = "", check: Callable[[Any], object] | None = None
) -> Meta:
    """Declare that a user can choose the value of a record's field.

    Parameters
    ----------
    description : str
        What it is, as the command line's help says it.
    least : int, optional
        The smallest value of a number.
    default : str
        What is taken where the user says nothing, in words, if that depends on the model or on other settings. Without
        it the field's own default is taken.
    check : callable, optional
        Raises `UsageError` for a value that it cannot be.
    """
    return Meta(description=description, extra={"default": default, "least": least, "check": check})


class Knob(NamedTuple):
    """One field of a record that a user can choose.

    Attributes
    ----------
    name : str
        As keyword argument; its option on the command line has hyphens.
    type : type
        Of its values: int, float, bool, str, or a ``Literal`` of texts.
    description : str
        What it is.
    least : int or None
        The smallest value of a number.
    default : object
        What is taken where a user says nothing; None where that is decided later.
    default_in_words : str
        The same for a reader.
    check : callable or None
        Raises `UsageError` for a value that it cannot be.
    """

    name: str
    type: Any
    description: str
    least: int | None
    default: Any
    default_in_words: str
    check: Callable[[Any], object] | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """What a text may be; empty where it is not one of a few."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    def read(self, value: Any) -> Any:
        """Check a value that a user chose.

        Raises
        ------
        UsageError
            If it is of another type, out of range, or none of the choices.
        """
        try:
            found = msgspec.convert(value, Annotated[self.type, Meta(ge=self.least)])
        except msgspec.ValidationError:
            raise UsageError(f"{self.name} must be {self._what(value)}, not {value!r}", self._hint) from None
        if self.check:
            self.check(found)
        return found

    def _what(self, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and self.least is not None:
            return f"at least {self.least}"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return {int: "a whole number", float: "a number", bool: "true or false"}.get(self.type, "a text")

    @property
    def _hint(self) -> str:
        return f"correct --{self.name.replace('_', '-')}"


@cache
def knobs(*records: type[Record]) -> Mapping[str, Knob]:
    """Give the fields of records that a user can choose, by name, in the order of their declaration.

    >>> from llm_as_rnn.core.settings import Settings
    >>> list(knobs(Settings))[:4], knobs(Settings)["seed"].default
    (['form', 'style', 'layout', 'budget'], 0)
    """
    return {knob.name: knob for record in records for knob in _declared(record)}


def _declared(record: type[Record]) -> Iterator[Knob]:
    defaults = {field.name: field.default for field in msgspec.structs.fields(record)}
    for name, hint in get_type_hints(record, include_extras=True).items():
        meta = next((extra for extra in get_args(hint)[1:] if isinstance(extra, Meta)), None)
        if meta is None or meta.extra is None:
            continue
        later = meta.extra["default"]
        kinds = [kind for kind in get_args(get_args(hint)[0]) if kind is not type(None)]
        kind = kinds[0] if type(None) in get_args(get_args(hint)[0]) else get_args(hint)[0]
        default = None if later else defaults[name]
        in_words = later or ("off" if default is False else str(default))
        yield Knob(name, kind, meta.description or "", meta.extra["least"], default, in_words, meta.extra["check"])


def wanted(named: Mapping[str, Any], *records: type[Record]) -> dict[str, Any]:
    """Check what a user chose, and complete it: every knob of the records by name, None where that is decided later.

    Raises
    ------
    UsageError
        If there is no such knob, or a value does not fit.

    Examples
    --------
    >>> from llm_as_rnn.core.settings import Settings
    >>> every = wanted({"budget": 256}, Settings)
    >>> every["budget"], every["form"], every["seed"]
    (256, None, 0)
    """
    known = knobs(*records)
    for name in named:
        if name not in known:
            raise UsageError(f"there is no setting {name!r}", f"choose from {', '.join(known)}")
    given = {name: known[name].read(value) for name, value in named.items() if value is not None}
    return {name: given.get(name, knob.default) for name, knob in known.items()}
