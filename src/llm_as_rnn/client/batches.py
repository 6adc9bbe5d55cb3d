"""Many predictions or outcomes in few requests; what could not be answered now is asked for again, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from llm_as_rnn.client.calling import Calling
from llm_as_rnn.client.problems import AGAIN, Problem, Refused, error_of
from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.service.errors import UnreachableError
from llm_as_rnn.service.views import OutcomeView, PredictionView

MOST = 1000
"""Items that a service takes at once."""

V = TypeVar("V", PredictionView, OutcomeView)
Item = Mapping[str, Any]
"""``session``, ``id``, and ``x`` or ``y``."""


class _Status(msgspec.Struct):
    """What tells a problem from an answer: HTTP's statuses are numbers."""

    status: int | str


class Batch(Generic[V]):
    """Items on their way.

    Parameters
    ----------
    calling : Calling
        Who sends them.
    path : str
        Where to.
    view : type
        What an answer is.
    """

    def __init__(self, calling: Calling, path: str, view: type[V]) -> None:
        self._calling, self._path = calling, path
        self._decoder: msgspec.json.Decoder[V] = msgspec.json.Decoder(view)

    async def answered(self, items: Sequence[msgspec.Struct]) -> list[V | LlmAsRnnError]:
        """Give an answer for each item, or the error that it met, in their order."""
        found: list[V | LlmAsRnnError] = []
        for start in range(0, len(items), MOST):
            found += await self._all_of(items[start : start + MOST])
        return found

    async def _all_of(self, items: Sequence[msgspec.Struct]) -> list[V | LlmAsRnnError]:
        answers: dict[int, V | Refused] = {}
        left, tries = list(range(len(items))), self._calling.tries()
        while True:
            answers |= zip(left, await self._once([items[place] for place in left]), strict=True)
            left = [place for place in left if isinstance(one := answers[place], Refused) and one.passing]
            if not left:
                break
            first = answers[left[0]]
            assert isinstance(first, Refused)  # noqa: S101 - tells mypy what `left` holds
            try:
                await tries.again(first)
            except LlmAsRnnError:
                break  # these stay errors
        return [one.error if isinstance(one, Refused) else one for _, one in sorted(answers.items())]

    async def _once(self, items: Sequence[msgspec.Struct]) -> list[V | Refused]:
        body = b"\n".join(map(msgspec.json.encode, items))
        lines = (await self._calling.send("POST", self._path, body)).content.splitlines()
        try:
            if len(lines) == len(items):
                return [self._read(line) for line in lines]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._strange(str(error)) from error
        raise self._strange(f"{len(lines)} answers to {len(items)} items")

    def _read(self, line: bytes) -> V | Refused:
        if isinstance(msgspec.json.decode(line, type=_Status).status, str):
            answer: V = self._decoder.decode(line)
            return answer
        problem = msgspec.json.decode(line, type=Problem)
        return Refused(error_of(problem, self._calling.hide), problem.status in AGAIN)

    def _strange(self, why: str) -> UnreachableError:
        return UnreachableError(f"{self._calling.where} did not answer as a service does: {why}", "upgrade the client")
