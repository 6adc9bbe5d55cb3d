"""What is asked of an engine and what it answers: the calls of a method's steps.

They are values as those of `core.records` are: immutable, and the same in memory, in JSON and in the journal.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from llm_as_rnn.core.records import Record, Style, writable


class Message(Record, frozen=True):
    """One turn of a conversation. Its text can always be written as UTF-8."""

    role: Literal["system", "user", "assistant"]
    content: str

    def __post_init__(self) -> None:
        """Replace what no request could hold (lone surrogates in a user's data)."""
        force_setattr(self, "content", writable(self.content))

    @property
    def digest(self) -> str:
        """A short fingerprint of role and text, by which a journal names it."""
        from hashlib import sha256  # noqa: PLC0415 - help needs these values, and no hash

        return sha256(f"{self.role}\n{self.content}".encode()).hexdigest()[:16]


class Sampling(Record, frozen=True):
    """How the engine picks tokens.

    Attributes
    ----------
    temperature, top_p : float
        As every engine understands them; temperature 0 is greedy.
    max_tokens : int
        The most tokens that the answer may take.
    seed : int
        For engines that can repeat a draw.
    stop : tuple of str
        Texts at which the answer ends.
    thinking : int
        Tokens that a reasoning model may take to think, besides those of the answer; 0 for models that do not.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int = 0
    stop: tuple[str, ...] = ()
    thinking: int = 0


class Place(Record, frozen=True):
    """Where an answer names one of a few options.

    Attributes
    ----------
    name : str
        The field.
    lead : str
        A regular expression for all that stands before it in an answer.
    options : tuple of str
        The options.
    quoted : bool
        Whether it stands there as in JSON, between quotation marks.
    """

    name: str
    lead: str
    options: tuple[str, ...]
    quoted: bool = False


class AnswerFormat(Record, frozen=True):
    """What the engine should hold the answer to, in every notation that an engine may take.

    Attributes
    ----------
    name : str
        A short name for the schema.
    schema : dict or None
        JSON schema, for JSON answers.
    gbnf : str or None
        llama.cpp's grammar, for other answers.
    regex : str or None
        The same as a regular expression.
    choices : tuple of str
        The same as a list, where the answer is one of a few.
    places : tuple of Place
        Where the chances of options are to be read off, where an engine tells those of tokens; unset where nobody wants
        to know.
    """

    name: str = "text"
    schema: dict[str, Any] | None = None
    gbnf: str | None = None
    regex: str | None = None
    choices: tuple[str, ...] = ()
    # Unset is left out of the encoding: what was recorded of a request without it is found again.
    places: tuple[Place, ...] | UnsetType = UNSET


Role = Literal["predict", "reflect", "update", "compress", "summarise", "judge", "count"]


class Request(Record, frozen=True):
    """One thing that a method asks of an engine.

    A request with the role ``count`` asks how many tokens its only message holds, and nothing else.
    """

    role: Role
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    style: Style = "chat"
    answer: AnswerFormat = AnswerFormat()
    attempt: int = 0

    @property
    def prompt(self) -> str:
        r"""The messages as one text to go on with, for completion style.

        An answer follows what asked for it directly; every other turn starts a new paragraph.

        >>> turns = (Message("system", "Weather."), Message("user", "sun ->"), Message("assistant", " rain"))
        >>> Request("predict", (*turns, Message("user", "fog ->")), style="completion").prompt
        'Weather.\n\nsun -> rain\n\nfog ->'
        """
        text = ""
        for message in self.messages:
            text += ("\n\n" if text and message.role != "assistant" else "") + message.content
        return text


MOST_TEXT = 65_536
"""Characters of an answer that are kept: more than any that is asked for, so that a journal's lines have an end."""


MOST_ERROR = 2_000
"""Characters of what went wrong that are kept."""


ESTIMATED = "estimated"
"""What ends a token count that is an estimate, because a server ceased to count in the middle of a run."""


class Completion(Record, frozen=True):
    """What an engine answers to a request. Its texts can always be written as UTF-8, and have an end.

    Attributes
    ----------
    text : str
        The answer; of a longer one than `MOST_TEXT`, as much, and it counts as cut short.
    finish_reason : str
        ``stop``, ``length`` (cut short), ``content_filter`` (refused) or ``error``.
    prompt_tokens, completion_tokens : int
        As the engine counted them.
    cached_tokens : int or None
        Prompt tokens that the engine did not have to read again; None where it does not say.
    seconds : float
        Wall time, retries included.
    retries : int
        Attempts that failed before this one.
    error : str
        What went wrong, when ``finish_reason`` is ``error``; or what a server said in place of the model, when there is
        no text.
    reasoning_tokens : int
        Those of ``completion_tokens`` that went into thinking, which is no part of ``text``.
    chances : dict of str to dict of str to float
        By field, how likely the model held the likeliest options to be, by its own tokens; those that are not named
        share what is left of 1. Empty where it was not asked, or the engine does not tell.
    """

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    seconds: float = 0.0
    retries: int = 0
    error: str = ""
    reasoning_tokens: int = 0
    chances: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Replace what no file could hold (lone surrogates) and cut what is too long: nothing behind thinks of it."""
        if len(self.text) > MOST_TEXT and self.finish_reason == "stop":
            force_setattr(self, "finish_reason", "length")
        force_setattr(self, "text", writable(self.text[:MOST_TEXT]))
        force_setattr(self, "error", writable(self.error[:MOST_ERROR]))


class Call(Completion, frozen=True, kw_only=True):
    """One call to a model, as the journal keeps it: what was answered, and what for.

    Attributes
    ----------
    role : str
        What was asked for.
    """

    role: Role

    @classmethod
    def of(cls, role: Role, completion: Completion) -> Call:
        """Build the journal's form of one answered request."""
        return cls(role=role, **msgspec.structs.asdict(completion))

    def completion(self) -> Completion:
        """Give back what the engine answered."""
        return Completion(**{name: getattr(self, name) for name in Completion.__struct_fields__})
