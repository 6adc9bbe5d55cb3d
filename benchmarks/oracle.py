"""Made-up questions, a model that knows their answers, and the faults of a bad day: what `peers.py` measures with.

A question is an English phrase around a made-up word, and the word alone decides what the user wanted. So the model
can answer a prompt of any form: it takes the last word between ``< >`` in it. Whoever gets another answer than the
right one was given it by what stands between the model and the user.
"""

from __future__ import annotations

import random
import re
import time
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import msgspec

from server import Reply

PHRASES = {
    "antonym": ("what is the contrary of < {} > ?", "which word turns < {} > around ?", "i want the reverse of < {} >"),
    "definition": ("< {} > means what ?", "explain the word < {} > to me", "how would you put < {} > in other words ?"),
    "homophone": (
        "what sounds just as < {} > does ?",
        "which word is said like < {} > ?",
        "an echo of < {} > , please",
    ),
    "sentence": ("put < {} > to use", "let me see < {} > at work", "how does one say something with < {} > in it ?"),
    "synonym": ("what else can i say for < {} > ?", "a twin for < {} > , please", "which word stands in for < {} > ?"),
}
LABELS = tuple(PHRASES)
SYLLABLES = ("ba", "do", "fi", "gu", "ke", "lo", "mi", "na", "po", "ru", "sa", "te", "vo", "zu")
WORD = re.compile(r"< ([a-z]+) >")
TOKEN = re.compile(r"\w+|[^\w\s]")
"""What is counted as a token: a word, or a sign. The same for all, and no model's own count."""

Fault = Literal["500", "429", "cut", "malformed"]
FAULTS: tuple[Fault, ...] = ("500", "429", "cut", "malformed")


def wanted(word: str) -> str:
    """Say what a user wants who asks about a word.

    >>> wanted("bado")
    'sentence'
    """
    return LABELS[zlib.crc32(word.encode()) % len(LABELS)]


def streams(sequences: int, steps: int, seed: int = 0) -> list[list[tuple[str, str]]]:
    """Make streams of questions, each with what was wanted; no word comes twice.

    >>> streams(1, 2)
    [[('which word is said like < tesalo > ?', 'homophone'), ('a twin for < zumivo > , please', 'synonym')]]
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    seen: set[str] = set()

    def question() -> tuple[str, str]:
        while (word := "".join(draw.choices(SYLLABLES, k=3))) in seen:
            pass
        seen.add(word)
        return draw.choice(PHRASES[wanted(word)]).format(word), wanted(word)

    return [[question() for _ in range(steps)] for _ in range(sequences)]


def faults(share: float, seed: int) -> Iterator[Fault | None]:
    """Say for one call after another what goes wrong with it.

    >>> from itertools import islice
    >>> list(islice(faults(0.5, 3), 6))
    ['429', 'malformed', None, '500', None, '429']
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    while True:
        yield draw.choice(FAULTS) if draw.random() < share else None


class Oracle:
    """Answers as each program wants it, faultily where that is asked for, and counts.

    Parameters
    ----------
    share : float
        The share of calls with which something goes wrong.
    seed : int
        Which ones these are: the n-th call that comes has the same fate for everyone.
    """

    def __init__(self, share: float = 0.0, seed: int = 0) -> None:
        self.share, self.seed = share, seed
        self.fates: Iterator[Fault | None] | None = None
        self._clear()

    def _clear(self) -> None:
        self.first = 0.0
        self.calls = self.prompt = self.completion = self.faulty = 0

    def tally(self) -> list[Any]:
        """Give the calls, the tokens read and written, the faults, and the time of the first call; begin anew."""
        counted = [self.calls, self.prompt, self.completion, self.faulty, self.first]
        self._clear()
        return counted

    def answer(self, path: bytes, body: bytes) -> Reply:
        """Answer a call for a chat's next message, or for a text's end; all else there is not."""
        if not path.endswith(b"/completions"):
            return Reply(b"{}", b"404 Not Found")
        self.first = self.first or time.monotonic()
        self.calls += 1
        # It is made here, not where the oracle was, because a generator cannot be sent to another process.
        self.fates = self.fates or faults(self.share, self.seed)
        fault = next(self.fates)
        asked = msgspec.json.decode(body)
        prompt = text_of(asked)
        said = reply_to(prompt, asked)
        read, written = len(TOKEN.findall(prompt)), len(TOKEN.findall(said))
        self.prompt += read
        self.completion += written
        self.faulty += fault is not None
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        reply = completion(said, usage, chat=path.endswith(b"/chat/completions"))
        return spoiled(reply, fault) if fault else Reply(reply)


def text_of(asked: dict[str, Any]) -> str:
    """Give all that a model is asked to read."""
    if "prompt" in asked:
        return str(asked["prompt"])
    parts = [message.get("content") or "" for message in asked["messages"]]
    return "\n".join(part if isinstance(part, str) else "".join(one.get("text", "") for one in part) for part in parts)


def reply_to(prompt: str, asked: dict[str, Any]) -> str:
    """Answer in the form that a program reads: a bare label, DSPy's marked fields, or the JSON of DSPy and of ACE."""
    words = WORD.findall(prompt)
    label = wanted(words[-1]) if words else LABELS[0]
    # ACE shows the schema of what it reads, with its title.
    if '"SkillManagerOutput"' in prompt:
        rule = {"type": "ADD", "section": "intents", "content": f"A question like that about {words[-1]} is {label}."}
        return dumped({"update": {"reasoning": "It is new.", "operations": [rule | {"metadata": {}}]}})
    if '"ReflectorOutput"' in prompt:
        insight = {"correct_approach": f"Answer {label}.", "key_insight": f"Such a question is {label}."}
        return dumped({"reasoning": "The outcome says so.", **insight})
    if '"AgentOutput"' in prompt:
        return dumped({"reasoning": "It sounds so.", "final_answer": label})
    if "response_format" in asked:
        return dumped({"intent": label})
    if "[[ ## intent ## ]]" in prompt:
        return f"[[ ## intent ## ]]\n{label}\n\n[[ ## completed ## ]]"
    return label if "messages" in asked else f" {label}"


def dumped(value: dict[str, Any]) -> str:
    """Write JSON as text."""
    return msgspec.json.encode(value).decode()


def completion(said: str, usage: dict[str, int], *, chat: bool) -> bytes:
    """Write what an OpenAI-compatible server sends."""
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None}
    choice |= {"message": {"role": "assistant", "content": said}} if chat else {"text": said}
    kind = "chat.completion" if chat else "text_completion"
    whole = {"id": "1", "object": kind, "created": 1, "model": "oracle", "choices": [choice], "usage": usage}
    return msgspec.json.encode(whole)


@cache
def refusal(kind: str) -> bytes:
    """Write an error as OpenAI's servers do."""
    return msgspec.json.encode({"error": {"message": kind, "type": kind, "param": None, "code": kind}})


def spoiled(reply: bytes, fault: Fault) -> Reply:
    """Let go wrong what was to be answered."""
    match fault:
        case "500":
            return Reply(refusal("server_error"), b"500 Internal Server Error")
        case "429":
            return Reply(refusal("rate_limit_exceeded"), b"429 Too Many Requests", b"retry-after: 1\r\n")
        case "cut":
            return Reply(b"", cut=True)
        case "malformed":
            return Reply(reply[: len(reply) // 2])
