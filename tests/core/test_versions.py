"""Every version of a memory stays readable, and can be gone back to."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls, Learned, at_once
from llm_as_rnn.core.records import Memory, Observation, Section, SequenceInfo, Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.recurrence.memory import telling
from llm_as_rnn.runs.versions import versions
from llm_as_rnn.streams.learner import AsyncLearner, Learner
from llm_as_rnn.streams.online import Stream, Version, begin, revive
from llm_as_rnn.streams.settings import LIMITS, Policy
from llm_as_rnn.streams.tending import pick, restore
from tests.core.test_online import SEQUENCE, answer, asked, method, told
from tests.helpers import by_hand, listening

INFO = EngineInfo("scripted:test", form="line", style="completion")


def learner(answerer: Any = answer, **options: Any) -> Learner:
    return Learner("weather", engine=ScriptedEngine(answerer, INFO), **{"budget": 100, **options})


def learn(one: Learner, sequence: Sequence, steps: slice) -> None:
    for step in sequence.steps[steps]:
        assert step.target is not None
        assert one.learn_one(one.predict_one(step.observation.fields).id, step.target).fate == "learned"


def numbers(history: tuple[Version, ...]) -> list[int]:
    return [version.memory.version for version in history]


def kept(state: Any, *_: Any) -> Calls[Learned]:
    """Stand in for `Method.learn` where an update does not come about."""
    return at_once(Learned(state, Update("kept", "unchanged")))


def text(number: int, tokens: int | None = None) -> Memory:
    return Memory((Section("Patterns", (f"seen {number}",)),), number, tokens)


def test_a_learner_keeps_what_its_memory_was(tmp_path: Path, days: list[Sequence]) -> None:
    with learner() as one:
        memories = [one.memory]
        for t in range(3):
            learn(one, days[0], slice(t, t + 1))
            memories.append(one.memory)
        assert [version.memory for version in one.versions] == memories
        assert [version.t for version in one.versions] == [None, 0, 1, 2]
        assert numbers(one.versions) == [0, 1, 2, 3]
        one.save(tmp_path / "learner.json")
        kept = one.versions
    with Learner.load(tmp_path / "learner.json", engine=ScriptedEngine(answer, INFO)) as two:
        assert two.versions == kept
        learn(two, days[0], slice(3, 4))
        assert two.versions[:-1] == kept


def test_what_left_the_memory_as_it_was_is_no_version(days: list[Sequence], monkeypatch: pytest.MonkeyPatch) -> None:
    with learner() as one:
        learn(one, days[0], slice(0, 1))
        monkeypatch.setattr(one.method, "learn", kept)
        learn(one, days[0], slice(1, 3))
        assert numbers(one.versions) == [0, 1]


def test_a_file_from_before_versions_were_kept_goes_on(tmp_path: Path, days: list[Sequence]) -> None:
    path = tmp_path / "learner.json"
    with learner() as one:
        learn(one, days[0], slice(0, 2))
        one.save(path)
        memory = one.memory
    plain = msgspec.json.decode(path.read_bytes())
    del plain["stream"]["versions"], plain["check"]
    plain["format"], plain["stream"]["state"] = 1, plain["stream"]["state"]["own"]
    path.write_bytes(msgspec.json.encode(plain))
    with Learner.load(path, engine=ScriptedEngine(answer, INFO)) as two:
        assert two.memory is not None
        assert [version.memory for version in two.versions] == [memory]
        learn(two, days[0], slice(2, 3))
        two.restore(2)
        assert str(two.memory) == str(memory)


def test_a_restored_text_is_what_the_next_prediction_sees(tmp_path: Path, days: list[Sequence]) -> None:
    answerer, log = listening(answer)
    with learner(answerer) as one:
        learn(one, days[0], slice(0, 3))
        waiting = one.predict_one(days[0].steps[3].observation.fields)
        first, last = one.versions[1].memory, one.versions[3].memory
        before, tallies = one.versions, one.stream.state.own.states[0].own.scorecard
        restored = one.restore(1)
        assert (restored.version, restored.sections, restored.tokens) == (4, first.sections, first.tokens)
        assert one.memory == restored
        assert one.versions == (*before, Version(restored, None, "version 1 restored"))
        assert one.waiting == (waiting,)
        assert one.stream.state.own.states[0].own.scorecard == tallies
        one.save(tmp_path / "learner.json")
    with Learner.load(tmp_path / "learner.json", engine=ScriptedEngine(answerer, INFO)) as two:
        log.clear()
        two.predict_one(days[0].steps[4].observation.fields)
        assert str(telling(first, two.task)) in log[0].prompt
        assert str(telling(last, two.task)) not in log[0].prompt
        target = days[0].steps[3].target
        assert target is not None
        assert two.learn_one(waiting.id, target).fate == "learned"
        assert two.memory is not None
        assert (two.memory.version, numbers(two.versions)) == (5, [0, 1, 2, 3, 4, 5])


def test_the_async_learner_restores_between_its_calls(days: list[Sequence]) -> None:
    """A prediction that is under way when somebody restores must not undo it."""

    class Slow(ScriptedEngine):
        async def complete(self, request: Request) -> Completion:
            await asyncio.sleep(0)  # lets others run, as a real engine does
            return await super().complete(request)

    async def stream() -> tuple[Memory | None, Memory, int]:
        async with AsyncLearner("weather", engine=Slow(answer, INFO), budget=100) as one:
            step = days[0].steps[0]
            assert step.target is not None
            await one.learn_one((await one.predict_one(step.observation.fields)).id, step.target)
            _, restored = await asyncio.gather(one.predict_one(step.observation.fields), one.restore(0))
            return one.memory, restored, len(one.waiting)

    memory, restored, waiting = asyncio.run(stream())
    assert memory == restored
    assert (restored.version, waiting) == (2, 1)


def test_a_restoration_waits_for_a_call_under_way(days: list[Sequence]) -> None:
    asked_for, go_on = threading.Event(), threading.Event()

    def slow(request: Request) -> Completion | str:
        asked_for.set()
        assert go_on.wait(10)
        return answer(request)

    with learner(slow) as one:
        calls = threading.Thread(target=one.predict_one, args=(days[0].steps[0].observation.fields,))
        calls.start()
        assert asked_for.wait(10)
        restoring = threading.Thread(target=one.restore, args=(0,))
        restoring.start()
        restoring.join(0.05)
        early = numbers(one.versions)
        go_on.set()
        calls.join()
        restoring.join()
        assert (early, numbers(one.versions), len(one.waiting)) == ([0], [0, 1], 1)


def test_what_cannot_be_restored_is_refused_and_changes_nothing(tmp_path: Path, days: list[Sequence]) -> None:
    with learner() as one:
        learn(one, days[0], slice(0, 2))
        stream = one.stream
        with pytest.raises(UsageError, match=r"no version 7 .*there are 0 to 2"):
            one.restore(7)
        assert one.stream == stream
        one.save(tmp_path / "learner.json")
        small = min(version.memory.tokens or 99 for version in one.versions) - 1
    with Learner.load(tmp_path / "learner.json", engine=ScriptedEngine(answer, INFO)) as two:
        two._settings = msgspec.structs.replace(two._settings, budget=small)
        with pytest.raises(UsageError, match=f"more than the budget of {small}"):
            two.restore(2)
    with learner(method="zero_shot") as three:
        assert three.versions == ()
        with pytest.raises(UsageError, match="keeps no memory"):
            three.restore(0)


def test_the_history_is_bounded() -> None:
    chosen = method()
    stream = begin(chosen, SequenceInfo("s"))
    for _ in range(LIMITS.keep_versions + 5):
        stream = restore(chosen, stream, stream.versions[-1].memory.version)
    assert numbers(stream.versions) == list(range(6, LIMITS.keep_versions + 6))
    chosen, stream = asked("recurrent", 1)
    full = tuple(Version(text(number)) for number in range(-LIMITS.keep_versions, 0))
    after = told(chosen, msgspec.structs.replace(stream, versions=full), 0, "apply").stream
    assert numbers(after.versions) == [*range(-LIMITS.keep_versions + 1, 0), 1]


def late(policy: Policy) -> tuple[Any, Stream, Any]:
    """Learn steps 1 and 2, then step 0."""
    chosen, stream = asked("recurrent", 4)
    for t in (1, 2):
        stream = told(chosen, stream, t, policy).stream
    return chosen, stream, told(chosen, stream, 0, policy)


def test_apply_adds_the_late_outcome_as_one_more_version() -> None:
    _, stream, result = late("apply")
    assert result.stream.versions[:-1] == stream.versions
    assert [version.t for version in result.stream.versions] == [None, 1, 2, 0]
    assert numbers(result.stream.versions) == [0, 1, 2, 3]


def test_a_replay_adds_its_result_and_keeps_what_it_made_obsolete() -> None:
    chosen, stream, result = late("replay")
    after = result.stream
    assert after.versions[:-1] == stream.versions
    assert after.versions[-1] == Version(after.state.own.memory, 0, "replay: 2 later outcomes were learned again")
    assert revive(chosen, msgspec.json.encode(after)) == after


def test_a_replay_that_comes_out_under_an_old_number_is_kept_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method counts what it accepted; in the replay, one outcome less."""
    chosen, stream = asked("recurrent", 3)
    for t in (1, 2):
        stream = told(chosen, stream, t, "replay").stream
    learn_one = chosen.learn

    def all_but_one(state: Any, observation: Observation, *rest: Any) -> Calls[Learned]:
        return kept(state) if observation.t == 1 else learn_one(state, observation, *rest)

    monkeypatch.setattr(chosen, "learn", all_but_one)
    after = told(chosen, stream, 0, "replay").stream
    assert numbers(after.versions) == [0, 1, 2, 2]
    assert after.versions[-1].memory == after.state.own.memory != after.versions[2].memory
    assert pick((version.memory for version in after.versions), 2) == after.state.own.memory
    assert numbers(restore(chosen, after, 1).versions) == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_a_late_outcome_does_not_undo_a_restoration(policy: Policy) -> None:
    chosen, stream = asked("recurrent", 4)
    for t in (1, 2):
        stream = told(chosen, stream, t, policy).stream
    stream = restore(chosen, stream, 1)
    for t in (3, 0):
        answerer, log = listening(answer)
        memory = chosen.memory(stream.state)
        assert memory is not None
        stream = told(chosen, stream, t, policy, answerer).stream
    assert stream.versions[3].reason == "version 1 restored"
    assert stream.versions[1].memory.sections == stream.versions[3].memory.sections
    # A replay of step 0 goes back to the restored memory, and not to h_0.
    shown = stream.versions[3].memory if policy == "replay" else memory
    assert str(shown) in log[0].prompt
    assert "Nothing is known yet" not in log[0].prompt


