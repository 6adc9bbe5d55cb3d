"""Which event a call is about, where calls bring features and no id, as River's do.

The same call with the same features once more is about another event: with late outcomes, two events with equal
features wait for an outcome each. Another call (``predict_proba_one`` after ``predict_one``) is about the oldest event
that it was not asked of yet, as long as nothing was learned since: it gets the prediction that was made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_as_rnn.core.records import Prediction
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.replaying import Id, Waiting


class Events:
    """The predictions since something was learned, each with what was asked of it."""

    def __init__(self) -> None:
        self._state: Any = None
        self._made: list[tuple[Waiting, set[str]]] = []

    def prediction(self, learner: Learner, fields: Mapping[str, Any], asked: str) -> Prediction:
        """Give the prediction of the event that a call is about: one that was made already, or a new one.

        Parameters
        ----------
        learner : Learner
            Who predicts.
        fields : mapping
            The features.
        asked : str
            Which call it is.
        """
        made = learner.predict_one(fields, self._known(learner, learner.task.filled(fields), asked))
        self._note(learner, made, asked)
        return made.prediction

    def _known(self, learner: Learner, fields: Mapping[str, Any], asked: str) -> Id | None:
        if learner.stream.state is not self._state:  # something was learned, or written into the memory
            self._state, self._made = learner.stream.state, []
        for made, said in self._made:
            if asked not in said and made.observation.fields == fields:
                return made.id
        return None

    def _note(self, learner: Learner, made: Waiting, asked: str) -> None:
        """Note what was asked of a prediction; those that were given up meanwhile are forgotten."""
        for other, said in self._made:
            if other.id == made.id:
                said.add(asked)
                return
        self._made = [*self._made, (made, {asked})][-len(learner.waiting) :]
