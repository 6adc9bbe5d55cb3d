"""How a model is asked and how it learns: the one record of settings, and what it takes to fill one in.

`Settings` is the declaration. The names, types, ranges and help of the command line's options, of the library's
keyword arguments and of what ``run.json`` keeps are made from it: to add a setting is to add a field here, and the code
that uses it. What a user wants is a mapping of some of these names to values; `resolve` checks it, and fills in the
rest to suit the engine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UnsuitedModelError, UsageError
from llm_as_rnn.core.knobs import knob, knobs, wanted
from llm_as_rnn.core.records import Form, Layout, Record, Style

FEEDBACK = ("model", "scorecard", "judge")
"""Who can write e_t: a critic who knows the outcome, exact figures by code, or a judge who does not know it."""

AUTO = "auto"
"""In place of a rule or of feedback: what suits the form, and the rule (see `recurrence.rules.suited`)."""

PAPER_BUDGET = 4096
"""Tokens of a memory in the paper (appendix C)."""

LATER = ("chances", "calibrate", "choose", "hide_empty")
"""What runs and learners of earlier versions did not have: off where it is not stored, on where nothing is said."""

SamplingName = Literal["greedy", "paper"]

Shown = Literal["outcomes", "right"]
"""Which past steps are examples: all whose outcome is known, or those that were answered rightly."""


class RoleSampling(Record, frozen=True):
    """Temperature and nucleus of one kind of call."""

    temperature: float = 0.0
    top_p: float = 1.0


class SamplingPreset(Record, frozen=True):
    """Sampling of every kind of call."""

    predict: RoleSampling = RoleSampling()
    reflect: RoleSampling = RoleSampling()
    update: RoleSampling = RoleSampling()
    compress: RoleSampling = RoleSampling()
    summarise: RoleSampling = RoleSampling()
    judge: RoleSampling = RoleSampling()


PRESETS: dict[SamplingName, SamplingPreset] = {
    "greedy": SamplingPreset(),
    "paper": SamplingPreset(
        RoleSampling(0.7, 0.9),
        RoleSampling(0.3),
        RoleSampling(0.5),
        RoleSampling(0.3),
        RoleSampling(0.3),
        RoleSampling(0.3),
    ),
}
"""``greedy`` for runs that can be repeated; ``paper`` is its appendix C, which names none for summaries and judges."""


def feedback_kinds(feedback: str) -> tuple[str, ...]:
    """Split what was asked for: `AUTO`, one kind, or several joined by ``+``.

    Raises
    ------
    UsageError
        If there is no such kind, or one of them stands there twice.

    Examples
    --------
    >>> feedback_kinds("judge+scorecard")
    ('judge', 'scorecard')
    """
    kinds = tuple(feedback.split("+"))
    if (feedback != AUTO and not set(kinds) <= set(FEEDBACK)) or len(set(kinds)) < len(kinds):
        raise UsageError(f"there is no feedback {feedback!r}", f"choose from {', '.join(FEEDBACK)}, or join some by +")
    return kinds


def require_when(when: str) -> None:
    """Refuse an update policy that there is none of.

    Raises
    ------
    UsageError
        With a hint that lists them.
    """
    if when not in ("every", "on_error", "surprise") and not re.fullmatch(r"every:[1-9]\d*", when):
        raise UsageError(f"there is no update policy {when!r}", "choose from every, on_error, surprise, every:K")


LEAST_COVERAGE, MOST_COVERAGE = 0.5, 0.99
"""What intervals and sets may be asked to hold; to tell more than one step in a hundred takes too many steps."""


def require_coverage(share: float) -> None:
    """Refuse a coverage that intervals cannot be held to.

    Raises
    ------
    UsageError
        If it is out of range.
    """
    if not LEAST_COVERAGE <= share <= MOST_COVERAGE:
        raise UsageError(
            f"coverage must lie between {LEAST_COVERAGE:g} and {MOST_COVERAGE:g}, not {share:g}", "correct --coverage"
        )


def require_cost(cost: float) -> None:
    """Refuse a cost of no answer that is not below that of a wrong one.

    Raises
    ------
    UsageError
        If it does not lie between 0 and 1.
    """
    if not 0 < cost < 1:
        raise UsageError(f"abstain_above must lie between 0 and 1, not {cost:g}", "correct --abstain-above")


def require_width(width: float) -> None:
    """Refuse a width that no interval is wider than, or narrower.

    Raises
    ------
    UsageError
        If it is not above 0, or has no end.
    """
    if not 0 < width < math.inf:
        raise UsageError(f"abstain_wider must be above 0, not {width:g}", "correct --abstain-wider")


class Settings(Record, frozen=True):
    """What is the same at every step of a run or stream, for any method.

    The defaults are the paper's; a user who says nothing gets what suits the model instead (see `resolve`).

    Attributes
    ----------
    form, style, layout : str
        How the model is asked (see `records`).
    budget : int
        lambda: the most tokens that a memory may hold.
    window : int
        The engine's context window, in tokens, without what is left to thinking. It is no one's choice.
    feedback : str
        Who writes e_t: ``model`` (the paper's critic), ``scorecard`` (exact figures by code, no call), ``judge`` (an
        open verdict by the task's rubric, without the outcome), several joined by ``+``, or ``auto``: the critic where
        notes are the model's own words, and figures alone elsewhere.
    rule : str
        Who writes the next memory, and how (see `recurrence.rules`).
    when : str
        ``every`` step, ``every:K``, ``on_error`` or ``surprise`` (an error above the upper quartile of the latest).
    allowance : int
        The most tokens that critic and updates may read and write a step on average; 0 for no limit.
    recall : int, optional
        Cases of the memory that are shown once more right before x_t, the most alike last; None for one where notes are
        cases, and else none.
    echo : int
        How often each of these is shown.
    recheck : int
        A candidate must predict so many of the latest steps no worse than the memory that is there; 0 for no check.
    watch : bool
        Whether a lasting fall of the score takes the memory back to its best version.
    shared : int
        The budget of a second memory, of lessons that sequences leave to those after them; 0 for none.
    shots : int
        Past steps that the method ``streaming_icl`` shows as examples; 16 as in its paper.
    shown : str
        Which steps these may be: those whose ``outcomes`` are known, or, as in its paper, those that were answered
        ``right``, which are shown with the answer that was given.
    sampling : str
        Temperatures by kind of call: a name in `PRESETS`.
    seed : int
        Where every call's own seed comes from; a run's sequences are chosen by it as well.
    thinking : int
        Tokens that a reasoning model may take to think, besides its answer and outside of the window.
    chances : bool
        Whether the model is asked how likely it holds each option to be, where its engine tells (see `core.chances`).
    calibrate : bool
        Whether chances that a model told are corrected as outcomes bear them out (see `trust.calibration`); answers
        stay as they are.
    choose : bool
        Whether an option is chosen by the model's chances and the memory's cases together, weighed as outcomes bear
        them out (see `recurrence.choosing`).
    hide_empty : bool
        Whether a prediction is shown only those sections of the memory that say something.
    bare : bool
        Whether advice is also taken of the model without a memory, so that no memory can do lasting harm.
    carry : bool
        Whether methods that go by advice begin each sequence with what earlier ones showed: whom to believe, and how
        far answers can be trusted.
    branches : int
        How many further calls a label may take to tell apart options that begin alike and that the answer did not
        take; 0 to let them share their chance alike.
    draws : int
        How many further answers are drawn at temperature 1, and counted, where chances are wanted and the engine tells
        none; 0 to go without.
    coverage : float
        How often the outcome is to lie in a number's interval, and among a label's set (see `trust.intervals`).
    abstain_above : float, optional
        What no answer costs, where a wrong one costs 1: a label that is likelier to be wrong than that is held back
        (see `trust.abstention`). None for none.
    abstain_wider : float, optional
        Numbers whose interval is wider than that, in their unit, are held back; None for none.
    """

    form: Annotated[Form, knob("Answers as JSON or as one short line.", default="measured best for the model")] = "json"
    style: Annotated[
        Style, knob("Prompts as chat or as one text to go on with.", default="measured best for the model")
    ] = "chat"
    layout: Annotated[
        Layout,
        knob(
            "One growing conversation a step, or the paper's separate prompts.",
            default="separate for answers in lines, else chained",
        ),
    ] = "chained"
    budget: Annotated[
        int, knob("Most tokens of a memory.", least=1, default=f"what suits the model, else {PAPER_BUDGET}")
    ] = PAPER_BUDGET
    window: int = 8192
    feedback: Annotated[
        str,
        knob(
            "Criticism by the model, exact figures by code (scorecard), a judge without the outcome; or several, "
            "joined by +. auto: the model's where notes are in its own words, else figures.",
            default=AUTO,
            check=feedback_kinds,
        ),
    ] = "model"
    rule: Annotated[
        str,
        knob(
            "How the memory is updated.",
            default=f"{AUTO}, which is cases, and rewrite where a judge alone is heard",
        ),
    ] = "rewrite"
    when: Annotated[
        str, knob("When the memory is updated: every step, on_error, surprise, or every:K steps.", check=require_when)
    ] = "every"
    allowance: Annotated[
        int, knob("Most tokens a step that learning may cost on average; 0 for no limit.", least=0)
    ] = 0
    recall: Annotated[
        int | None,
        knob("Cases shown again right before the question.", least=0, default="1 where notes are cases, else 0"),
    ] = None
    echo: Annotated[int, knob("How often each of them is shown.", least=1, default="as suits the model")] = 1
    recheck: Annotated[int, knob("Past steps that a new memory must predict no worse than the old one.", least=0)] = 0
    watch: Annotated[bool, knob("After a lasting fall of the score, go back to the best memory.")] = False
    shared: Annotated[
        int, knob("Tokens of a second memory, of lessons that sequences leave to later ones.", least=0)
    ] = 0
    shots: Annotated[int, knob("Past steps that streaming_icl shows as examples.", least=1)] = 16
    shown: Annotated[
        Shown, knob("Which steps streaming_icl may show: all whose outcome is known, or those answered rightly.")
    ] = "outcomes"
    sampling: Annotated[SamplingName, knob("Temperatures: all 0, or the paper's.")] = "greedy"
    seed: Annotated[int, knob("Seeds every call; in a run it chooses the sequences as well.", least=0)] = 0
    thinking: Annotated[
        int, knob("Tokens that a reasoning model may take to think, besides every answer.", least=0)
    ] = 0
    chances: Annotated[
        bool, knob("Chances of options by the model's own tokens, where its engine tells.", default="on")
    ] = False
    calibrate: Annotated[
        bool, knob("Correct the model's chances as outcomes bear them out; answers stay as they are.", default="on")
    ] = False
    choose: Annotated[
        bool,
        knob(
            "Choose among options by the model's chances and the memory's cases together.",
            default="on; it needs chances, and notes that are cases",
        ),
    ] = False
    hide_empty: Annotated[
        bool, knob("Show a prediction no section of the memory that says nothing yet.", default="on")
    ] = False
    bare: Annotated[
        bool,
        knob("Have `advised` also hear the model without a memory: a call more a step, but where zero_shot runs too."),
    ] = False
    carry: Annotated[
        bool,
        knob(
            "Let methods that go by advice begin each sequence with what earlier ones showed: whom to believe, how far."
        ),
    ] = False
    draws: Annotated[
        int,
        knob("Further answers that are drawn for chances where the engine tells none; each costs a call.", least=0),
    ] = 0
    branches: Annotated[
        int,
        knob("Further calls to tell apart options that begin alike, where the model holds them likely.", least=0),
    ] = 0
    coverage: Annotated[
        float, knob("How often the outcome is to lie in the interval or set of a prediction.", check=require_coverage)
    ] = 0.9
    abstain_above: Annotated[
        float | None,
        knob(
            "Hold a label back that is likelier to be wrong than this cost of no answer (a wrong one costs 1).",
            default="never",
            check=require_cost,
        ),
    ] = None
    abstain_wider: Annotated[
        float | None,
        knob("Hold a number back whose interval is wider than this.", default="never", check=require_width),
    ] = None

    @property
    def preset(self) -> SamplingPreset:
        """The temperatures that ``sampling`` names."""
        return PRESETS[self.sampling]


BETWEEN_SEQUENCES = {"shared": "there is none to share lessons with", "carry": "there is none before it"}
"""Settings for what one sequence leaves to the next: why streams, which are one sequence, have none of it."""


def require_one_sequence(choices: Mapping[str, Any], who: str) -> None:
    """Refuse settings that nobody with a single sequence can heed.

    Raises
    ------
    UsageError
        If one of them is on.

    Examples
    --------
    >>> require_one_sequence({"shared": 0, "carry": True}, "a learner")
    Traceback (most recent call last):
        ...
    llm_as_rnn.core.errors.UsageError: a learner has one sequence: there is none before it (leave carry out)
    """
    for name, why in BETWEEN_SEQUENCES.items():
        if choices[name]:
            raise UsageError(f"{who} has one sequence: {why}", f"leave {name} out")


def require_sound(settings: Settings) -> Settings:
    """Refuse settings that nothing could be run with, wherever they come from; give them back.

    Raises
    ------
    UsageError
        Naming the first that does not fit.
    """
    for name, declared in knobs(Settings).items():
        value = getattr(settings, name)
        if value is not None:
            declared.read(value)
    return settings


def resolve(choices: Mapping[str, Any], engine: EngineInfo) -> Settings:
    """Fill in what a user left open, to suit the engine.

    Parameters
    ----------
    choices : mapping
        Values of some of the knobs of `Settings`, by name; None counts as left open.
    engine : EngineInfo
        Who is to answer; it must be open, for only then it says all.

    Returns
    -------
    Settings
        The rule and the feedback may still be `AUTO`: these depend on the rules there are (see
        `catalogue.resolve`).

    Raises
    ------
    UsageError
        If there is no such setting, or a value does not fit.
    UnsuitedModelError
        If the engine cannot do it: its context window has no room for the budget, say.

    Examples
    --------
    >>> resolve({"budget": 256}, EngineInfo("openai:m", form="line")).layout
    'separate'
    """
    asked = wanted(choices, Settings)
    window = _window(engine, asked["thinking"])
    form = asked["form"] or engine.form
    filled = {
        "form": form,
        "style": _style(asked["style"], engine),
        "layout": asked["layout"] or suited_layout(form),
        "budget": _budget(asked["budget"], engine, window),
        "feedback": asked["feedback"] or AUTO,
        "rule": asked["rule"] or AUTO,
        "echo": asked["echo"] or engine.echo,
        **{name: asked[name] is not False for name in LATER},
    }
    return require_sound(Settings(**{**asked, **filled, "window": window}))


def suited_layout(form: Form) -> Layout:
    """Give the layout that suits a form.

    In line form the prompts for critic and memory show how it is done, and stand alone: small models write better so
    (docs/results/memory.md).
    """
    return "separate" if form == "line" else "chained"


def largest_budget(window: int) -> int:
    """Give the largest memory that a context window has room for.

    An update reads the old memory and writes the new one, with a quarter more for headings and slips; about a
    thousand tokens go to instructions, observation, outcome and critique.
    """
    return max(1, (window - 1024) * 4 // 9)


def _window(engine: EngineInfo, thinking: int) -> int:
    """Leave room in an engine's context window for a reasoning model to think."""
    window = engine.context_window - thinking
    if window < 1:
        raise UnsuitedModelError(
            f"{thinking} tokens of thinking do not fit into a context window of {engine.context_window}",
            "allow fewer, or use a larger context",
        )
    return window


def _budget(asked: int | None, engine: EngineInfo, window: int) -> int:
    most = largest_budget(window)
    if asked is not None and asked > most:
        raise UnsuitedModelError(
            f"a budget of {asked} tokens needs a larger context window than {window} tokens",
            f"use a budget of {most} or less, or a larger context",
        )
    return min(engine.budget or PAPER_BUDGET, most) if asked is None else asked


def _style(asked: Style | None, engine: EngineInfo) -> Style:
    if asked == "chat" and not engine.chats:
        raise UnsuitedModelError(
            f"{engine.model} is a base model: it has no chat template", "leave the style out, or use completion"
        )
    return asked or engine.style


def knows_outcomes(feedback: str) -> bool:
    """Tell whether feedback compares with outcomes; a judge alone is shown none, even where they are known.

    >>> knows_outcomes("judge"), knows_outcomes("judge+scorecard")
    (False, True)
    """
    return feedback != "judge"
