"""A learner's file: whatever happens to its bytes is noticed, and what could not be read again is not written."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.errors import DamagedError, LlmAsRnnError, UsageError
from llm_as_rnn.core.files import is_sealed, sealed, unsealed
from llm_as_rnn.core.records import Memory, Section
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams import saved
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.saved import FORMAT, read_saved
from llm_as_rnn.streams.tending import restore
from tests.core.stage import sky_task
from tests.core.test_learner import INFO, engine
from tests.core.test_online import SEQUENCE, answer

FIELDS = SEQUENCE.steps[0].observation.fields
OUTCOME = {"sky": "sun", "high": 9.5}


def learner(**options: Any) -> Learner:
    return Learner("weather", **{"engine": engine(), "budget": 100, **options})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    with learner(method="repeat_last") as one:
        one.learn_one(one.predict_one(FIELDS, 7).id, OUTCOME)
        one.predict_one(FIELDS, "7")
        one.save(path)
    return path


def unchecked(path: Path, **changes: Any) -> None:
    """Write a learner's file as format 1 was written, without a check."""
    plain = {**json.loads(unsealed(path.read_bytes())), "format": 1, **changes}
    plain["stream"]["state"] = plain["stream"]["state"]["own"]
    path.write_bytes(json.dumps(plain).encode())


def test_every_flipped_bit_is_noticed_and_the_file_named(tmp_path: Path) -> None:
    small = tmp_path / "small.json"
    with Learner(sky_task(), method="repeat_last", engine=engine()) as one:
        one.learn_one(one.predict_one({"seen": "fog"}, 7).id, {"sky": "sun"})
        one.save(small)
    whole = small.read_bytes()
    assert is_sealed(whole)
    passed = []
    for place, bit in product(range(len(whole)), range(8)):
        flipped = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        try:
            saved.unpacked(flipped, str(small))  # as `read_saved` does; a file for each takes long
            passed.append((place, bit))
        except LlmAsRnnError as error:
            assert str(small) in error.message
    assert passed == []
    small.write_bytes(flipped)
    with pytest.raises(LlmAsRnnError, match=r"small\.json"):
        read_saved(small)


def test_every_truncation_is_noticed_and_so_is_what_follows_the_end(small: Path) -> None:
    whole = small.read_bytes()
    for length in range(len(whole)):
        small.write_bytes(whole[:length])
        with pytest.raises(LlmAsRnnError, match=r"small\.json"):
            read_saved(small)
    for more in (b"\n", b"}", whole):
        small.write_bytes(whole + more)
        with pytest.raises(LlmAsRnnError, match=r"small\.json"):
            read_saved(small)


def test_damage_says_what_to_do(small: Path) -> None:
    small.write_bytes(small.read_bytes().replace(b"repeat_last", b"repeat_lost"))
    with pytest.raises(DamagedError, match=r"small.json is damaged: .* \(restore it from a copy\)"):
        Learner.load(small, engine=engine())


def test_a_file_of_today_without_a_check_is_read_and_written_with_one(small: Path) -> None:
    before = json.loads(unsealed(small.read_bytes()))
    old = {key: before["stream"][key] for key in ("t", "state", "waiting", "learned", "versions", "lessons")}
    old["learned"], old["waiting"][0]["id"] = ["0"], "1"  # as automatic ids were
    choices = {name: value for name, value in before["choices"].items() if name != "limits"}
    unchecked(small, stream=old, choices=choices)
    assert not is_sealed(small.read_bytes())
    with Learner.load(small, engine=engine()) as one:
        assert one.learn_one("0", OUTCOME).fate == "duplicate"
        assert one.learn_one("1", OUTCOME).fate == "learned"
        assert one.predict_one(FIELDS).id == "#2"
        one.save(small)
    assert is_sealed(small.read_bytes())
    assert read_saved(small).format == FORMAT


