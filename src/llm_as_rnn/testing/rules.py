"""What every update rule has to do: what a method has to do that updates its memory by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Feedback
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence import rules
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.recurrence.guard import flaw_of
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Proposal, Rule, Traits
from llm_as_rnn.recurrence.writing import Step
from llm_as_rnn.testing.checks import check_method
from llm_as_rnn.testing.stage import ContractError, require


def check_rule(rule: rules.RuleType, *, settings: Settings | None = None) -> None:
    """Check that an update rule does all that a rule has to do.

    The recurrent method with that rule goes through every check of methods: what the rule proposes keeps to the budget,
    to the task's sections and to what is pinned, whatever a model writes and whenever outcomes come.

    Parameters
    ----------
    rule : type
        The rule's class.
    settings : Settings, optional
        How the model is asked; by default in both forms of answers.

    Raises
    ------
    ContractError
        At the first check that fails.

    Examples
    --------
    >>> from llm_as_rnn.recurrence.rules.nothing import Nothing
    >>> check_rule(Nothing, settings=Settings(budget=80))
    """
    name = getattr(rule, "name", None)
    require(isinstance(name, str), "a name", name)
    traits = getattr(rule, "traits", None)
    require(isinstance(traits, Traits), "traits to be a Traits", traits)
    require(callable(getattr(rule, "propose", None)), "a method propose", rule)
    with _known(rule):

        def build(task: Task, ways: Settings, prompts: Prompts) -> Recurrent:
            method = Recurrent(task, ways, prompts, rule.name)
            method.rule = _Looked(method.rule)
            return method

        check_method(build, settings=settings)


class _Looked:
    """Raises where a rule proposes what is no memory; in a run, the memory would stay as it was at every such step."""

    def __init__(self, rule: Rule) -> None:
        self.name, self.traits = rule.name, rule.traits
        self._rule = rule

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Propose what the rule does."""
        proposal = yield from self._rule.propose(step, feedback, ledger)
        flaw = "" if proposal.sections is None else flaw_of(step.memory, proposal.sections)
        require(not flaw, "a rule to propose the task's sections, with notes of one line", flaw)
        return proposal


@contextmanager
def _known(rule: rules.RuleType) -> Iterator[None]:
    """Make a rule known by its name for a while, unless it is known already."""
    if rule.name in rules.RULES:
        require(rules.RULES[rule.name] is rule, f"a name that no other rule has, as {rule.name} is taken", rule)
        yield
        return
    before = rules.registered(rule.name)
    try:
        rules.register(rule)
    except UsageError as error:
        raise ContractError(f"expected a rule that can be registered; seen: {error}") from error
    try:
        yield
    finally:
        rules.forget(rule.name)
        if before is not None:
            rules.register(before)
