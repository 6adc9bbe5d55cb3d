"""What an engine can do here, found out by trying: small calls, each with what came of it.

What an engine says of itself is one thing, and what it does another: servers take a grammar and ignore it, or list a
window that they cut prompts to. So each ability is tried with a question whose natural answer is another one, and the
finding quotes what was written.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.calls import AnswerFormat, Completion, Message, Request, Sampling
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import AnswerError, EngineError, LlmAsRnnError
from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.records import Form, Record, Style
from llm_as_rnn.engines.dialects import Dialect, Server, answer_fields
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.patience import PatientEngine
from llm_as_rnn.engines.replies import one_line

LIMIT = 60.0
"""Seconds that one small call may take on a server before the finding is that it is too slow."""

QUOTED = 60
"""Characters of an answer that a finding quotes."""

MOST_SAID = 300
"""Characters of an error."""

HELD = Label("stone", "a stone", options=("quartz", "obsidian"))
"""Nobody answers so by chance: who does was held to it."""

ROOMY = 16
"""Tokens more than an answer needs: some write blanks between, and one that is cut short is not to count as loose."""

LIKELY = Label("sky", "tomorrow's weather", options=("rain", "sun"))

COUNTED = "One two three four five six seven eight nine ten."

WRITTEN = 48
"""Tokens that are written to measure how fast."""

LINES = 24
"""Lines of the text that is read to measure how fast: some three hundred tokens, and none of a context of a thousand
that would have no room for them."""

READ_A_STEP, WRITTEN_A_STEP = 300, 30
"""What a step of a usual task takes, to say in seconds what a speed means."""

NOT_TRIED = "not tried"

Doing = Callable[[str], AbstractContextManager[Any]]
"""Shows what is being done, as long as it takes."""

Ability = Literal["answers", "json", "grammar", "chances", "counts"]


class Finding(Record, frozen=True):
    """One thing that was tried.

    Attributes
    ----------
    ability : str
        ``answers`` at all; is held to a ``json`` schema, or to a ``grammar`` (regular expression, choice); tells
        ``chances`` of options by those of tokens; ``counts`` tokens by the model's own tokenizer.
    style : str or None
        How it was asked; None where that makes no difference.
    works : bool or None
        Whether it does; None where it was not tried.
    seen : str
        What was seen, in one line.
    """

    ability: Ability
    style: Style | None
    works: bool | None
    seen: str


class Speed(Record, frozen=True):
    """How fast an engine is with one call at a time; None where that could not be told.

    Attributes
    ----------
    read, written : float or None
        Tokens a second; reading includes the way to the server and back.
    cached : float or None
        The share of a prompt that was not read again, of one that began as another did.
    step : float or None
        Seconds of a step that reads `READ_A_STEP` tokens, of which none are cached, and writes `WRITTEN_A_STEP`.
    """

    read: float | None = None
    written: float | None = None
    cached: float | None = None
    step: float | None = None


class Checkup(Record, frozen=True):
    """What was found out about an engine.

    Attributes
    ----------
    info : EngineInfo
        What it says of itself, and what was noticed meanwhile.
    server : Dialect or None
        What kind of server it is; None for an engine that is none.
    slots_told : bool
        Whether the number of slots is the engine's own, and not assumed.
    trouble : str
        What makes it of no use here; empty where it is of use.
    hint : str
        What to do about it.
    seconds : float
        How long it took to open.
    findings : tuple of Finding
        What was tried.
    speed : Speed
        How fast it is.
    """

    info: EngineInfo
    server: Dialect | None = None
    slots_told: bool = True
    trouble: str = ""
    hint: str = ""
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    speed: Speed = Speed()

    def works(self, ability: Ability, style: Style) -> bool:
        """Tell whether an ability was seen, asked in this style."""
        return any(found.works and found.ability == ability and found.style in (style, None) for found in self.findings)

    @property
    def style(self) -> Style:
        """The style to ask it in: its own, unless it has no answer to that and one to another."""
        answered: list[Style] = [style for style in get_args(Style) if self.works("answers", style)]
        return answered[0] if answered and self.info.style not in answered else self.info.style

    @property
    def form(self) -> Form:
        """The form to ask it in: its own, but lines where no schema holds its answers and a grammar does."""
        loose = not self.works("json", self.style) and self.works("grammar", self.style)
        return "line" if loose else self.info.form

    def choices(self) -> dict[str, str]:
        """Give the settings that follow from what was seen, where the engine's own would not do."""
        own = {"style": self.info.style, "form": self.info.form}
        return {name: better for name, said in own.items() if (better := getattr(self, name)) != said}


