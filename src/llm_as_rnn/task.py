"""A task: what to predict, how an observation is shown, and which sections its memory has.

Tasks are declarative files. The shipped ones lie in ``tasks/``; a user's own is the same kind of file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import yaml

from llm_as_rnn.answers import AnswerSpec, Field
from llm_as_rnn.errors import PromptError, TaskError
from llm_as_rnn.records import Form, Observation, Record
from llm_as_rnn.templates import render

SHIPPED = Path(__file__).parent / "tasks"


class MemorySection(Record, frozen=True):
    """A section that every memory of the task has, and what belongs in it."""

    name: str
    about: str


class Task(Record, frozen=True, dict=True):
    """What to predict, and from what.

    Attributes
    ----------
    name : str
        A short name, for commands and file names.
    title : str
        A line for tables and reports.
    instructions : str
        What the model is told first, at every step.
    observation : str
        Jinja template of x_t in full, for ``json`` answers.
    line : str
        Jinja template of x_t in one short line, for ``line`` answers.
    answer : tuple of Field
        What y holds.
    memory : tuple of MemorySection
        The memory's sections (paper, appendix C: history, current status, considerations for the future).
    initial : str
        The only item of each section of h_0.
    dataset : str
        The shipped dataset that it belongs to; empty for a user's own data.
    """

    name: str
    title: str
    instructions: str
    observation: str
    line: str
    answer: tuple[Field, ...]
    memory: tuple[MemorySection, ...]
    initial: str = "Nothing is known yet."
    dataset: str = ""

    def __post_init__(self) -> None:
        """Refuse a task that could not be run."""
        for what, names in (
            ("answer field", [field.name for field in self.answer]),
            ("memory section", [section.name.casefold() for section in self.memory]),
        ):
            if not names:
                raise ValueError(f"a task needs at least one {what}")
            if len(set(names)) < len(names):
                raise ValueError(f"two of the {what}s have the same name")
        if any(not section.name.strip() or "\n" in section.name for section in self.memory):
            raise ValueError("a memory section's name must be one line")

    def spec(self, form: Form) -> AnswerSpec:
        """Give the answer's specification in a form."""
        return self._specs[form]

    @cached_property
    def _specs(self) -> Mapping[Form, AnswerSpec]:
        return {form: AnswerSpec(self.name, self.answer, form) for form in ("json", "line")}

    def show(self, observation: Observation, form: Form, about: Mapping[str, Any] | None = None) -> str:
        """Write x_t as the model sees it.

        Raises
        ------
        TaskError
            If the template uses a field that the observation does not have.
        """
        source, name = (self.line, "line") if form == "line" else (self.observation, "observation")
        try:
            text = render(source, name, **{**observation.fields, "about": about or {}})
        except PromptError as error:
            raise TaskError(f"task {self.name}, template {error.message}", "name fields that the data has") from error
        return " ".join(text.split()) if form == "line" else text

    @cached_property
    def digest(self) -> str:
        """Fingerprint of everything in the task, to tell whether two runs had the same one."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


def shipped_tasks() -> list[str]:
    """Name the tasks that come with the package.

    >>> "weather" in shipped_tasks()
    True
    """
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_task(name: str) -> Task:
    """Load a shipped task by name, or a task file by path.

    Parameters
    ----------
    name : str
        ``weather``, or a path that ends in ``.yaml`` or ``.yml``.

    Raises
    ------
    TaskError
        If there is none, or if the file is not a task: the message names file and field.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if path.parent == SHIPPED and name not in shipped_tasks():
        raise TaskError(
            f"there is no task {name!r}", f"choose one of {', '.join(shipped_tasks())}, or give a .yaml file"
        )
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Task)
    except FileNotFoundError:
        raise TaskError(f"task file {path} does not exist", "check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"task file {path} cannot be read: {error}", "check the file") from error
    except yaml.YAMLError as error:
        raise TaskError(f"task file {path} is not valid YAML: {error}", "correct the file") from error
    except msgspec.ValidationError as error:
        raise TaskError(f"task file {path}: {error}", "correct the file") from error
