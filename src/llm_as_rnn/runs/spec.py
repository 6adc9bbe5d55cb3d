"""What a run is: everything that decides its journal, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from llm_as_rnn.catalogue import REFERENCES, advisers, asks_model
from llm_as_rnn.core.errors import SpecMismatchError, UsageError
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.core.prompts import same_texts
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.settings import LATER, Settings, require_sound
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Selection, Split

OF_REFERENCES = {"seed", "carry", "coverage", "abstain_above", "abstain_wider"}
"""Settings that those heed as well which ask no model."""

OF_MODELS = {"model", "model_digest", "prompts_digest", *Settings.__struct_fields__} - OF_REFERENCES
"""What nothing depends on where no method asks a model."""


class RunSpec(Record, frozen=True):
    """All that a run's results depend on.

    Attributes
    ----------
    task, task_digest : str
        The task and the fingerprint of its file.
    model, model_digest : str
        The model string, and what tells this model from another of the same name.
    methods : tuple of str
        In the order in which they run.
    sequences, steps : int
        How many sequences, and steps in each.
    split : str
        The part of the data that they are cut from.
    prompts_digest : str
        Fingerprint of the templates.
    settings : Settings
        How the model is asked, and how it learns. Its seed chooses the sequences as well.
    delay : int
        How late outcomes come, in steps.
    data_digest : str
        Fingerprint of the user's own data; empty for a shipped dataset.
    """

    task: str
    task_digest: str
    model: str
    model_digest: str
    methods: tuple[str, ...]
    sequences: int
    steps: int
    split: Split
    prompts_digest: str
    settings: Settings
    delay: int = 0
    data_digest: str = ""

    def __post_init__(self) -> None:
        """Refuse settings that no run could have."""
        for name, smallest in (("sequences", 1), ("steps", 1), ("delay", 0)):
            value = getattr(self, name)
            if value < smallest:
                raise UsageError(f"{name} must be at least {smallest}, not {value}", f"correct --{name}")
        require_sound(self.settings)

    @property
    def selection(self) -> Selection:
        """Which sequences the run is on."""
        return Selection(self.sequences, self.steps, self.settings.seed, self.split)

    def as_begun(self, begun: RunSpec, asked: Collection[str]) -> RunSpec:
        """Leave out what every run has by now and one begun before does not: references, and settings that are on now.

        So it is with the delay that outcomes of later rows come with. Methods and settings that were ``asked`` for by
        name stay.
        """
        new = set(REFERENCES) - set(begun.methods) - set(asked)
        off = {name: False for name in LATER if name not in asked and not getattr(begun.settings, name)}
        return msgspec.structs.replace(
            self,
            methods=tuple(name for name in self.methods if name not in new),
            settings=msgspec.structs.replace(self.settings, **off),
            delay=self.delay if "delay" in asked else min(self.delay, begun.delay),
        )

    def require_same(self, begun: RunSpec) -> None:
        """Refuse to go on with a run that was begun with other settings.

        Methods may have come to those that it was begun with: they are run as if they had been there, and the others
        are not asked again. A model whose fingerprint is not known contradicts none: a server may keep to itself what
        it serves.

        Raises
        ------
        SpecMismatchError
            Naming each setting that differs, and both values.
        """
        asked = any(map(asks_model, self.methods))
        if asked and not any(map(asks_model, begun.methods)):
            raise SpecMismatchError(
                "this run was begun without a model", "choose another --out for methods that ask one"
            )
        before, now = begun.named, self.named
        changed = [
            name
            for name in now
            if before[name] != now[name]
            and not (name == "methods" and set(begun.methods) <= set(self.methods))
            and (asked or name not in OF_MODELS)
            and not (name == "model_digest" and "" in (before[name], now[name]))
            and not (name == "prompts_digest" and same_texts(before[name], now[name]))
        ]
        if changed:
            said = "; ".join(f"{name} was {before[name]}, now {now[name]}" for name in changed)
            same = _as_before({name: before[name] for name in changed})
            raise SpecMismatchError(
                f"this run was begun with other settings: {said}", f"resume {same}, or choose another --out"
            )

    def require_addable(self, begun: RunSpec, task: Task) -> None:
        """Refuse methods whose advice a method of the run has had already, so that it had to ask a model by itself.

        What it was told then stands in its own steps. With its adviser beside it, it would be told otherwise.

        Raises
        ------
        SpecMismatchError
            Naming both.
        """
        new = {name for name in self.methods if name not in begun.methods and asks_model(name)}
        for name in begun.methods:
            for adviser in advisers(name, task, begun.settings):
                if adviser in new:
                    raise SpecMismatchError(
                        f"{adviser} cannot come to this run: {name} takes its advice, and has asked it already",
                        "choose another --out for a run of both",
                    )

    @property
    def named(self) -> dict[str, Any]:
        """All of it by name, the settings among the others."""
        outer = {name: getattr(self, name) for name in self.__struct_fields__ if name != "settings"}
        return outer | {name: getattr(self.settings, name) for name in Settings.__struct_fields__}


def _as_before(settings: Mapping[str, Any]) -> str:
    """Say with which of the command line's options a run has these settings, as far as there are options for them.

    >>> _as_before({"rule": "rewrite", "window": 4096, "calibrate": False, "carry": False, "data_digest": "d"})
    'with --rule rewrite --context 4096 --no-calibrate, without --carry'
    >>> _as_before({"task": "weather", "model": "llamacpp:my model.gguf", "recall": None})
    "with the task weather --model 'llamacpp:my model.gguf', without --recall"
    >>> _as_before({"data_digest": "d"})
    'with the same ones'
    """
    given, left = [], []
    for name, value in settings.items():
        option = "--context" if name == "window" else f"--{name.replace('_', '-')}"
        if name == "task":
            given.append(f"the task {value}")
        elif value is None or (value is False and knobs(Settings)[name].default is False):
            left.append(option)
        elif isinstance(value, bool):
            given.append(option if value else option.replace("--", "--no-", 1))
        elif not name.endswith("_digest"):
            given.append(f"{option} {shlex.quote(','.join(value) if isinstance(value, tuple) else str(value))}")
    options = [f"{how} {' '.join(names)}" for how, names in (("with", given), ("without", left)) if names]
    return ", ".join(options) or "with the same ones"


def with_settings(spec: dict[str, Any]) -> dict[str, Any]:
    """Give a spec as ``run.json`` has it now: earlier versions had the settings among the rest, and some in a part.

    >>> with_settings({"task": "t", "budget": 60, "updating": {"rule": "cases", "echo": None}})
    {'task': 't', 'settings': {'budget': 60, 'rule': 'cases'}}
    """
    if "settings" in spec:
        return spec
    flat = {**spec, **spec.get("updating", {})}
    # Once an echo could be left open; the others still may.
    named = {name: flat[name] for name in Settings.__struct_fields__ if flat.get(name) is not None}
    outer = {name: value for name, value in spec.items() if name not in named and name != "updating"}
    return {**outer, "settings": named}