async def check_up(
    engine: Engine,
    *,
    limit: float | None = LIMIT,
    doing: Doing = nullcontext,
    clock: Callable[[], float] = time.monotonic,
) -> Checkup:
    """Open an engine, try what it can do with some ten small calls, and close it.

    Parameters
    ----------
    engine : Engine
        Whom to examine; a server is not waited for.
    limit : float, optional
        Seconds that one call may take; None for as many as the engine allows.
    doing : callable
        Shows what is being done.
    clock : callable
        Gives seconds.

    Returns
    -------
    Checkup
        It says what is wrong where the engine cannot be used: nothing that an engine does is raised here.
    """
    engine = engine.engine if isinstance(engine, PatientEngine) else engine
    bench = _Bench(engine, limit, clock)
    began = clock()
    try:
        with doing(f"opening {engine.info.model}"):
            await engine.open()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what was to be found out
        trouble, hint = _why(error)
        return Checkup(engine.info, trouble=trouble, hint=hint)
    seconds = clock() - began
    try:
        return await _examined(bench, doing, seconds)
    finally:
        await engine.close()


class _Bench(NamedTuple):
    """Where an engine is tried."""

    engine: Engine
    limit: float | None
    clock: Callable[[], float]

    async def ask(self, text: str, style: Style, most: int, answer: AnswerFormat = AnswerFormat()) -> Completion:  # noqa: B008 - frozen
        """Ask for a short answer.

        Raises
        ------
        EngineError
            If there is none, or none in time.
        """
        request = Request("predict", (Message("user", text),), Sampling(max_tokens=most), style, answer)
        async with self.in_time():
            completion = await self.engine.complete(request)
        if completion.finish_reason == "error":
            raise EngineError(completion.error or "it broke off its answer")
        return completion

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Allow no more than the limit.

        Raises
        ------
        EngineError
            If it takes longer.
        """
        try:
            async with asyncio.timeout(self.limit):
                yield
        except TimeoutError as error:
            raise EngineError(f"no answer within {self.limit:g} s", "allow more: --timeout") from error

    @property
    def server(self) -> Server | None:
        """What a server said of itself."""
        return self.engine.said if isinstance(self.engine, OpenAICompatibleEngine) else None

    def dialect(self) -> Dialect | None:
        """Tell what kind of server answers; the embedded engine is llama.cpp's."""
        if self.server is not None:
            return self.server.dialect
        return "llamacpp" if self.engine.info.model.startswith("llamacpp:") else None


async def _examined(bench: _Bench, doing: Doing, seconds: float) -> Checkup:
    told = bench.server is None or bench.server.slots is not None
    base = Checkup(bench.engine.info, bench.dialect(), told, seconds=seconds)
    findings, why = [], ("", "")
    for style in _styles(base.info):
        began = bench.clock()
        with doing(f"asking in {style} style"):
            found = await _tried("answers", style, _answers, bench)
        findings.append(found[0])
        why = why if why[0] else found[1]
        if bench.limit is not None and bench.clock() - began >= bench.limit:
            break  # who has no answer in all this time has none to another question
    if not any(found.works for found in findings):
        rest: tuple[Ability, ...] = ("json", "grammar", "chances", "counts")
        findings += [Finding(ability, None, None, NOT_TRIED) for ability in rest]
        return _ended(bench, base, findings, why)
    usable = [found.style for found in findings if found.works and found.style]
    for style in usable:
        for ability, trial in (("json", _json), ("grammar", _grammar)):
            with doing(f"trying whether answers are held to a {ability}, in {style} style"):
                findings.append((await _tried(ability, style, trial, bench))[0])
    so_far = msgspec.structs.replace(base, findings=tuple(findings))
    style, form = so_far.style, so_far.form
    with doing("trying whether chances of tokens are told"):
        findings.append((await _tried("chances", style, partial(_chances, form), bench))[0])
    with doing("trying whether tokens are counted"):
        findings.append((await _tried("counts", None, _counts, bench))[0])
    with doing("measuring how fast it reads and writes"):
        speed = await _speed(bench, style)
    return _ended(bench, msgspec.structs.replace(base, speed=speed), findings)


def _styles(info: EngineInfo) -> list[Style]:
    """Give the styles in which a model can be asked, its own first."""
    styles: tuple[Style, ...] = get_args(Style)
    return sorted((style for style in styles if style != "chat" or info.chats), key=lambda style: style != info.style)


def _ended(bench: _Bench, base: Checkup, findings: list[Finding], why: tuple[str, str] = ("", "")) -> Checkup:
    trouble, hint = why
    return msgspec.structs.replace(base, info=bench.engine.info, findings=tuple(findings), trouble=trouble, hint=hint)


Trial = Callable[[_Bench, Any], Awaitable[tuple[bool, str]]]


async def _tried(ability: Any, style: Style | None, trial: Trial, bench: _Bench) -> tuple[Finding, tuple[str, str]]:
    """Try something; a failure is a finding, too, and goes with what to do about it."""
    before = set(bench.engine.info.left_out)
    try:
        works, seen = await trial(bench, style)
    except Exception as error:  # noqa: BLE001 - likewise
        why = _why(error)
        return Finding(ability, style, works=False, seen=why[0]), why
    refused = sorted(set(bench.engine.info.left_out) - before)
    if refused:
        seen += f" (the server refuses {', '.join(refused)})"
    return Finding(ability, style, works, seen), ("" if works else f"no usable answer: {seen}", "")


