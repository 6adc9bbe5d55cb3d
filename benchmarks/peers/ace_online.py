"""ace-framework: `OnlineACE` with its agent, reflector and skill manager, a skillbook for each stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import harness
from ace import Agent, EnvironmentResult, OnlineACE, Reflector, Sample, Skillbook, SkillManager, TaskEnvironment
from ace.llm_providers import LiteLLMClient


class Known(TaskEnvironment):  # type: ignore[misc]  # its types are in an environment of its own
    """Tells the answer, and whether it was right."""

    def __init__(self) -> None:
        self.tell: harness.Tell = lambda _answer: None

    def evaluate(self, sample: Any, agent_output: Any) -> Any:
        """Compare."""
        self.tell(agent_output.final_answer)
        right = agent_output.final_answer == sample.ground_truth
        return EnvironmentResult(feedback="right" if right else "wrong", ground_truth=sample.ground_truth)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[harness.Begin]:
    """Give a learner for each stream; its calls block, so each stream has a thread while it steps."""
    client = LiteLLMClient(model=f"openai/{harness.MODEL}", api_base=url, api_key=harness.KEY, max_tokens=512)

    async def begin(_name: str) -> harness.Step:
        known = Known()
        ace = OnlineACE(
            skillbook=Skillbook(), agent=Agent(client), reflector=Reflector(client), skill_manager=SkillManager(client)
        )

        async def step(question: str, label: str, tell: harness.Tell) -> None:
            known.tell = tell
            sample = Sample(question=question, context=harness.INSTRUCTIONS, ground_truth=label)
            await asyncio.to_thread(ace.run, [sample], known)

        return step

    yield begin


if __name__ == "__main__":
    harness.run(connect)
