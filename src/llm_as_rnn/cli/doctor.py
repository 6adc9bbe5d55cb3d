"""``llm-as-rnn doctor``: what is installed, what an engine can do, and what follows from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from llm_as_rnn import catalogue
from llm_as_rnn.cli.engines import given_again
from llm_as_rnn.cli.installed import Installed, installed
from llm_as_rnn.cli.plugins import Brought, listed, troubles
from llm_as_rnn.cli.privacy import hidden, hider
from llm_as_rnn.cli.process import interrupts
from llm_as_rnn.cli.progress import console, waiting
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import LlmAsRnnError, ModelError, UsageError
from llm_as_rnn.core.records import Record
from llm_as_rnn.engines.checkup import LIMIT, Checkup, Finding, check_up
from llm_as_rnn.engines.models import REGISTRY, locate
from llm_as_rnn.engines.naming import DEFAULT_MODEL, DEFAULT_NAME
from llm_as_rnn.engines.places import is_here
from llm_as_rnn.engines.resolve import resolve, split_model

FORMAT = 1
"""The version of what --json writes."""

TROUBLE = 1
"""The exit code where something does not work."""

WHAT = {
    "answers": "answers",
    "json": "is held to a JSON schema",
    "grammar": "is held to a grammar",
    "chances": "tells chances of tokens",
    "counts": "counts tokens",
}
"""The abilities for people."""

SERVERS = {
    "llamacpp": "llama.cpp",
    "vllm": "vLLM",
    "vllm_guided": "vLLM before 0.11",
    "sglang": "SGLang",
    "other": "a server of another kind, which speaks the OpenAI protocol",
    None: "an engine that is no server",
}


class Diagnosis(Record, frozen=True):
    """All that is found out.

    Attributes
    ----------
    format : int
        The version of this record.
    installed : Installed
        What is here.
    plugins : tuple of Brought
        What other packages bring.
    engine : Checkup or None
        What the engine can do; None where none was named, or none could be made.
    settings : dict
        What follows from it for a run: form, style, layout, slots and more.
    command : str
        A command to go on with.
    troubles : tuple of str
        What does not work, a line each, with what to do.
    next : tuple of str
        What to do now.
    """

    format: int
    installed: Installed
    plugins: tuple[Brought, ...] = ()
    engine: Checkup | None = None
    settings: dict[str, Any] | None = None
    command: str = ""
    troubles: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def doctor(model: str | None, base_url: str | None, timeout: float | None, as_json: bool) -> int:
    """Do what ``llm-as-rnn doctor`` is told to."""
    if model is None and base_url is not None:
        raise UsageError(
            "a server is named, and no model on it",
            "add --model openai:NAME; with a wrong NAME it says which there are",
        )
    if model is not None:
        split_model(model)
    with waiting("looking at what is installed"):
        here, others, amiss = installed(), listed(), troubles()
    found = _nothing_asked(here) if model is None else _examined(here, model, base_url, timeout)
    found = msgspec.structs.replace(found, plugins=others, troubles=(*amiss, *found.troubles))
    told = hidden(msgspec.to_builtins(found), hider([base_url or ""]))
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")
    else:
        show(msgspec.convert(told, Diagnosis))
    return TROUBLE if found.troubles else 0


def _nothing_asked(here: Installed) -> Diagnosis:
    """Say what to do where no model is named."""
    todo = []
    embedded = next((extra for extra in here.extras if extra.name == "llamacpp"), None)
    if embedded is not None and embedded.missing:
        todo.append(f"for models on this machine: {embedded.get}")
    elif not here.models[DEFAULT_NAME]:
        todo.append(f"fetch a small model: llm-as-rnn models pull {DEFAULT_NAME}")
    todo.append(f"examine a model on this machine: llm-as-rnn doctor --model {DEFAULT_MODEL}")
    todo.append("or one on a server: llm-as-rnn doctor --model openai:NAME --base-url http://localhost:8000/v1")
    return Diagnosis(FORMAT, here, next=tuple(todo))


def _examined(here: Installed, model: str, base_url: str | None, timeout: float | None) -> Diagnosis:
    try:
        engine = _engine(model, base_url, timeout)
    except LlmAsRnnError as error:
        return Diagnosis(FORMAT, here, troubles=(str(error),))
    limit = timeout if timeout is not None or model.startswith("llamacpp:") else LIMIT
    found = interrupts.run(check_up(engine, limit=limit, doing=waiting))
    if found.trouble:
        return Diagnosis(FORMAT, here, engine=found, troubles=(str(LlmAsRnnError(found.trouble, found.hint)),))
    try:
        settings = _settings(found)
    except LlmAsRnnError as error:
        return Diagnosis(FORMAT, here, engine=found, troubles=(str(error),))
    words = ["run", "weather", "--quick", "--model", model, *(["--base-url", base_url] if base_url else [])]
    words += [word for name, value in found.choices().items() for word in (f"--{name}", value)]
    advice = tuple(_advice(found, settings))
    return Diagnosis(FORMAT, here, engine=found, settings=settings, command=given_again(words), next=advice)


def _engine(model: str, base_url: str | None, timeout: float | None) -> Engine:
    """Make the engine, without fetching anything.

    Raises
    ------
    LlmAsRnnError
        If there is none.
    """
    kind, name = split_model(model)
    if kind == "llamacpp" and name in REGISTRY and locate(name) is None:
        raise ModelError(f"the file of {name} is not here", f"llm-as-rnn models pull {name}")
    return resolve(model, base_url=base_url, timeout=timeout or (LIMIT if kind != "llamacpp" else None), patience=0)


def _settings(found: Checkup) -> dict[str, Any]:
    """Give the settings that a run with this engine has, where nobody says otherwise."""
    settings = catalogue.resolve(found.choices(), found.info)
    names = ("form", "style", "layout", "budget", "rule")
    return {**{name: getattr(settings, name) for name in names}, "concurrency": found.info.slots}


def _advice(found: Checkup, settings: dict[str, Any]) -> Iterator[str]:
    """Say what the findings mean for whoever runs something with this engine."""
    style = found.style
    if settings["budget"] < SMALL:
        yield f"{found.info.context_window} tokens of context leave a memory {settings['budget']}: serve it with more"
    if not found.works("json", style) and not found.works("grammar", style):
        yield "nothing holds answers to their form here: they are read as they come, and some will not fit"
    if not found.works("chances", style):
        yield "without chances of tokens, how sure an answer is can be drawn: --draws 5"
    if not found.slots_told:
        yield f"it does not say how many calls it answers at a time: {found.info.slots} is assumed, see --concurrency"
    if found.speed.cached is not None and found.speed.cached < LITTLE:
        yield "it reads again what it has read before: turn its prefix cache on, and steps get cheaper"
    if found.speed.step is not None and found.speed.step > SLOW:
        yield f"a step takes about {found.speed.step:.0f} s: try a run with --quick, or a smaller model, first"


MARGIN = 18
"""Columns of headings."""

SMALL = 64
"""Tokens of a memory in which next to nothing can be learned."""

LITTLE = 0.2
"""A share of a prompt from the cache that is next to none."""

SLOW = 10.0
"""Seconds of a step that make a run a matter of hours."""


def show(found: Diagnosis) -> None:
    """Print it for people."""
    _show_installed(found.installed)
    for plugin in found.plugins:
        _row(plugin.kind, f"{plugin.name}, of {plugin.package}")
    if found.engine is not None:
        console.print()
        _show_engine(found.engine)
    if found.settings is not None and found.engine is not None:
        own = "".join(f" --{name} {value}" for name, value in found.engine.choices().items())
        told = ", ".join(f"{name} {value}" for name, value in found.settings.items())
        _row("settings", f"{told} ({f'with{own}' if own else 'what a run takes by itself'})")
        _row("go on", found.command)
    for line in found.next:
        _row("next" if found.engine is None else "note", line)
    for line in found.troubles:
        console.print(Text.assemble(("trouble: ", "red"), line), soft_wrap=True)


def _row(heading: str, text: str) -> None:
    console.print(Text.assemble((f"{heading:<{MARGIN}} ", "dim"), text), soft_wrap=True)


def _show_installed(here: Installed) -> None:
    _row("llm-as-rnn", f"{here.version}, Python {here.python}, {here.system}, {here.processors} processors")
    _row("needs", ", ".join(f"{name} {found}" for name, found in here.packages.items()) or "not told: not installed")
    for extra in here.extras:
        there = ", ".join(f"{name} {found}" for name, found in extra.here.items())
        missing = f"missing: {', '.join(extra.missing)}; {extra.get}" if extra.missing else ""
        _row(f"[{extra.name}]", "; ".join(filter(None, (there, missing))))
    files = [name for name, there in here.models.items() if there]
    _row("models here", ", ".join(f"llamacpp:{name}" for name in files) or "none; llm-as-rnn models list")
    for name, value in here.environment.items():
        _row(name, value)


def _show_engine(found: Checkup) -> None:
    info = found.info
    where = "on this machine" if is_here(info.host) else f"on {info.host}, not on this machine"
    if not found.findings:  # it did not answer: nobody knows what it is
        _row("engine", f"{info.model}, {where}")
        return
    _row("engine", f"{info.model}: {SERVERS[found.server]}, {where}")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for finding in found.findings:
        table.add_row(_what(finding), _mark(finding), Text(finding.seen))
    console.print(table)
    if found.speed.read or found.speed.written:
        _row("speed", "; ".join(_speed(found)))
    told = "" if found.slots_told else " (assumed)"
    _row("room", f"{info.context_window} tokens of context, {info.slots} calls at a time{told}")
    for remark in info.remarks:
        _row("noticed", remark)


def _what(finding: Finding) -> Text:
    return Text(f"{WHAT[finding.ability]}{f', as {finding.style}' if finding.style else ''}")


def _mark(finding: Finding) -> Text:
    if finding.works is None:
        return Text("-", "dim")
    return Text("yes", "green") if finding.works else Text("no", "yellow")


def _speed(found: Checkup) -> Iterator[str]:
    speed = found.speed
    rates = ((speed.read, "read"), (speed.written, "written"))
    yield ", ".join(f"{rate:,.0f} tokens a second {what}" for rate, what in rates if rate)
    if speed.cached is None:
        yield "what comes from its cache is not told"
    else:
        yield f"{speed.cached:.0%} of a prompt that began as another came from its cache"
    if speed.step:
        yield f"a step of 300 tokens and 30 written takes about {speed.step:.2g} s"
