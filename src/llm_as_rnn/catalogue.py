"""The methods by name: the one list that the command line, the library and the service read.

A method of somebody else's gets a name by `register`, or by an entry point of the package that it comes in.

A method is imported when it is built, and so is what is put around it: help, and options, need names alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.plugins import Plugins
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.settings import resolve as fill_in
from llm_as_rnn.core.shelf import Shelf
from llm_as_rnn.core.variants import plain_name, read_variant
from llm_as_rnn.recurrence.rules import suited, traits

if TYPE_CHECKING:
    from llm_as_rnn.core.method import Method
    from llm_as_rnn.core.prompts import Prompts
    from llm_as_rnn.core.task import Task

Factory: TypeAlias = "Callable[[Task, Settings, Prompts], Method]"
"""How a method is built: its class, or a function."""

ZERO_SHOT = "zero_shot"
RECURRENT = "recurrent"
ADVISED = "advised"
FREE_ADVICE = "free_advice"


def _advised(task: Task, settings: Settings, prompts: Prompts) -> Method:
    return _by_advice(ADVISED, task, settings, prompts, {})


def _free_advice(task: Task, settings: Settings, prompts: Prompts) -> Method:
    return _by_advice(FREE_ADVICE, task, settings, prompts, {})


METHODS: Shelf[Factory] = Shelf(
    {
        ZERO_SHOT: "llm_as_rnn.baselines.history:ZeroShot",
        "full_history": "llm_as_rnn.baselines.history:FullHistory",
        "memprompt": "llm_as_rnn.baselines.history:MemPrompt",
        "streaming_icl": "llm_as_rnn.baselines.streaming_icl:StreamingICL",
        "ace": "llm_as_rnn.baselines.ace:Ace",
        "ace_budget": "llm_as_rnn.baselines.ace:AceBudget",
        RECURRENT: "llm_as_rnn.recurrence.cell:Recurrent",
        ADVISED: f"{__name__}:_advised",
    }
)
"""Methods that ask a model, in the order in which tables show them."""

DEFAULT_METHODS = (ZERO_SHOT, "full_history", "memprompt", RECURRENT, ADVISED)
"""Those of a run that names none: the paper's, and advice. All of them would take more than twice as many calls."""

DEFAULT_METHOD = ADVISED
"""That of a stream that names none: it asks the model as often as ``recurrent``, and its answers also go by what costs
nothing, as far as outcomes bear that out."""

REFERENCES: Shelf[Factory] = Shelf(
    {
        "repeat_last": "llm_as_rnn.baselines.references:RepeatLast",
        "majority": "llm_as_rnn.baselines.references:MajoritySoFar",
        "nearest_case": "llm_as_rnn.baselines.references:NearestCase",
        "linear": "llm_as_rnn.baselines.references:Linear",
        "zero": "llm_as_rnn.baselines.references:Zero",
        FREE_ADVICE: f"{__name__}:_free_advice",
    }
)
"""References that need no model."""

ENTRY_POINTS = "llm_as_rnn.methods"
"""The group of entry points under which a package offers methods, by name."""

_OWN: dict[str, Factory] = {}


def _flaw(name: str, found: Any) -> str:
    return "" if callable(found) else "it is neither a class nor a function"


PLUGINS: Plugins[Factory] = Plugins("method", ENTRY_POINTS, lambda: (*METHODS, *REFERENCES), _flaw)
"""Methods that other packages bring."""


def register(name: str, factory: Factory) -> None:
    """Make a method of your own known by its name, to all runs and learners of this process.

    A package does the same for every process, the command line's among them, by an entry point of the group
    `ENTRY_POINTS`. Where the method asks no model, its class says so with ``asks_model = False``; then none is loaded.

    Parameters
    ----------
    name : str
        The method's ``name``: a plain word that no shipped method has.
    factory : callable
        Its class, or a function that builds it.

    Raises
    ------
    UsageError
        If the name is taken or none.

    Examples
    --------
    >>> register("zero_shot", METHODS["zero_shot"])
    Traceback (most recent call last):
        ...
    llm_as_rnn.core.errors.UsageError: a method of your own cannot be called 'zero_shot' ...
    """
    if not re.fullmatch(r"\w+", name) or name in METHODS or name in REFERENCES:
        raise UsageError(f"a method of your own cannot be called {name!r}", "choose a plain word that no other has")
    _OWN[name] = factory


def _factory(name: str) -> Factory | None:
    """Find a method by name; what a package offers is loaded when it is first named."""
    for shipped in (METHODS, REFERENCES):
        if name in shipped:
            return shipped[name]
    if name not in _OWN and (found := PLUGINS.get(name)):
        register(name, found)
    return _OWN.get(name)


def advisers(name: str, task: Task, settings: Settings) -> tuple[str, ...]:
    """Name those whose advice a method goes by, the foremost first; none for a method that goes by its own.

    Examples
    --------
    >>> from llm_as_rnn.core.task import load_task
    >>> advisers("advised", load_task("weather"), Settings())
    ('recurrent', 'repeat_last', 'majority', 'nearest_case', 'linear')
    >>> advisers("advised", load_task("weather"), Settings(bare=True))[:2]
    ('recurrent', 'zero_shot')
    >>> advisers("advised:budget=64", load_task("weather"), Settings())[:2]
    ('recurrent:budget=64', 'repeat_last')
    >>> advisers("recurrent", load_task("weather"), Settings())
    ()
    """
    variant = read_variant(name)
    free = tuple(reference for reference in references(task) if reference != FREE_ADVICE)
    asking = (RECURRENT, ZERO_SHOT) if own_settings(name, settings).bare else (RECURRENT,)
    # Whoever is heard answers as alone: what is made of it all is no matter of theirs.
    heard = tuple(variant.like(method, but=("bare", "carry", "abstain_above", "abstain_wider")) for method in asking)
    return {ADVISED: (*heard, *free), FREE_ADVICE: free}.get(variant.method, ())


