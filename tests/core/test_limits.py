"""What a stream keeps is bounded, and what goes beyond a bound is named: nothing is dropped in silence."""

from __future__ import annotations

import warnings
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.errors import GivenUpWarning, UsageError
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.records import SequenceInfo, Value
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.online import Stream, ask, begin, given_up_since, revive, tell, was_learned
from llm_as_rnn.streams.replaying import CHECKPOINT, Id, Lesson, Waiting
from llm_as_rnn.streams.settings import LIMITS, Limits
from tests.core.test_learner import engine
from tests.core.test_online import SEQUENCE, TASK, answer, method
from tests.helpers import Answer, by_hand, listening, make

FIELDS = SEQUENCE.steps[0].observation.fields
OUTCOME: dict[str, Value] = {"sky": "sun", "high": 9.5}


class Live:
    """A stream with a cheap method, predicted and told step by step."""

    def __init__(self, limits: Limits = LIMITS, chosen: Method | None = None, policy: Any = "replay") -> None:
        self.method = chosen or make("repeat_last", TASK)
        self.limits = limits
        self.policy = policy
        self.stream: Stream = begin(self.method, SequenceInfo("s"))

    def ask(self, name: Id | None = None, high: float = 1.0) -> Waiting:
        calls = ask(self.method, self.stream, "s", {**FIELDS, "high": high}, name, self.limits)
        self.stream, waiting = by_hand(calls, answer)
        return waiting

    def tell(self, name: Id, answerer: Answer = answer) -> Any:
        told = by_hand(tell(self.method, self.stream, name, OUTCOME, self.policy, self.limits), answerer)
        self.stream = told.stream
        return told


def test_what_is_waited_for_is_bounded_and_what_is_given_up_is_named() -> None:
    live = Live(Limits(max_waiting=3))
    for name in ("a", "b", "c"):
        live.ask(name)
    before = live.stream
    assert (before.given_up, before.abandoned) == ((), 0)
    live.ask("d")
    live.ask(7)
    assert given_up_since(before, live.stream) == ("a", "b")
    assert (live.stream.abandoned, [waiting.id for waiting in live.stream.waiting]) == (2, ["c", "d", 7])
    with pytest.raises(UsageError, match=r"the prediction 'a' was given up, because too many waited \(.*max_waiting"):
        live.tell("a")
    assert revive(live.method, msgspec.json.encode(live.stream)) == live.stream
    live.ask("a")  # which makes it anew
    assert live.tell("a").fate == "learned"


def test_the_usual_limit_holds_a_thousand() -> None:
    live = Live()
    for t in range(LIMITS.max_waiting):
        live.ask(t)
    assert (len(live.stream.waiting), live.stream.abandoned) == (1000, 0)
    live.ask("one more")
    assert live.stream.given_up == (0,)


def test_ids_are_remembered_and_when_they_begin_to_be_forgotten_it_is_known() -> None:
    live = Live(Limits(remember=4))
    for name in range(4):
        live.ask(name)
        live.tell(name)
    assert (live.stream.forgotten, was_learned(live.stream, 0)) == (0, True)
    live.ask(4)
    live.tell(4)
    assert (live.stream.forgotten, was_learned(live.stream, 0), live.tell(1).fate) == (1, False, "duplicate")


def test_an_automatic_id_is_known_as_used_whatever_was_forgotten() -> None:
    live = Live(Limits(remember=2))
    names = [live.ask().id for _ in range(6)]
    assert names == ["#0", "#1", "#2", "#3", "#4", "#5"]
    for name in names[:5]:
        assert live.tell(name).fate == "learned"
    assert (live.stream.learned, live.stream.forgotten) == (("#3", "#4"), 3)
    assert live.tell("#0").fate == "duplicate"
    with pytest.raises(UsageError, match="the outcome of '#1' has been learned"):
        live.ask("#1")
    with pytest.raises(UsageError, match="no prediction waits under the id '#6'"):
        live.tell("#6")
    assert live.tell("#5").fate == "learned"


def test_automatic_ids_cannot_be_taken_for_a_users() -> None:
    live = Live()
    assert [live.ask("1").id, live.ask(1, 2.0).id, live.ask(None, 3.0).id] == ["1", 1, "#2"]
    with pytest.raises(UsageError, match=r"'#3' looks like an automatic id, and no such prediction waits"):
        live.ask("#3")
    assert live.ask("#2", 3.0) == live.stream.waiting[2], "sent again, it is the same prediction"
    live.tell("#2")
    with pytest.raises(UsageError, match="has been learned"):
        live.ask("#2", 3.0)
    assert live.ask("#x").id == "#x"


def test_ids_are_given_back_as_they_were_given() -> None:
    live = Live(policy="apply")
    text, number = live.ask("7", 1.0), live.ask(7, 2.0)
    assert (text.id, number.id, len(live.stream.waiting)) == ("7", 7, 2)
    live.stream = revive(live.method, msgspec.json.encode(live.stream))
    assert live.tell(7).waiting.observation.fields["high"] == 2.0
    assert (live.stream.learned, [waiting.id for waiting in live.stream.waiting]) == ((7,), ["7"])
    with pytest.raises(UsageError, match=r"no prediction waits under the id 8 \(predict first"):
        live.tell(8)
    assert (live.tell(7).fate, live.tell("7").fate, live.stream.learned) == ("duplicate", "learned", (7, "7"))


def test_versions_are_kept_up_to_the_limit() -> None:
    live = Live(Limits(keep_versions=3), method("recurrent"))
    for t in range(6):
        live.tell(live.ask(t, float(t)).id)
    assert [version.memory.version for version in live.stream.versions] == [4, 5, 6]


