"""What a run is: everything that decides its journal, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence as Many

from llm_as_rnn.datasets.base import Selection, Split
from llm_as_rnn.errors import SpecMismatchError, UsageError
from llm_as_rnn.method import PRESETS, Settings, Updating, feedback_kinds
from llm_as_rnn.methods import asks_model, require_method
from llm_as_rnn.records import Form, Layout, Record, Style
from llm_as_rnn.recurrence.policy import check_when

OF_MODELS = (
    "model",
    "model_digest",
    "budget",
    "window",
    "form",
    "style",
    "layout",
    "feedback",
    "sampling",
    "prompts_digest",
    "updating",
    "thinking",
)
"""Settings that nothing depends on where no method asks a model."""


class RunSpec(Record, frozen=True):
    """All settings of a run that its results depend on.

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
    seed : int
        Chooses sequences and seeds of calls.
    budget, window : int
        Tokens of a memory; of prompt and answer together, without thinking.
    form, style, layout, feedback, sampling : str
        How the model is asked.
    prompts_digest : str
        Fingerprint of the templates.
    delay : int
        How late outcomes come, in steps.
    data_digest : str
        Fingerprint of the user's own data; empty for a shipped dataset.
    updating : Updating
        How the recurrent method updates its memory.
    thinking : int
        Tokens that a reasoning model may take to think, at every call.
    """

    task: str
    task_digest: str
    model: str
    model_digest: str
    methods: tuple[str, ...]
    sequences: int
    steps: int
    split: Split
    seed: int
    budget: int
    window: int
    form: Form
    style: Style
    layout: Layout
    feedback: str
    sampling: str
    prompts_digest: str
    delay: int = 0
    data_digest: str = ""
    updating: Updating = Updating()
    thinking: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that no run could have."""
        for name, smallest in (
            ("sequences", 1),
            ("steps", 1),
            ("budget", 1),
            ("window", 1),
            ("seed", 0),
            ("delay", 0),
            ("thinking", 0),
        ):
            value = getattr(self, name)
            if value < smallest:
                option = "context" if name == "window" else name
                raise UsageError(f"{name} must be at least {smallest}, not {value}", f"correct --{option}")
        for name in self.methods:
            require_method(name)
        if self.feedback != "auto":
            feedback_kinds(self.feedback)
        check_when(self.updating.when)
        for name, smallest in (("allowance", 0), ("recall", 0), ("echo", 1), ("recheck", 0), ("shared", 0)):
            value = getattr(self.updating, name)
            if value is not None and value < smallest:
                raise UsageError(f"{name} must be at least {smallest}, not {value}", f"correct --{name}")
        if self.sampling not in PRESETS:
            raise UsageError(f"there is no sampling preset {self.sampling!r}", f"choose from {', '.join(PRESETS)}")

    @property
    def selection(self) -> Selection:
        """Which sequences the run is on."""
        return Selection(self.sequences, self.steps, self.seed, self.split)

    @property
    def settings(self) -> Settings:
        """What the methods are built with."""
        return Settings(
            form=self.form,
            style=self.style,
            layout=self.layout,
            budget=self.budget,
            window=self.window,
            feedback=self.feedback,
            updating=self.updating,
            sampling=PRESETS[self.sampling],
            seed=self.seed,
            thinking=self.thinking,
        )

    def require_same(self, begun: RunSpec) -> None:
        """Refuse to go on with a run that was begun with other settings.

        A model whose fingerprint is not known contradicts none: a server may keep to itself what it serves.

        Raises
        ------
        SpecMismatchError
            Naming each setting that differs, and both values.
        """
        asked = any(map(asks_model, self.methods))
        names: Many[str] = [name for name in self.__struct_fields__ if asked or name not in OF_MODELS]
        changes = [
            f"{name} was {getattr(begun, name)}, now {getattr(self, name)}"
            for name in names
            if getattr(begun, name) != getattr(self, name)
            and not (name == "model_digest" and "" in (begun.model_digest, self.model_digest))
        ]
        if changes:
            window = f" (--context {begun.window})" if asked and begun.window != self.window else ""
            raise SpecMismatchError(
                f"this run was begun with other settings: {'; '.join(changes)}",
                f"resume with the same ones{window}, or choose another --out",
            )