def _why(error: Exception) -> tuple[str, str]:
    """Say in one line what is wrong, and what to do; an engine of somebody else's may raise anything."""
    if isinstance(error, LlmAsRnnError):
        return one_line(error.message, MOST_SAID), error.hint
    return one_line(f"{type(error).__name__}: {error}", MOST_SAID), "report it to whoever makes this engine"


async def _answers(bench: _Bench, style: Style) -> tuple[bool, str]:
    """Ask anything, and see whether there is an answer."""
    completion = await bench.ask("Say in one word how the weather is today.", style, 16)
    if completion.text.strip():
        return True, _quoted(completion.text)
    if completion.reasoning_tokens or completion.finish_reason == "length":
        return True, "it thinks before it answers: give it room, --thinking 1024"
    return False, completion.error or "an empty answer"


async def _json(bench: _Bench, style: Style) -> tuple[bool, str]:
    return await _held(bench, style, AnswerSpec("stone", (HELD,), "json"))


async def _grammar(bench: _Bench, style: Style) -> tuple[bool, str]:
    return await _held(bench, style, AnswerSpec("stone", (HELD,), "line"))


async def _held(bench: _Bench, style: Style, spec: AnswerSpec) -> tuple[bool, str]:
    """Ask for something, and hold the answer to something else."""
    dialect = bench.dialect()
    if dialect is not None and not answer_fields(dialect, style, spec.format):
        return False, "no field of a request is known that would hold it on this server"
    completion = await bench.ask("Count from one to ten in words.", style, spec.max_tokens() + ROOMY, spec.format)
    try:
        spec.read(completion.text)
    except AnswerError:
        return False, f"it is not held: {_quoted(completion.text)}"
    return True, _quoted(completion.text)


async def _chances(form: Form, bench: _Bench, style: Style) -> tuple[bool, str]:
    """Ask which of two options, and look for how likely they were."""
    spec = AnswerSpec("sky", (LIKELY,), form)
    answer = msgspec.structs.replace(spec.format, places=spec.places)
    text = f"It has rained for days. Answer with {spec.describe()}\nTomorrow's weather:"
    completion = await bench.ask(text, style, spec.max_tokens(), answer)
    told = completion.chances.get(LIKELY.name, {})
    if not told:
        return False, f"none are told with {_quoted(completion.text)}"
    return True, ", ".join(f"{option} {chance:.2f}" for option, chance in told.items())


async def _counts(bench: _Bench, style: None) -> tuple[bool, str]:
    """Count a text, and see whether the count is a tokenizer's."""
    async with bench.in_time():
        count = await bench.engine.count_tokens(COUNTED)
    exact = bench.engine.info.tokenizer == "exact" and count > 0
    how = "by the model's own tokenizer" if exact else "an estimate, which errs to the long side"
    return exact, f"{count} for {COUNTED!r}, {how}"


async def _speed(bench: _Bench, style: Style) -> Speed:
    """Send a text that nobody has sent before, then another that begins in the same way, and have that gone on with."""
    mark = secrets.token_hex(4)
    text = f"Visit {mark}.\n" + "\n".join(
        f"Day {day}: {day * 7 % 23} degrees, wind {day * 5 % 9}." for day in range(LINES)
    )
    other, counting = f"{text}\nThe next day:", f"{text}\nNow count in figures to two hundred: 1, 2, 3,"
    try:
        first, reading = await _timed(bench, other, style, 1)
        again, rereading = await _timed(bench, counting, style, 1)
        last, writing = await _timed(bench, counting, style, WRITTEN)
    except Exception:  # noqa: BLE001 - what it cannot do stands in the findings
        return Speed()
    more, longer = last.completion_tokens - again.completion_tokens, writing - rereading
    read = _rate(first.prompt_tokens - (first.cached_tokens or 0), reading)
    written = _rate(more, longer)
    known = again.cached_tokens is not None and again.prompt_tokens > 0
    cached = min(1.0, (again.cached_tokens or 0) / again.prompt_tokens) if known else None
    step = READ_A_STEP / read + WRITTEN_A_STEP / written if read and written else None
    return Speed(read, written, cached, step)


async def _timed(bench: _Bench, text: str, style: Style, most: int) -> tuple[Completion, float]:
    began = bench.clock()
    completion = await bench.ask(text, style, most)
    return completion, bench.clock() - began


def _rate(tokens: int, seconds: float) -> float | None:
    """Give tokens a second; None where there is too little of either to tell."""
    return tokens / seconds if tokens > 0 and seconds > 1e-4 else None  # noqa: PLR2004 - no server is as quick


def _quoted(text: str) -> str:
    return repr(one_line(text, QUOTED))
