"""What people write in YAML (a task, a sweep) and a record is made of: shipped by name, or a file of one's own.

Whatever is wrong with a file is told in one line that names the file, the line in it, and what was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import yaml

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.files import read_file

T = TypeVar("T")

AT_HAND = 64
"""Records that are kept, for whoever loads the same text of a file again: to take one apart takes milliseconds."""

_made: dict[tuple[type[Any], Path, str], Any] = {}


class Documents(NamedTuple):
    """One kind of them.

    Attributes
    ----------
    what : str
        What one is called: ``task``.
    shipped : Path
        The folder of those that come with the package.
    error : type
        What is raised where one is missing or broken.
    known : callable
        Lists the names that may stand in a part: takes the name of the outermost part (empty for the whole) and what
        stands in it by name.
    choices : mapping
        What a value may be, by its name, where that is one of a few.
    """

    what: str
    shipped: Path
    error: type[UsageError]
    known: Callable[[str, Mapping[str, Any]], Iterable[str]]
    choices: Mapping[str, Iterable[str]]

    def names(self) -> list[str]:
        """Name those that come with the package."""
        return sorted(path.stem for path in self.shipped.glob("*.yaml"))

    def load(self, name: object, record: type[T], require: Callable[[Any], None] = lambda content: None) -> T:
        """Load one.

        Parameters
        ----------
        name : str
            A shipped one's name, or a path that ends in ``.yaml`` or ``.yml``.
        record : type
            What it becomes.
        require : callable
            Refuses contents by `msgspec.ValidationError`, before they become a record.

        Raises
        ------
        UsageError
            Of the kind ``error``: if there is none, or the file is broken. The message names file, line and field.
        """
        path = self._path(name)
        try:
            text = read_file(path).decode("utf-8-sig")
        except FileNotFoundError:
            raise self.error(f"{self.what} file {path} does not exist", "check the path") from None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise self.error(f"{self.what} file {path} cannot be read: {why}", "check the file") from error
        asked = (record, path, text)
        found: T | None = _made.get(asked)
        if found is None:
            found = self._read(path, text, record, require)
            for oldest in list(_made)[: max(len(_made) - AT_HAND + 1, 0)]:
                _made.pop(oldest, None)
            _made[asked] = found
        return found

    def _path(self, name: object) -> Path:
        if not isinstance(name, str):
            hint = f"give a shipped {self.what}'s name, the path of a .yaml file as text, or a {self.what.capitalize()}"
            raise self.error(f"a {self.what} cannot be of the type {type(name).__name__}", hint)
        path = Path(name) if name.endswith((".yaml", ".yml")) else self.shipped / f"{name}.yaml"
        if path.parent == self.shipped and name not in self.names():
            hint = f"choose one of {', '.join(self.names())}, or give a .yaml file"
            raise self.error(f"there is no {self.what} {name!r}", hint)
        return path

    def _read(self, path: Path, text: str, record: type[T], require: Callable[[Any], None]) -> T:
        file = f"{self.what} file {path}"
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            for line, key in _repeated_keys(root):
                raise self.error(f"{file}, line {line}: {key!r} is there twice", "keep one of them")
            content = yaml.safe_load(text)
            require(content)
            return msgspec.convert(content, record)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{file}, line {mark.line + 1}" if mark else file
            problem = getattr(error, "problem", None) or error
            raise self.error(f"{place}: not valid YAML: {problem}", "correct the file") from error
        except msgspec.ValidationError as error:
            line, hint = self._locate(root, str(error))
            place = f"{file}, line {line}" if line else file
            raise self.error(f"{place}: {error}", hint) from error
        except (ValueError, RecursionError) as error:
            raise self.error(f"{file}: not valid YAML: {error}", "correct the file") from error

    def _locate(self, root: yaml.Node | None, problem: str) -> tuple[int, str]:
        """Give the line of msgspec's path (``... - at `$.answer[0].kind```), and a hint; line 0 if there is none."""
        path = re.findall(r"\.(\w+)|\[(\d+)\]", problem.rpartition("`$")[2]) if "`$" in problem else []
        node = root
        for key, index in path:
            if isinstance(node, yaml.MappingNode):
                node = next((child for name, child in node.value if name.value == key), node)
            elif isinstance(node, yaml.SequenceNode) and index:
                node = node.value[int(index)]
        unknown = re.search(r"unknown field `(.*?)`", problem)
        quoted = None if unknown else re.search(r"'([^']+)'", problem)
        known: Iterable[str] = ()
        if unknown and isinstance(node, yaml.MappingNode):
            known = self.known(path[0][0] if path else "", {key.value: value.value for key, value in node.value})
            node = next((name for name, _ in node.value if name.value == unknown[1]), node)
        elif quoted:
            known = self.choices.get(path[-1][0], ()) if path else ()
            node = next((scalar for scalar in reversed(list(_scalars(node))) if scalar.value == quoted[1]), node)
        named = unknown or quoted
        hint = did_you_mean(named[1], known) if named and known else _hint(problem)
        return (node.start_mark.line + 1 if node else 0), hint


def _repeated_keys(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Find keys that stand twice in one mapping: YAML would silently take the last."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _repeated_keys(child)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key.start_mark.line + 1, key.value
                seen.add(key.value)
            yield from _repeated_keys(child)


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode | yaml.MappingNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from _scalars(part)


def _hint(problem: str) -> str:
    if "Expected `str`" in problem:
        return "put it in quotes: YAML takes yes, no and figures for something else than text"
    return "correct the file"


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """Give a hint: the name that was probably meant, or all that there are.

    >>> did_you_mean("pirce", ["day", "price"])
    "did you mean 'price'?"
    >>> did_you_mean("x", ["day", "price"])
    'choose from day, price'
    """
    known = list(names)
    close = get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(known)}"
