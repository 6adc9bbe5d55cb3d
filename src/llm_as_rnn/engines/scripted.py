"""An engine that answers from a script: for tests, for demonstrations, and to repeat what a model once said."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, ModelError
from llm_as_rnn.core.files import read_file

Answer = Callable[[Request], Completion | str]


def count_words(text: str) -> int:
    """Count tokens as this engine does: words and line ends, so that a test can count by hand."""
    return len(text.split()) + len(text.splitlines())


class ScriptedEngine:
    """Answers each request by a function of it.

    Parameters
    ----------
    answer : callable
        Takes a `Request`; gives a `Completion`, or just its text. An exception passes as one of an engine's.
    info : EngineInfo, optional
        What it says it is; where it names no host, that it is here.

    Examples
    --------
    >>> import asyncio
    >>> from llm_as_rnn.core.calls import Message
    >>> engine = ScriptedEngine(lambda request: "rain, 9.5")
    >>> request = Request("predict", (Message("user", "sun, 12 ->"),))
    >>> asyncio.run(engine.complete(request)).text
    'rain, 9.5'
    """

    def __init__(self, answer: Answer, info: EngineInfo | None = None) -> None:
        self._answer = answer
        info = info or EngineInfo("scripted:function", digest="scripted")
        self.info = replace(info, host="") if info.host is None else info
        self.requests: list[Request] = []

    def __repr__(self) -> str:
        return f"ScriptedEngine({self.info.model!r})"

    @classmethod
    def from_file(cls, path: Path) -> ScriptedEngine:
        """Read a script: JSON lines of ``{"role": ..., "text": ..., "finish_reason": ...}``.

        Which of a role's answers a request gets depends on the request alone, never on the order of requests: the same
        run, in one sitting or resumed, gets the same answers. ``finish_reason`` may be left out.

        Raises
        ------
        ModelError
            If the file is missing or a line of it is broken; the message names the line.
        """
        by_role: dict[str, list[_Line]] = defaultdict(list)
        for line in _read_script(path):
            by_role[line.role].append(line)

        def answer(request: Request) -> Completion:
            lines = by_role.get(request.role)
            if not lines:
                raise EngineError(f"the script {path.name} has no answer for the role {request.role!r}")
            line = lines[zlib.crc32(request.prompt.encode("utf-8", "replace")) % len(lines)]
            return Completion(line.text, line.finish_reason)

        return cls(answer, EngineInfo(f"scripted:{path}", digest="scripted"))

    async def open(self) -> None:
        """Do nothing: a script is always ready."""

    async def complete(self, request: Request) -> Completion:
        """Answer as the script says; token figures are word counts."""
        self.requests.append(request)
        answer = self._answer(request)
        completion = Completion(answer) if isinstance(answer, str) else answer
        return replace(
            completion,
            prompt_tokens=completion.prompt_tokens or count_words(request.prompt),
            completion_tokens=completion.completion_tokens or count_words(completion.text),
        )

    async def count_tokens(self, text: str) -> int:
        """Count words and line ends."""
        return count_words(text)

    async def close(self) -> None:
        """Do nothing."""


class _Line(msgspec.Struct):
    role: str
    text: str
    finish_reason: str = "stop"


def _read_script(path: Path) -> list[_Line]:
    try:
        lines = read_file(path).split(b"\n")
    except OSError as error:
        raise ModelError(f"the script {path} cannot be read: {error.strerror}", "check the path") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                found.append(msgspec.json.decode(line, type=_Line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelError(f"{path}, line {number}: {error}", 'write {"role": ..., "text": ...}') from error
    return found
