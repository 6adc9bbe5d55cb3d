"""Our project as a library: an `AsyncLearner` for each stream, all on one engine."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import harness

from llm_as_rnn import AsyncLearner, SharedEngine

SETTINGS: dict[str, Any] = {"rule": "cases", "form": "line", "style": "completion", "budget": harness.BUDGET}


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[harness.Begin]:
    """Give a learner for each stream."""
    task = str(Path(__file__).with_name("task.yaml"))
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            SharedEngine(f"openai:{harness.MODEL}", base_url=url, slots=harness.AT_ONCE)
        )

        async def begin(name: str) -> harness.Step:
            learner = AsyncLearner(task, method="recurrent", engine=engine, sequence=name, **SETTINGS)
            await stack.enter_async_context(learner)

            async def step(question: str, label: str, tell: harness.Tell) -> None:
                waiting = await learner.predict_one({"question": question})
                tell(waiting.values["intent"] if waiting.values else None)
                learnt = await learner.learn_one(waiting.id, {"intent": label})
                if learnt.fate != "learned":
                    raise RuntimeError(learnt.fate)

            return step

        yield begin


if __name__ == "__main__":
    harness.run(connect)