def test_a_failed_outcome_is_no_version() -> None:
    chosen, stream = asked("recurrent", 1)
    failed = told(chosen, stream, 0, "apply", lambda _: Completion("", "error", error="500"))
    assert failed.stream.versions == stream.versions


def record(t: int, before: Memory | None, after: Memory | None, update: Update, **other: Any) -> StepRecord:
    values: dict[str, Any] = {
        "method": "recurrent", "sequence": "s", "observation": {}, "target": None, "prediction": None, "raw": "",
        "status": Status.INVALID, "memory_version": None, "feedback": None, "calls": (), "scores": {},
    }  # fmt: skip
    tokens = after.tokens if after else None
    return StepRecord(
        t=t, memory_before=before, memory_after=after, memory_tokens=tokens, update=update, **{**values, **other}
    )


def test_a_run_tells_versions_and_what_left_them_alone() -> None:
    h0, h1, h2 = text(0), text(1, 11), text(2, 12)
    back = Memory(h1.sections, 3, 11)
    records = [
        record(0, h0, h1, Update("accepted", "compressed")),
        record(1, h1, h1, Update("kept", "unchanged")),
        record(2, h1, h2, Update("accepted")),
        record(3, h2, back, Update("rolled_back", "worse")),
        record(0, None, None, Update("skipped"), method="zero_shot"),
        record(0, h0, h0, Update("skipped", "no outcome"), sequence="other"),
    ]
    histories = versions(records)
    assert list(histories) == [("recurrent", "s"), ("recurrent", "other")]
    told_of = [(e.t, e.outcome, e.reason, e.memory.version, e.tokens, e.changed) for e in histories["recurrent", "s"]]
    assert told_of == [
        (None, "start", "", 0, None, True),
        (0, "accepted", "compressed", 1, 11, True),
        (1, "kept", "unchanged", 1, 11, False),
        (2, "accepted", "", 2, 12, True),
        (3, "rolled_back", "worse", 3, 11, True),
    ]
    assert [event.changed for event in histories["recurrent", "other"]] == [True, False]


def test_streams_and_runs_that_learn_the_same_tell_the_same() -> None:
    chosen, stream = asked("recurrent", 3)
    state, records = stream.state, []
    for waiting in stream.waiting:
        target = SEQUENCE.steps[waiting.observation.t].target
        learned = by_hand(chosen.learn(state, waiting.observation, waiting.prediction, target), answer)
        memories = chosen.memory(state), chosen.memory(learned.state)
        records.append(record(waiting.observation.t, *memories, learned.update))
        state = learned.state
        stream = told(chosen, stream, waiting.observation.t, "apply").stream
    events = versions(records)["recurrent", "s"]
    assert [(event.t, event.memory, event.reason) for event in events] == [
        (version.t, version.memory, version.reason) for version in stream.versions
    ]
