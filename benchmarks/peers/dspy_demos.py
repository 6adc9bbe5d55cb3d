"""DSPy: a typed `Predict`, shown the last labelled steps as its demos."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import dspy
import harness


class Wanted(dspy.Signature):  # type: ignore[misc]  # its types are in an environment of its own
    """A user asks about a word. Say what they want."""

    question: str = dspy.InputField()
    intent: Literal["antonym", "definition", "homophone", "sentence", "synonym"] = dspy.OutputField()


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[harness.Begin]:
    """Give a module for each stream; DSPy keeps none of it itself, so the newest demos are put in by hand."""
    lm = dspy.LM(
        f"openai/{harness.MODEL}", api_base=url, api_key=harness.KEY, cache=False, max_tokens=64, temperature=0.0
    )

    async def begin(_name: str) -> harness.Step:
        predict = dspy.Predict(Wanted)
        predict.set_lm(lm)

        async def step(question: str, label: str, tell: harness.Tell) -> None:
            prediction = await predict.acall(question=question)
            tell(prediction.intent)
            demo = dspy.Example(question=question, intent=label).with_inputs("question")
            predict.demos = [*predict.demos, demo][-harness.KEPT :]

        return step

    yield begin


if __name__ == "__main__":
    harness.run(connect)
