"""When the memory is updated: policies over a sequence of errors, and what learning may cost."""

from __future__ import annotations

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import Text
from llm_as_rnn.core.method import Calls, count_tokens
from llm_as_rnn.core.records import Target
from llm_as_rnn.core.settings import require_when
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.recurrence.policy import FEW, REMEMBERED, Past, error_of, metered, why_not
from tests.core.stage import Stage
from tests.helpers import by_hand

ERRORS = [0.0, 0.2, 0.0, 1.0, 0.1, 0.2, 0.9, 0.0]


def learned(when: str, errors: list[float], allowance: int = 0, cost: int = 0) -> list[int]:
    """Say at which steps a policy learns, where learning from a step has a cost."""
    past, chosen = Past(), []
    for t, error in enumerate(errors):
        why = why_not(when, allowance, past, error)
        past = past.after(error)
        if not why:
            chosen.append(t)
            past = msgspec.structs.replace(past, spent=past.spent + cost)
    return chosen


@pytest.mark.parametrize(
    ("when", "steps"),
    [
        ("every", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("every:1", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("every:3", [0, 3, 6]),
        ("on_error", [1, 3, 4, 5, 6]),
    ],
)
def test_a_policy_chooses_its_steps(when: str, steps: list[int]) -> None:
    assert learned(when, ERRORS) == steps


def test_a_surprise_is_an_error_above_the_usual() -> None:
    assert learned("surprise", [0.5] * FEW) == list(range(FEW))  # nothing is usual yet
    assert learned("surprise", [0.5] * 40 + [0.5, 0.4, 0.6, 0.0])[FEW:] == [42]
    assert learned("surprise", [0.0] * 40 + [0.1]) == [40]


def test_an_answer_all_wrong_is_always_a_surprise_and_a_right_one_never() -> None:
    assert learned("surprise", [1.0] * 50) == list(range(50))
    assert learned("surprise", [0.0] * 50) == []


def test_a_change_stops_being_a_surprise() -> None:
    errors = [0.1] * REMEMBERED + [0.5] * REMEMBERED
    chosen = learned("surprise", errors)[FEW:]
    assert chosen[0] == REMEMBERED
    assert chosen[-1] < len(errors) - 1


@pytest.mark.parametrize("allowance", [1, 10, 25, 99])
@pytest.mark.parametrize("when", ["every", "on_error"])
def test_an_allowance_is_an_average_over_all_steps(when: str, allowance: int) -> None:
    for steps in range(1, 60):
        spent = 100 * len(learned(when, [1.0] * steps, allowance, cost=100))
        assert spent <= allowance * (steps - 1) + 100  # the last one may use up what was saved
    assert spent >= allowance * (steps - 1) - 100  # and it is used


def test_without_an_allowance_nothing_is_held_back() -> None:
    assert len(learned("every", [1.0] * 20, 0, cost=10**6)) == 20


def test_only_the_latest_errors_are_remembered() -> None:
    past = Past(spent=3)
    for step in range(REMEMBERED + 5):
        past = past.after(float(step))
    assert past.errors == tuple(map(float, range(5, REMEMBERED + 5)))
    assert (past.steps, past.spent) == (REMEMBERED + 5, 3)


@pytest.mark.parametrize("when", ["", "never", "every:0", "every:-1", "every:", "every:2.5", "Every", "every:2\n"])
def test_an_unknown_policy_is_refused(when: str) -> None:
    with pytest.raises(UsageError, match="no update policy"):
        require_when(when)


def test_errors_by_hand(weather: Task) -> None:
    outcome: Target = {"sky": "rain", "high": 10.0}
    assert error_of(weather, {"sky": "Rain", "high": 10.0}, outcome) == 0.0
    assert error_of(weather, {"sky": "sun", "high": 10.0}, outcome) == 0.5
    assert error_of(weather, {"sky": "rain", "high": 16.5}, outcome) == pytest.approx(0.05)  # 6.5 of 65, in one of two
    assert error_of(weather, None, outcome) == 1.0
    assert error_of(weather, {"sky": "sun", "high": 10.0}, {"high": 10.0}) == 0.0
    assert error_of(weather, None, {}) == 0.0


def test_a_text_is_the_less_wrong_the_more_of_the_outcomes_words_it_has() -> None:
    task = msgspec.structs.replace(load_task("weather"), answer=(Text("words"),))
    outcome = {"words": "Rain all day, a high of 9"}
    errors = [
        error_of(task, {"words": said}, outcome)
        for said in ("rain all day, a high of 9", "Rain all day, a high of 8", "sun")
    ]
    assert errors[0] == 0.0 < errors[1] < errors[2] == 1.0


def test_metered_counts_what_is_read_and_written_but_no_counting() -> None:
    def calls() -> Calls[str]:
        yield Request("update", ())
        yield from count_tokens("word " * 100)
        last = yield Request("compress", ())
        return last.text

    answer = Completion("done", prompt_tokens=7, completion_tokens=5)
    assert by_hand(metered(calls()), lambda _: answer) == ("done", 24)


def test_metered_closes_what_it_runs() -> None:
    closed = []

    def calls() -> Calls[None]:
        try:
            yield Request("update", ())
        finally:
            closed.append(True)

    running = metered(calls())
    next(running)
    running.close()
    assert closed == [True]


# ----------------------------------------------------------------------------------------------------- in the journal


@pytest.mark.parametrize(
    ("when", "allowance", "reason"),
    [
        ("every:2", 0, "every: not this step, with every:2"),
        ("on_error", 0, "on_error: the answer was right"),
        ("surprise", 0, "surprise: an error of 0.00 is usual, up to 0.00"),
        ("every", 5, "allowance: 30 tokens spent in 1 steps"),
    ],
)
def test_a_skipped_step_says_why_and_is_counted(when: str, allowance: int, reason: str) -> None:
    def answer(request: Request) -> Completion:
        return Completion(f"## Notes\n- alpha bravo -> {'sun'}", prompt_tokens=20, completion_tokens=10)

    stage = Stage("rewrite", answer, when=when, allowance=allowance)
    assert stage.meet("alpha bravo", "sun").update.outcome == "accepted"
    before = len(stage.log)
    update = stage.meet("alpha bravo", "sun", right=True).update
    assert (update.outcome, update.reason) == ("skipped", reason)
    assert len(stage.log) == before
    assert stage.state.scorecard["sky"].steps == 2
    assert stage.state.ledger["alpha bravo -> sun"].helped == 1
    assert stage.state.past.errors == (1.0, 0.0)
    assert (stage.state.past.steps, stage.state.past.spent) == (2, 30)


def test_the_critic_is_paid_from_the_allowance_too() -> None:
    def answer(request: Request) -> Completion:
        texts = {"reflect": "correct: no\nmissed: a\nwhy: b\nsuggestion: c", "update": "## Notes\n- a"}
        return Completion(texts[request.role], prompt_tokens=20, completion_tokens=10)

    stage = Stage("rewrite", answer, feedback="model")
    stage.meet("alpha", "sun")
    assert (stage.roles, stage.state.past.spent) == (["reflect", "update"], 60)
