"""A class of a program as the shape of an answer: its fields become those of a task.

A dataclass or a Pydantic model will do. Pydantic is not imported here: what its models say of themselves is read by
the names that it has there.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from llm_as_rnn.core.errors import TaskError

Content = dict[str, Any]
"""A field as it stands in a task file."""

TOLD = ("about", "last", "unit", "decimals", "max_chars", "metrics", "judged")
"""What may be said of a field beside its type, by the names of task files."""

BOUNDS = ("ge", "gt", "le", "lt", "max_length", "decimal_places")
"""What marks of a type may say: the names of the package annotated-types, which Pydantic's are."""


class _Part(NamedTuple):
    """One field of a class: its type, the marks of that, and what is said of it besides."""

    name: str
    type: Any
    marks: tuple[Any, ...]
    told: Mapping[str, Any]


def fields_of(shape: Any) -> list[Content]:
    """Give the fields of an answer that a class describes, as they stand in a task file.

    ``Literal``, ``Enum`` and ``bool`` become labels, ``int`` and ``float`` with bounds numbers, and ``str`` a text.
    ``X | None`` is as ``X``: any outcome may be unknown.

    Parameters
    ----------
    shape : type
        A dataclass, whose fields may say more in their ``metadata``, or a Pydantic model, whose fields may in
        ``json_schema_extra``: `TOLD`, and for a dataclass ``low`` and ``high``.

    Raises
    ------
    TaskError
        If it is no such class, or one of its types is no kind of answer; the message names the field.

    Examples
    --------
    >>> from dataclasses import dataclass, field
    >>> @dataclass
    ... class Day:
    ...     sky: Literal["rain", "sun"]
    ...     high: float = field(metadata={"low": -20, "high": 45, "unit": "degrees C"})
    >>> for content in fields_of(Day):
    ...     print(content)
    {'name': 'sky', 'kind': 'label', 'options': ['rain', 'sun']}
    {'name': 'high', 'kind': 'number', 'low': -20, 'high': 45, 'decimals': 1, 'unit': 'degrees C'}
    """
    return [_content(part) for part in _parts(shape)]


def _parts(shape: Any) -> Iterator[_Part]:
    if not isinstance(shape, type):
        raise TaskError(
            f"{shape!r} is not the shape of an answer", "give a dataclass or a Pydantic model, the class itself"
        )
    described: Any = getattr(shape, "model_fields", None)
    if isinstance(described, Mapping):
        for name, info in described.items():
            extra = getattr(info, "json_schema_extra", None)
            told = {
                **({"about": info.description} if info.description else {}),
                **(extra if isinstance(extra, dict) else {}),
            }
            yield _Part(name, info.annotation, tuple(info.metadata), told)
    elif dataclasses.is_dataclass(shape):
        try:
            hints = get_type_hints(shape, include_extras=True)
        except NameError as error:
            raise TaskError(f"{shape.__name__}: {error}", "define its types where they can be found by name") from error
        for field in dataclasses.fields(shape):
            yield _Part(field.name, hints[field.name], (), field.metadata)
    else:
        raise TaskError(f"{shape.__name__} is not the shape of an answer", "give a dataclass or a Pydantic model")


def _content(part: _Part) -> Content:
    type_, marks = _bare(part.type)
    limits = {name: value for mark in (*part.marks, *marks) for name, value in _limits(mark)}
    told = {name: part.told[name] for name in TOLD if name in part.told}
    options = labels_of(type_)
    if options:
        return {"name": part.name, "kind": "label", "options": options, **told}
    if type_ is str:
        length = {"max_chars": limits["max_length"]} if "max_length" in limits else {}
        return {"name": part.name, "kind": "text", **length, **told}
    if type_ in (int, float):
        return {"name": part.name, "kind": "number", **_number(part, type_, limits), **told}
    name = getattr(type_, "__name__", type_)
    hint = "use Literal, Enum, bool, int or float with bounds, or str"
    if get_origin(type_) in (list, set, tuple, frozenset):
        hint = "give each label a bool of its own; ranked lists are for task files"
    raise TaskError(f"field {part.name!r}: {name} is no kind of answer", hint)


def labels_of(type_: Any) -> list[Any]:
    """List the labels that a type has; none where it is no choice.

    >>> labels_of(Literal["rain", "sun"]), labels_of(bool), labels_of(str)
    (['rain', 'sun'], ['true', 'false'], [])
    """
    if get_origin(type_) is Literal:
        return [label.value if isinstance(label, Enum) else label for label in get_args(type_)]
    if isinstance(type_, type) and issubclass(type_, Enum):
        return [member.value for member in type_]
    return ["true", "false"] if type_ is bool else []


def _bare(type_: Any) -> tuple[Any, tuple[Any, ...]]:
    """Take the marks off a type, and what says that a value may be missing."""
    marks: tuple[Any, ...] = ()
    while True:
        if get_origin(type_) is Annotated:
            type_, *more = get_args(type_)
            marks += tuple(more)
        elif get_origin(type_) in (Union, types.UnionType):
            several = [one for one in get_args(type_) if one is not type(None)]
            if len(several) != 1:
                return type_, marks
            (type_,) = several
        else:
            return type_, marks


def _limits(mark: Any) -> Iterable[tuple[str, Any]]:
    """Give what a mark of a type says: its own bounds, or those of the marks within it."""
    for inner in getattr(mark, "metadata", None) or ():
        yield from _limits(inner)
    for name in BOUNDS:
        value = getattr(mark, name, None)
        if value is not None:
            yield name, value


def _number(part: _Part, type_: type, limits: Mapping[str, Any]) -> Content:
    step = 1 if type_ is int else 0  # of whole numbers, what is above 0 is at least 1
    low, high = part.told.get("low"), part.told.get("high")
    if low is None:
        low = limits.get("ge", limits["gt"] + step if "gt" in limits else None)
    if high is None:
        high = limits.get("le", limits["lt"] - step if "lt" in limits else None)
    if low is None or high is None:
        raise TaskError(
            f"field {part.name!r}: a number needs bounds, its plausible range",
            "write Field(ge=0, le=40) in a Pydantic model, field(metadata={'low': 0, 'high': 40}) in a dataclass",
        )
    return {"low": low, "high": high, "decimals": 0 if type_ is int else limits.get("decimal_places", 1)}
