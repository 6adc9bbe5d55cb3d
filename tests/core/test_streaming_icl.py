"""Self-StreamICL: which past steps are shown as examples, in which order, and what goes when the window is full."""

from __future__ import annotations

from typing import Any

import pytest

from llm_as_rnn.baselines.window import MARGIN
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.records import Observation, SequenceInfo, Target
from llm_as_rnn.core.task import MemorySection, Task
from tests.core.stage import sky_task
from tests.helpers import bare, by_hand, count, listening

SEEN = ("alpha bravo one", "kilo lima two", "alpha bravo three", "xray yankee", "alpha bravo four", "kilo lima five")
SKIES = ("sun", "rain", "fog", "sun", "rain", "fog")


class Life:
    """A stream of one method: steps are met, and the lines of the latest prompt are read."""

    def __init__(self, task: Task | None = None, **settings: Any) -> None:
        settings = {"form": "line", "style": "completion", **settings}
        self.method = bare("streaming_icl", task or sky_task(), **settings)
        self.state = self.method.start(SequenceInfo("s"))
        self.log: list[Request] = []
        self.prediction: Any = None
        self.update: Any = None

    def ask(self, t: int, seen: str, said: str = " sun") -> Life:
        answer, log = listening(lambda _: said)
        self.observation = Observation("s", t, {"seen": seen})
        self.prediction = by_hand(self.method.predict(self.state, self.observation), answer)
        self.log = log
        return self

    def tell(self, target: Target | None) -> Life:
        learned = by_hand(self.method.learn(self.state, self.observation, self.prediction, target), lambda _: "")
        self.state, self.update = learned.state, learned.update
        return self

    def lived(self) -> Life:
        for t, (seen, sky) in enumerate(zip(SEEN, SKIES, strict=True)):
            self.ask(t, seen).tell({"sky": sky})
        return self

    @property
    def examples(self) -> list[str]:
        """The examples of the latest prompt; the question itself ends it."""
        *examples, question = self.log[0].messages[-1].content.splitlines()
        assert question.endswith(" ->")
        return examples


def test_the_most_similar_stand_last_and_no_more_than_are_asked_for() -> None:
    life = Life(shots=3).lived().ask(6, "alpha bravo three")
    assert life.examples[-1] == "alpha bravo three -> fog"
    assert set(life.examples[:-1]) == {"alpha bravo one -> sun", "alpha bravo four -> rain"}
    assert Life(shots=1).lived().ask(6, "kilo lima two").examples == ["kilo lima two -> rain"]


def test_it_is_looked_for_among_all_past_steps() -> None:
    life = Life(shots=1).ask(0, "the very first one").tell({"sky": "fog"})
    for t in range(1, 60):
        life.ask(t, f"mark{t} stone{t} tree{t}").tell({"sky": "sun"})
    assert life.ask(60, "the very first two").examples == ["the very first one -> fog"]


def test_the_latest_of_the_others_stand_first_where_few_are_alike() -> None:
    life = Life(shots=4).lived().ask(6, "xray yankee")
    assert life.examples[-1] == "xray yankee -> sun"
    assert life.examples[:-1] == ["alpha bravo three -> fog", "alpha bravo four -> rain", "kilo lima five -> fog"]


def test_sixteen_are_shown_where_nobody_says_how_many() -> None:
    life = Life()
    for t in range(20):
        life.ask(t, f"alpha bravo {t}").tell({"sky": "sun"})
    assert len(life.ask(20, "alpha bravo 3").examples) == 16


def test_outcomes_that_come_late_find_their_place() -> None:
    one, other = Life(), Life()
    made = [one.ask(t, seen).prediction for t, seen in enumerate(SEEN)]
    for t in (3, 0, 5, 1, 4, 2):
        one.observation, one.prediction = Observation("s", t, {"seen": SEEN[t]}), made[t]
        one.tell({"sky": SKIES[t]})
    assert one.state == other.lived().state


def test_as_in_the_paper_only_what_was_answered_rightly_is_an_example() -> None:
    life = Life(shown="right")
    life.ask(0, "alpha bravo one", " fog").tell({"sky": "sun"})
    assert (life.update.outcome, life.update.code) == ("skipped", "wrong")
    life.ask(1, "alpha bravo two", "no answer").tell({"sky": "sun"})
    assert life.update.code == "wrong"
    life.ask(2, "alpha bravo three", " rain").tell({"sky": "rain"})
    assert life.update.outcome == "accepted"
    assert life.ask(3, "alpha bravo four").examples == ["alpha bravo three -> rain"]
    told = Life(shown="outcomes").ask(0, "alpha bravo one", " fog").tell({"sky": "sun"})
    assert told.ask(1, "alpha bravo two").examples == ["alpha bravo one -> sun"]


def test_a_right_number_is_shown_as_it_was_answered() -> None:
    high = Number("high", low=0, high=40)
    task = Task("h", "H", "Say it.", "{{ seen }}", "{{ seen }}", (high,), (MemorySection("Notes", "anything"),))
    life = Life(task, shown="right").ask(0, "alpha bravo", " 21.0").tell({"high": 20.0})
    assert life.ask(1, "alpha bravo").examples == ["alpha bravo -> 21.0"]
    life.ask(2, "kilo lima", " 30.0").tell({"high": 20.0})
    assert life.update.code == "wrong"


def test_without_an_outcome_there_is_no_example() -> None:
    life = Life().ask(0, "alpha bravo").tell(None)
    assert (life.update.outcome, life.update.code) == ("skipped", "no outcome")
    assert life.ask(1, "alpha bravo").examples == []


@pytest.mark.parametrize("form", ["line", "json"])
def test_the_least_similar_go_first_when_the_window_is_full(form: Any) -> None:
    wide = Life(form=form).lived().ask(6, "alpha bravo three")
    whole = wide.log[0].messages[-1].content
    for window in range(150, 420, 9):
        life = Life(form=form, window=window).lived().ask(6, "alpha bravo three")
        content = life.log[0].messages[-1].content
        shown = [seen for seen in SEEN if f"{seen} ->" in content or f"{seen}\nWhat came" in content]
        dropped = len(SEEN) - len(shown)
        assert whole.endswith(content)
        assert bool(life.prediction.notes) == (dropped > 0)
        tokens = count("\n\n".join(message.content for message in life.log[0].messages))
        assert tokens + life.log[0].sampling.max_tokens + MARGIN <= window or not shown
        if dropped:
            note = f"the least similar {dropped} of 6 entries were dropped: the context window is full"
            assert life.prediction.notes == (note,)