def test_a_format_of_the_future_is_refused_with_what_is_needed(small: Path) -> None:
    plain = {**json.loads(unsealed(small.read_bytes())), "format": FORMAT + 1, "something": "new"}
    for content in (sealed(json.dumps(plain).encode()), json.dumps(plain).encode()):
        small.write_bytes(content)
        with pytest.raises(
            UsageError, match=rf"small.json was written by a newer version \(format {FORMAT + 1}\) \(upgrade"
        ):
            read_saved(small)


def test_a_file_of_the_present_format_must_have_its_check(small: Path) -> None:
    small.write_bytes(unsealed(small.read_bytes()))
    with pytest.raises(DamagedError, match=r"small.json is damaged: there is no check at its end"):
        read_saved(small)


def test_what_could_not_be_read_again_is_not_written(small: Path) -> None:
    whole = small.read_bytes()
    with Learner.load(small, engine=engine()) as one:
        for value in (float("inf"), float("nan")):
            own = msgspec.structs.replace(one.stream.state.own, outcomes=({"high": value},))
            state = msgspec.structs.replace(one.stream.state, own=own)
            one.stream = msgspec.structs.replace(one.stream, state=state)
            with pytest.raises(UsageError, match="cannot be saved"):
                one.save(small)
            with pytest.raises(UsageError, match="cannot be saved"):
                one.dump()
        waiting = msgspec.structs.replace(one.waiting[0].observation, fields={"high": (1, 2)})
        lost = msgspec.structs.replace(one.waiting[0], observation=waiting)
        one.stream = msgspec.structs.replace(one.stream, state=type(state)(own=type(own)()), waiting=(lost,))
        with pytest.raises(UsageError, match="its waiting would not be read again as it is"):
            one.save(small)
    assert small.read_bytes() == whole
    assert list(small.parent.iterdir()) == [small]


@pytest.mark.parametrize("rule", ["rewrite", "delta", "cases", "hybrid", "append"])
@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_whatever_is_learned_can_be_saved(tmp_path: Path, rule: str, policy: str) -> None:
    with learner(rule=rule, policy=policy, watch=True, recheck=2) as one:
        for t, step in enumerate(SEQUENCE.steps[:6]):
            one.predict_one(step.observation.fields, t)
        for t in (3, 1, 5):
            one.learn_one(t, {"sky": "fog", "high": 1e20 + t})
            one.save(tmp_path / "state.json")
        kept = one.stream
    with Learner.load(tmp_path / "state.json", engine=engine()) as two:
        assert two.stream == kept


