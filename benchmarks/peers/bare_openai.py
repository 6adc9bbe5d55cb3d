"""A loop around the openai package, with its own retries: the last steps are kept as a chat."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import harness
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[harness.Begin]:
    """Give a loop that shows past steps as turns of the chat."""
    async with AsyncOpenAI(base_url=url, api_key=harness.KEY) as client:

        async def begin(_name: str) -> harness.Step:
            memory: deque[tuple[str, str]] = deque(maxlen=harness.KEPT)

            async def step(question: str, label: str, tell: harness.Tell) -> None:
                messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": harness.INSTRUCTIONS}]
                for seen, came in memory:
                    messages += [{"role": "user", "content": seen}, {"role": "assistant", "content": came}]
                messages.append({"role": "user", "content": question})
                reply = await client.chat.completions.create(
                    model=harness.MODEL, messages=messages, max_tokens=16, temperature=0.0
                )
                tell(reply.choices[0].message.content)
                memory.append((question, label))

            return step

        yield begin


if __name__ == "__main__":
    harness.run(connect)
