"""A loop around a bare HTTP client: the last steps are kept, nothing is tried again."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import harness
import httpx2


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[harness.Begin]:
    """Give a loop that writes its prompt by hand."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:

        async def begin(_name: str) -> harness.Step:
            memory: deque[str] = deque(maxlen=harness.KEPT)

            async def step(question: str, label: str, tell: harness.Tell) -> None:
                prompt = "\n".join([harness.INSTRUCTIONS, *memory, f"{question} ->"])
                body = {"model": harness.MODEL, "prompt": prompt, "max_tokens": 16, "temperature": 0.0, "stop": ["\n"]}
                reply = await client.post("/completions", json=body)
                reply.raise_for_status()
                tell(reply.json()["choices"][0]["text"])
                memory.append(f"{question} -> {label}")

            return step

        yield begin


if __name__ == "__main__":
    harness.run(connect)
