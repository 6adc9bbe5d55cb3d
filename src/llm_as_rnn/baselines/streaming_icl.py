"""The past steps most like this one, shown as examples: the strongest published streaming baseline for one model."""

from __future__ import annotations

from llm_as_rnn.baselines.history import History, HistoryState
from llm_as_rnn.baselines.order import inserted, placed
from llm_as_rnn.cases.recall import nearest
from llm_as_rnn.core.method import Calls, Learned, at_once
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Observation, Prediction, Target, Update, Value


class ExamplesState(HistoryState, frozen=True):
    """Past steps as examples, each with the line by which it is found.

    Attributes
    ----------
    lines : tuple of str
        One an example.
    outcomes : tuple of dict
        What the example says that came.
    """

    lines: tuple[str, ...] = ()
    outcomes: tuple[dict[str, Value], ...] = ()

    def with_example(self, t: int, line: str, outcome: Target, entry: str) -> ExamplesState:
        """Give the state with the example of one more step."""
        steps, place = placed(self.steps, len(self.past), t)
        return ExamplesState(
            self.sequence,
            inserted(self.past, place, entry),
            steps,
            inserted(self.lines, place, line),
            inserted(self.outcomes, place, dict(outcome)),
        )


class StreamingICL(History):
    """Self-StreamICL: the ``shots`` most similar of all past steps as examples, the most similar right before x_t.

    After StreamBench (Wu et al., NeurIPS 2024 datasets and benchmarks, https://arxiv.org/abs/2406.08747), which shows
    16 steps that were answered rightly, found by a sentence encoder. There a step's only feedback is whether its answer
    was right, so that the examples show the model's own answers (``shown="right"``); where outcomes are told, every
    step can be an example (``shown="outcomes"``, the default). Steps are found by the words of their lines, as
    everywhere in this package. Where fewer than ``shots`` steps are like x_t, the latest others stand before them, as
    nearest neighbours that are not near. There is no budget but the context window: all examples are kept.

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        How the model is asked; ``shots``, ``shown``, and ``window``, which bounds the context.
    prompts : Prompts
        ``baselines/*``.
    """

    name = "streaming_icl"
    state_type = ExamplesState
    first_to_go = "least similar"

    def learn(
        self, state: ExamplesState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Keep the step as an example."""
        if target is None:
            return Learned(state, Update("skipped", "no outcome"))
        if self.settings.shown == "right":
            values = prediction.values or {}
            if not same_outcome(self.task, values, target):
                return Learned(state, Update("skipped", "wrong", "only steps that were answered rightly are kept"))
            # Of the outcome nothing is known here but that the answer was right.
            target = {name: values[name] for name in target if name in values}
        entry = self._pair(state, observation, target)
        after = state.with_example(observation.t, self._line(state, observation), target, entry)
        return (yield from at_once(Learned(after, Update("accepted", "appended"))))

    def _entries(self, state: HistoryState, observation: Observation) -> tuple[str, ...]:
        """Give the most similar examples, the most similar last."""
        assert isinstance(state, ExamplesState)  # noqa: S101 - it began as one
        line = self._line(state, observation)
        found = nearest(state.lines, state.outcomes, line, self.settings.shots) if state.lines else []
        alike = [near.place for near in found]
        others = [place for place in range(len(state.past)) if place not in set(alike)]
        return tuple(state.past[place] for place in [*others, *alike][-self.settings.shots :])

    def _line(self, state: HistoryState, observation: Observation) -> str:
        return self.task.show(observation, "case", state.sequence.about)