class TestReplay:
    """Going back for an outcome that came late."""

    def late(self, lessons: int, limit: int, name: str = "recurrent") -> Live:
        """Learn many outcomes while the first one is missing."""
        live = Live(Limits(replay_limit=limit), method(name))
        for t in range(lessons + 1):
            live.ask(t, float(t))
        for t in range(1, lessons + 1):
            live.tell(t)
        return live

    def test_keeps_one_state_in_sixteen(self) -> None:
        live = self.late(40, 100)
        kept = [place for place, lesson in enumerate(live.stream.lessons) if lesson.before is not None]
        assert kept == [0, CHECKPOINT, 2 * CHECKPOINT]
        dear = [Lesson(lesson.waiting, lesson.target, live.stream.state) for lesson in live.stream.lessons]
        assert len(msgspec.json.encode(live.stream.lessons)) < len(msgspec.json.encode(dear)) / 2

    def test_asks_nothing_for_the_way_from_a_checkpoint(self) -> None:
        live = Live(Limits(replay_limit=100), method())
        for t in range(40):
            live.ask(t, float(t))
        for t in range(40):
            if t not in (0, 30):
                live.tell(t)
        answerer, log = listening(answer)
        told = live.tell(30, answerer)
        assert told.again == 9
        assert [request.role for request in log] == ["reflect", "update"] * 10
        straight = self.straight(live.method, [t for t in range(40) if t])
        assert told.stream.state == straight

    def straight(self, chosen: Method, order: list[int]) -> Any:
        live = Live(LIMITS, chosen)
        for t in range(40):
            live.ask(t, float(t))
        for t in order:
            live.tell(t)
        return live.stream.state

    def test_goes_back_up_to_the_limit(self) -> None:
        live = self.late(20, 20)
        told = live.tell(0)
        assert (told.again, told.note) == (20, "")
        assert live.stream.lessons == ()

    @pytest.mark.parametrize("name", ["recurrent", "full_history"])
    def test_beyond_the_limit_it_applies_and_says_so(self, name: str) -> None:
        live = self.late(60, 20, name)
        assert 20 <= len(live.stream.lessons) < 20 + CHECKPOINT
        answerer, log = listening(answer)
        told = live.tell(0, answerer)
        assert (told.fate, told.again) == ("learned", 0)
        assert told.note.startswith("applied to the present memory and not in its place")
        assert "the replay limit of 20" in told.note
        assert len(log) == (2 if name == "recurrent" else 0)

    def test_what_was_applied_is_learned_again_in_its_turn(self) -> None:
        """A later replay must not lose what an outcome beyond the limit taught."""
        live = Live(Limits(replay_limit=2), method("full_history"))
        for t in range(8):
            live.ask(t, float(t))
        for t in (2, 3, 4, 5, 7, 0, 6, 1):
            live.tell(t)
            live.stream = revive(live.method, msgspec.json.encode(live.stream))
        shown = [float(entry.partition(", high ")[2].partition(",")[0]) for entry in live.stream.state.own.past]
        assert sorted(shown) == [0, 1, 2, 3, 4, 5, 6, 7]

    def test_a_limit_that_is_raised_later_brings_nothing_back(self) -> None:
        """What came before the lessons that are left is gone, so that the outcome has no place among them."""
        live = self.late(60, 20)
        live.limits = LIMITS
        told = live.tell(0)
        assert (told.again, "not in its place" in told.note) == (0, True)

    def test_a_stream_with_one_outcome_missing_stays_small(self) -> None:
        sizes = [len(msgspec.json.encode(self.late(lessons, 16).stream.lessons)) for lessons in (60, 120)]
        assert sizes[1] < sizes[0] * 1.5

    def test_lessons_of_today_that_each_hold_a_state_are_read_and_gone_back_to(self) -> None:
        live = self.late(5, 100)
        plain = msgspec.json.decode(msgspec.json.encode(live.stream))
        state = begin(live.method, SequenceInfo("s")).state
        for lesson in plain["lessons"]:
            del lesson["said"]
            lesson["before"] = msgspec.to_builtins(state)
        for new in ("given_up", "abandoned", "forgotten", "floor"):
            del plain[new]
        live.stream = revive(live.method, msgspec.json.encode(plain))
        assert live.tell(0).again == 5


class TestLearner:
    """The same limits where a user meets them."""

    def test_warns_and_names_what_it_gives_up(self) -> None:
        with Learner("weather", method="repeat_last", engine=engine(), max_waiting=2) as learner:
            learner.predict_one(FIELDS, "a")
            learner.predict_one(FIELDS, 2)
            with pytest.warns(GivenUpWarning, match="given up: 'a', because more than 2 predictions wait") as caught:
                learner.predict_one(FIELDS)
            assert caught[0].filename == __file__
            assert (learner.stream.abandoned, learner.stream.given_up) == (1, ("a",))
            with pytest.raises(UsageError, match="'a' was given up"):
                learner.learn_one("a", OUTCOME)

    def test_says_once_that_ids_begin_to_be_forgotten(self, days: list[Sequence]) -> None:
        with Learner("weather", method="repeat_last", engine=engine(), remember=1) as learner:
            learner.learn_one(learner.predict_one(FIELDS).id, OUTCOME)
            with pytest.warns(GivenUpWarning, match="forgotten 1 outcomes after"):
                learner.learn_one(learner.predict_one(FIELDS).id, OUTCOME)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                learner.learn_one(learner.predict_one(FIELDS).id, OUTCOME)

    @pytest.mark.parametrize("name", Limits.__struct_fields__)
    def test_refuses_a_limit_below_one(self, name: str) -> None:
        with pytest.raises(UsageError, match=name):
            Learner("weather", method="repeat_last", engine=engine(), **{name: 0})