class TestBudget:
    """The memory of a file is held to the budget by the tokenizer of the engine that is going to be asked."""

    def begun(self, path: Path) -> int:
        with learner(rule="rewrite", feedback="model") as one:
            one.learn_one(one.predict_one(FIELDS).id, OUTCOME)
            one.save(path)
            assert one.memory is not None
            assert one.memory.tokens is not None
            return one.memory.tokens

    def wordy(self, factor: int) -> ScriptedEngine:
        class Wordy(ScriptedEngine):
            async def count_tokens(self, text: str) -> int:
                known = "Nothing is known" in text  # the first memory, for which there must be room anyway
                return (1 if known else factor) * await super().count_tokens(text)

        return Wordy(answer, INFO)

    def test_another_engines_count_is_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        tokens = self.begun(path)
        with Learner.load(path, engine=self.wordy(2), budget=100) as two:
            assert two.memory is not None
            assert two.memory.tokens == 2 * tokens
            assert two.versions[-1].memory == two.memory

    def test_more_than_the_budget_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        tokens = self.begun(path)
        says = rf"the memory holds {9 * tokens} tokens as scripted:test counts them, more than the budget of 120"
        with pytest.raises(UsageError, match=says + rf" \(load it with a budget of {9 * tokens} or more"):
            Learner.load(path, engine=self.wordy(9), budget=120)
        Learner.load(path, engine=self.wordy(9), budget=9 * tokens).close()

    def test_a_false_figure_in_a_file_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        self.begun(path)
        stream = json.loads(unsealed(path.read_bytes()))["stream"]
        adviser = stream["state"]["own"]["states"][0]
        adviser["own"]["memory"]["sections"][0]["items"] = ["word " * 200]
        unchecked(path, stream=stream)
        with pytest.raises(UsageError, match="more than the budget of 100"):
            Learner.load(path, engine=engine())

    def test_a_version_that_is_put_back_is_counted_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        with learner(rule="rewrite", feedback="model") as one:
            one.learn_one(one.predict_one(FIELDS).id, OUTCOME)
            long = Memory((Section("Patterns", ("rain follows fog " * 9,)),), 9, 1)
            entry = msgspec.structs.replace(one.versions[0], memory=long)
            one.stream = msgspec.structs.replace(one.stream, versions=(entry, *one.versions))
            one.save(path)
        with Learner.load(path, engine=self.wordy(3), budget=60) as two:
            with pytest.raises(UsageError, match=r"version 9 holds \d+ tokens, more than the budget of 60"):
                two.restore(9)
            assert two.restore(0).tokens != 1

    def test_a_replay_does_not_begin_with_a_memory_that_is_over_it_now(self, tmp_path: Path) -> None:
        def growing(request: Request) -> str:
            if request.role != "update":
                return answer(request)
            return f"## Patterns\n- {'rain follows fog ' * 12}\n## Recent days\n- day\n## Corrections\n- none"

        path, steps = tmp_path / "state.json", 20
        with learner(
            engine=ScriptedEngine(growing, INFO), rule="rewrite", feedback="scorecard", policy="replay"
        ) as one:
            for t in range(steps):
                one.predict_one(FIELDS, t)
            for t in range(1, steps):
                one.learn_one(t, OUTCOME)
            long = one.stream
            assert len(one.stream.lessons) == steps - 1
            one.stream = restore(one.method, one.stream, 0)
            one.stream = msgspec.structs.replace(one.stream, lessons=long.lessons)
            one.save(path)
        with Learner.load(path, engine=engine(), budget=40) as two:
            assert two.stream.lessons == ()
            learnt = two.learn_one(0, OUTCOME)
            assert (learnt.again, "a later budget left no way back" in learnt.note) == (0, True)
        with Learner.load(path, engine=engine()) as three:
            assert three.learn_one(0, OUTCOME).again == steps - 1


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_gets_one_line(tmp_path: Path, kind: str) -> None:
    """A pipe is not opened: that would wait until somebody writes into it."""
    path = tmp_path / "thing"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path(os.devnull)
    says = f"{path} cannot be (read|used): it is .*, not a file"
    with pytest.raises(UsageError, match=says):
        read_saved(path)
    with pytest.raises(UsageError, match=says):
        Learner.load(path, engine=engine())
    with learner(method="repeat_last") as one, pytest.raises(UsageError, match=says):
        one.save(path)


def test_prompts_of_ones_own_have_to_be_named_again(tmp_path: Path) -> None:
    folder = tmp_path / "prompts" / "recurrence"
    folder.mkdir(parents=True)
    (folder / "repair.j2").write_text("Once more: {{ problem }}", encoding="utf-8")
    with learner(prompts=folder.parent) as one:
        one.save(tmp_path / "own.json")
    with pytest.raises(UsageError, match=r"prompts of its own .name their folder again"):
        Learner.load(tmp_path / "own.json", engine=engine())
    with Learner.load(tmp_path / "own.json", engine=engine(), prompts=folder.parent) as again:
        assert again.predict_one(FIELDS).values is not None


def test_no_change_of_task_gets_credentialed_data_past_the_guard() -> None:
    elsewhere = ScriptedEngine(lambda request: "", msgspec.structs.replace(INFO, host="api.example.com"))
    secret = load_task("mimic")
    open_to_all = msgspec.structs.replace(secret, dataset="")
    with Learner(open_to_all, engine=elsewhere) as one:
        with pytest.raises(UsageError, match="must not leave this machine"):
            one.change_task(secret)
        assert one.task == open_to_all