def advised(name: str, task: Task, settings: Settings, prompts: Prompts, said: Mapping[str, Method]) -> Method:
    """Build a method that goes by advice, where some of its advisers need not be asked.

    Parameters
    ----------
    name : str
        Which.
    task, settings, prompts
        As for `build`.
    said : mapping of str to Method
        What stands for an adviser: what it said in a run (see `trust.advised.Recorded`). Others are built.
    """
    return _assured(_by_advice(name, task, settings, prompts, said), name, task, settings)


def _by_advice(name: str, task: Task, settings: Settings, prompts: Prompts, said: Mapping[str, Method]) -> Method:
    from llm_as_rnn.trust.advised import Advised  # noqa: PLC0415 - a method is being built

    by_name = [said.get(one) or build(one, task, settings, prompts) for one in advisers(name, task, settings)]
    return Advised(name, task, by_name, carry=own_settings(name, settings).carry)


def _assured(method: Method, name: str, task: Task, settings: Settings) -> Method:
    from llm_as_rnn.trust.assured import Assured  # noqa: PLC0415 - a method is being built

    return Assured(method, task, own_settings(name, settings), name)


def references(task: Task) -> tuple[str, ...]:
    """Name the references that suit a task: every run of it has them.

    Examples
    --------
    >>> from llm_as_rnn.core.task import load_task
    >>> references(load_task("weather"))
    ('repeat_last', 'majority', 'nearest_case', 'linear', 'free_advice')
    """
    unsuited = {name for name, kind in REFERENCES.items() if not getattr(kind, "suits", lambda _: True)(task)}
    return tuple(name for name in REFERENCES if name not in unsuited)


def asks_model(name: str) -> bool:
    """Tell whether a method asks a model: references do not, and need none loaded.

    >>> asks_model("recurrent:delta"), asks_model("nearest_case")
    (True, False)
    """
    method = read_variant(name).method
    return method not in REFERENCES and bool(getattr(_OWN.get(method), "asks_model", True))


def require_method(name: object) -> None:
    """Refuse a name that no method has.

    ``recurrent:RULE`` is the recurrent method with that update rule, and a name may go on with settings of the method's
    own, as often as wanted: ``recurrent:budget=64`` (see `variants`).

    Raises
    ------
    UsageError
        With a hint that lists the names.

    Examples
    --------
    >>> require_method("recurrent:delta:budget=64")
    """
    base, colon, rule = plain_name(str(name)).partition(":")
    if not isinstance(name, str) or _factory(base) is None or (colon and base != RECURRENT):
        known = ", ".join(dict.fromkeys([*METHODS, *REFERENCES, *_OWN, *PLUGINS.names()]))
        raise UsageError(f"there is no method {name!r}", f"choose from {known}, or register it")
    if colon:
        traits(rule)
    if read_variant(name).choices and base in REFERENCES:
        raise UsageError(f"{base} is a reference, and has no settings", f"name it {base}")


def own_settings(name: str, settings: Settings) -> Settings:
    """Give the settings that a method has in a run, by its name and the run's.

    >>> own_settings("recurrent:budget=64", Settings(budget=256)).budget
    64
    """
    variant = read_variant(name)
    if not variant.choices:
        return settings
    own = variant.settings(settings)
    return msgspec.structs.replace(own, rule=suited(own.rule, own.feedback))


def build(name: str, task: Task, settings: Settings, prompts: Prompts) -> Method:
    """Build a method by its name; its predictions say how far they can be trusted (see `trust.assured`).

    Raises
    ------
    UsageError
        If there is none of that name, the settings do not suit it, or it calls itself otherwise: a journal could not
        be read then.
    """
    return _assured(_build(name, task, settings, prompts), name, task, settings)


def _build(name: str, task: Task, settings: Settings, prompts: Prompts) -> Method:
    require_method(name)
    variant, own = read_variant(name), own_settings(name, settings)
    if variant.method == ADVISED:
        return _by_advice(name, task, settings, prompts, {})
    if variant.rule:
        from llm_as_rnn.recurrence.cell import Recurrent  # noqa: PLC0415 - a method is being built

        return Recurrent(task, own, prompts, variant.rule)
    factory = _factory(variant.method)
    assert factory is not None  # noqa: S101 - it is required above
    method = factory(task, own, prompts)
    if method.name != variant.method:
        raise UsageError(
            f"the method {variant.method!r} calls itself {method.name!r}", "register it under its own name"
        )
    return method


def resolve(choices: Mapping[str, Any], engine: EngineInfo) -> Settings:
    """Make whole settings of what a user chose: what is left open suits the engine, and the rule the form.

    Parameters and errors are those of `settings.resolve`; a rule that does not exist is refused as well.

    >>> resolve({}, EngineInfo("openai:m", form="line")).rule
    'cases'
    """
    settings = fill_in(choices, engine)
    return msgspec.structs.replace(settings, rule=suited(settings.rule, settings.feedback))
