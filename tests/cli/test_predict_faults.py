"""``llm-as-rnn predict`` where something is not as it should be: each gets one line, and nothing is guessed or lost."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from filelock import FileLock

from llm_as_rnn.cli.main import main
from llm_as_rnn.cli.progress import PauseNotice
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.core.task import SHIPPED
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.saved import read_saved
from tests.cli.test_kill import script
from tests.cli.test_predict import SEQUENCE, feed, stream_lines, stream_of
from tests.core.test_learner import INFO
from tests.core.test_online import answer

X = SEQUENCE.steps[0].observation.fields
Y = {"sky": "sun", "high": 9.5}
Ask = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> Ask:
    """Run the command in this process, on an engine of the test's own, and give code, answers and messages."""

    def run(state: Path, lines: list[Any], *options: str, task: str = "weather", engine: Any = None) -> Any:
        def resolve(model: str, **given: Any) -> Any:
            run.given = given  # type: ignore[attr-defined]
            return engine or ScriptedEngine(answer, INFO)

        monkeypatch.setattr("llm_as_rnn.streams.live.resolve", resolve)
        content = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        with pytest.raises(SystemExit) as ended:
            main(["predict", task, "--state", str(state), *options])
        said = capfdbinary.readouterr()
        return ended.value.code, [json.loads(line) for line in said.out.splitlines()], said.err.decode()

    return run


def memory(words: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["memory", *words])
    return int(ended.value.code or 0)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "llm_as_rnn", "predict", "weather", "--budget", "100", *words]


class TestIds:
    """An id comes back as it was given, and none is taken for another."""

    def test_a_number_is_not_its_text(self, tmp_path: Path, ask: Ask) -> None:
        lines = [{"id": 7, "x": X}, {"id": "7", "x": {**X, "high": 1}}, {"id": 7, "y": Y}, {"id": 8, "y": Y}]
        code, answers, _ = ask(tmp_path / "state.json", lines, "--policy", "replay")
        assert (code, [answer["id"] for answer in answers]) == (1, [7, "7", 7, 8])
        assert "no prediction waits under the id 8" in answers[3]["error"]
        assert [waiting["id"] for waiting in stream_of(tmp_path / "state.json")["waiting"]] == ["7"]
        code, answers, _ = ask(tmp_path / "state.json", [{"id": 7, "y": Y}, {"id": 7, "x": X}, {"id": "7", "y": Y}])
        assert [answer.get("learned", answer.get("status")) for answer in answers[:2]] == ["duplicate", "learned"]
        assert (code, answers[2]["learned"]) == (0, "accepted")

    def test_automatic_ids_jam_nobodys(self, tmp_path: Path, ask: Ask) -> None:
        lines = [
            {"x": X},
            {"id": "1", "x": X},
            {"x": X},
            {"id": "#0", "y": Y},
            {"id": "#0", "x": X},
            {"id": "#2", "x": X},
        ]
        code, answers, _ = ask(tmp_path / "state.json", lines)
        assert (code, [answer["id"] for answer in answers]) == (0, ["#0", "1", "#2", "#0", "#0", "#2"])
        assert [answer.get("status") for answer in answers] == ["ok", "ok", "ok", None, "learned", "ok"]
        code, answers, _ = ask(tmp_path / "state.json", [{"id": "#9", "x": X}])
        assert (code, "looks like an automatic id" in answers[0]["error"]) == (1, True)


class TestLimits:
    """Limits are options, and what is given up is named in the answer that gives it up."""

    def test_what_is_given_up_is_named(self, tmp_path: Path, ask: Ask) -> None:
        state, lines = tmp_path / "state.json", [{"id": name, "x": X} for name in ("a", 2, "c")]
        code, answers, errors = ask(state, lines, "--max-waiting", "2")
        assert (code, errors) == (0, "")
        assert "given_up" not in answers[1]
        assert answers[2]["given_up"] == ["a"]
        assert answers[2]["warning"].startswith("given up: 'a', because more than 2 predictions wait")
        code, answers, _ = ask(state, [{"id": "a", "y": Y}])
        assert (code, "'a' was given up, because too many waited" in answers[0]["error"]) == (1, True)
        code, answers, _ = ask(state, [{"id": "d", "x": X}, {"id": "e", "x": X}], "--max-waiting", "9")
        assert (code, [answer.get("given_up") for answer in answers]) == (0, [None, None]), "a limit may be raised"
        assert read_saved(state).choices["max_waiting"] == 9

    def test_when_ids_begin_to_be_forgotten_it_is_said_once(self, tmp_path: Path, ask: Ask) -> None:
        lines = [line for name in "abc" for line in ({"id": name, "x": X}, {"id": name, "y": Y})]
        _, answers, _ = ask(tmp_path / "state.json", lines, "--remember", "1", "--method", "repeat_last")
        assert [("warning" in answer) for answer in answers] == [False, False, False, True, False, False]
        assert "ids are forgotten 1 outcomes after they were learned" in answers[3]["warning"]

    def test_what_is_replayed_and_what_is_not_is_said(self, tmp_path: Path, ask: Ask) -> None:
        lines = [{"id": t, "x": X} for t in range(8)] + [{"id": t, "y": Y} for t in (2, 3, 1, 4, 5, 6, 7, 0)]
        _, answers, _ = ask(tmp_path / "state.json", lines, "--policy", "replay", "--replay-limit", "3")
        assert answers[10]["learned_again"] == 2
        assert all("learned_again" not in answer for answer in answers[11:])
        assert "the replay limit of 3" in answers[15]["note"]

    def test_all_that_is_given_up_at_once_is_named(self, tmp_path: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        ask(state, [{"id": name, "x": X} for name in "abcd"], "--method", "repeat_last")
        _, answers, _ = ask(state, [{"id": "e", "x": X}], "--max-waiting", "1", "--remember", "1")
        assert answers[0]["given_up"] == ["a", "b", "c", "d"]

    def test_an_id_of_very_many_figures_is_unknown_and_no_more(self, tmp_path: Path, ask: Ask) -> None:
        lines = [line for name in "abc" for line in ({"id": name, "x": X}, {"id": name, "y": Y})]
        odd = {"id": "#" + "9" * 5000, "y": Y}
        code, answers, _ = ask(
            tmp_path / "state.json", [*lines, odd, {"x": X}], "--method", "repeat_last", "--remember", "1"
        )
        assert code == 1
        assert "no prediction waits" in answers[-2]["error"]
        assert answers[-1]["status"] == "ok"

    def test_a_budget_may_be_raised_on_a_state_that_is_there(self, tmp_path: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        ask(state, [{"id": "a", "x": X}], "--budget", "100")
        code, answers, _ = ask(state, [{"id": "a", "y": Y}], "--budget", "400")
        assert (code, answers[0]["learned"]) == (0, "accepted")
        assert read_saved(state).choices["budget"] == 400

    @pytest.mark.parametrize("option", ["--max-waiting", "--remember", "--keep-versions", "--replay-limit"])
    def test_a_limit_below_one_is_refused(self, tmp_path: Path, ask: Ask, option: str) -> None:
        code, _, errors = ask(tmp_path / "state.json", [], option, "0")
        assert (code, option in errors) == (2, True)


class TestTask:
    """A task file may be edited while a stream goes on."""

    @pytest.fixture
    def task(self, tmp_path: Path) -> Path:
        shutil.copy(SHIPPED / "weather.yaml", tmp_path / "mine.yaml")
        return tmp_path / "mine.yaml"

    def edit(self, task: Path, old: str, new: str) -> None:
        text = task.read_text()
        assert old in text
        task.write_text(text.replace(old, new))

    def test_an_edited_one_is_told_and_taken_over_when_asked_for(self, tmp_path: Path, task: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        assert ask(state, [{"id": "a", "x": X}], task=str(task))[0] == 0
        self.edit(task, "Seattle", "Bergen")
        code, answers, errors = ask(state, [{"id": "b", "x": X}, {"id": "a", "y": Y}], task=str(task))
        assert (code, len(answers), errors.count("\n")) == (0, 2, 1)
        assert f"the task {task} was edited since {state} was begun: the old one goes on (--take-task" in errors
        assert "Seattle" in read_saved(state).task.title
        asked = ScriptedEngine(answer, INFO)
        code, _, errors = ask(state, [{"id": "c", "x": X}], "--take-task", task=str(task), engine=asked)
        assert (code, errors, "Bergen" in read_saved(state).task.title) == (0, "", True)
        assert "Bergen" in asked.requests[0].prompt
        assert ask(state, [], task=str(task)) == (0, [], "")

    def test_one_with_no_place_for_what_was_learned_is_refused(self, tmp_path: Path, task: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        ask(state, [{"id": "a", "x": X}], task=str(task))
        before = state.read_bytes()
        self.edit(task, "name: Patterns", "name: Regularities")
        code, _, errors = ask(state, [], "--take-task", task=str(task))
        assert (code, "the new task's memory has other sections" in errors, errors.count("\n")) == (2, True, 1)
        assert state.read_bytes() == before

    def test_one_with_other_advisers_is_taken_over(self, tmp_path: Path, task: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        lines = [{"id": "a", "x": X}, {"id": "b", "x": X}, {"id": "a", "y": Y}]
        assert ask(state, lines, task=str(task))[0] == 0
        self.edit(task, "low: -20", "low: -45")
        code, answers, errors = ask(state, [{"id": "b", "y": Y}, {"id": "c", "x": X}], "--take-task", task=str(task))
        assert (code, errors, "error" in answers[0]) == (0, "", False)
        assert "zero" in answers[1]["believed"]["high"]

    def test_the_model_without_its_memory_may_be_heard_from_some_line_on(self, tmp_path: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        ask(state, [{"id": "a", "x": X}])
        for options, heard in ((["--bare"], True), ([], True), (["--no-bare"], False), ([], False)):
            code, answers, errors = ask(state, [{"x": X}], *options)
            assert (code, errors, "zero_shot" in answers[0]["believed"]["sky"]) == (0, "", heard)
        assert memory(["list", str(state)]) == 0

    def test_what_others_answered_in_an_outage_is_made_again(self, tmp_path: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"

        def down(request: Request) -> Completion:
            return Completion("", "error", error="down")

        _, answers, _ = ask(state, [{"id": "a", "x": X}], engine=ScriptedEngine(down, INFO))
        assert (answers[0]["status"], answers[0]["problem"]) == ("ok", "recurrent gave no answer: down")
        _, answers, _ = ask(state, [{"id": "a", "x": X}])
        assert (answers[0]["status"], "problem" in answers[0]) == ("ok", False)

    def test_another_task_is_refused_whatever_its_file_is_called(self, tmp_path: Path, task: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        ask(state, [{"id": "a", "x": X}], task=str(task))
        self.edit(task, "name: weather\n", "name: other\n")
        code, _, errors = ask(state, [], task=str(task))
        assert (code, "is about the task weather" in errors) == (2, True)
        assert ask(state, [], task=str(tmp_path / "none.yaml"))[0] == 2


class TestAbout:
    """What stays the same in a stream is told when it is begun."""

    VISIT: ClassVar = {
        "days_since": "first visit",
        "oedema": "none",
        "ascites": "no",
        "hepatomegaly": "yes",
        "spiders": "no",
        "stage": 3,
        "bilirubin": 1.1,
        "albumin": 3.5,
        "alkaline_phosphatase": 900,
        "ast": 100,
        "cholesterol": 300,
        "platelets": 200,
        "prothrombin_time": 10.5,
        "days_until": 180,
    }

    def test_it_is_shown_and_kept(self, tmp_path: Path, ask: Ask) -> None:
        state, asked = tmp_path / "state.json", ScriptedEngine(lambda _: " none, 1.5", INFO)
        words = ["--about", "sex=female", "--about", "age=58", "--about", "arm=placebo"]
        code, answers, errors = ask(state, [{"id": "a", "x": self.VISIT}], *words, task="pbc", engine=asked)
        assert (code, answers[0]["status"], errors) == (0, "ok", "")
        assert "female 58, placebo" in asked.requests[0].prompt
        assert read_saved(state).sequence.about == {"sex": "female", "age": 58, "arm": "placebo"}
        assert ask(state, [{"id": "b", "x": self.VISIT}], task="pbc", engine=asked)[1][0]["status"] == "ok"
        assert ask(state, [], *words, task="pbc")[0] == 0
        code, _, errors = ask(state, [], "--about", "sex=male", task="pbc")
        assert (code, "was begun with --about sex=female, age=58, arm=placebo" in errors) == (2, True)

    @pytest.mark.parametrize(("pair", "says"), [("sex", "not NAME=VALUE"), ("=f", "not NAME=VALUE")])
    def test_what_is_no_pair_is_refused(self, tmp_path: Path, ask: Ask, pair: str, says: str) -> None:
        code, _, errors = ask(tmp_path / "state.json", [], "--about", pair)
        assert (code, says in errors, errors.count("\n")) == (2, True, 1)

    def test_nor_the_same_name_twice(self, tmp_path: Path, ask: Ask) -> None:
        code, _, errors = ask(tmp_path / "state.json", [], "--about", "a=1", "--about", "a=2")
        assert (code, "names 'a' twice" in errors) == (2, True)


def test_how_long_a_server_is_waited_for_is_an_option(tmp_path: Path, ask: Ask) -> None:
    assert ask(tmp_path / "state.json", [], "--timeout", "7", "--patience", "60")[0] == 0
    given = ask.given  # type: ignore[attr-defined]
    assert (given["timeout"], given["patience"]) == (7, 60)
    assert isinstance(given["on_pause"], PauseNotice), "it shows the wait"
    assert ask(tmp_path / "state.json", [], "--timeout", "8")[0] == 0, "they may differ every time"
    code, _, errors = ask(tmp_path / "state.json", [], "--timeout", "0")
    assert (code, "--timeout" in errors) == (2, True)


def test_a_prediction_without_an_answer_is_made_again_when_its_line_comes_again(tmp_path: Path, ask: Ask) -> None:
    def down(request: Request) -> str:
        raise EngineError("the server answers 500")

    state, alone = tmp_path / "state.json", ["--method", "recurrent"]
    code, answers, _ = ask(state, [{"id": "a", "x": X}], *alone, engine=ScriptedEngine(down, INFO))
    assert (code, answers[0]["status"], answers[0]["prediction"]) == (0, "engine_error", None)
    code, answers, _ = ask(state, [{"id": "a", "x": X}], *alone)
    assert (code, answers[0]["status"], len(stream_of(state)["waiting"])) == (0, "ok", 1)


@pytest.mark.parametrize(
    ("begun", "then", "says"),
    [
        ([], ["--recall", "2"], "was begun without --recall: what suits the model was taken (leave --recall out"),
        ([], ["--watch"], "was begun without --watch (leave --watch out"),
        (["--watch"], ["--no-watch"], "was begun with --watch (leave --no-watch out"),
        (["--thinking", "8"], ["--thinking", "9"], "was begun with --thinking 8"),
    ],
)
def test_how_a_state_was_begun_is_said_in_words(
    tmp_path: Path, ask: Ask, begun: list[str], then: list[str], says: str
) -> None:
    state = tmp_path / "state.json"
    assert ask(state, [], *begun)[0] == 0
    code, _, errors = ask(state, [], *then)
    assert (code, says in errors, "None" in errors) == (2, True, False), errors


@pytest.mark.parametrize("pair", ["who=\udcff", "\udcff=who", "who=\ufeffme", "\ufeffwho=1"])
def test_what_was_said_when_a_state_was_begun_can_be_said_again(tmp_path: Path, ask: Ask, pair: str) -> None:
    state = tmp_path / "state.json"
    assert ask(state, [], "--about", pair)[0] == 0
    assert ask(state, [], "--about", pair)[0] == 0
    code, _, errors = ask(state, [], "--about", "who=them")
    assert (code, "was begun with --about" in errors) == (2, True)


def test_a_reference_alone_loads_no_model(tmp_path: Path) -> None:
    words = ["--state", str(tmp_path / "s.json"), "-m", "llamacpp:nobody/has/this.gguf", "--method"]
    lines = json.dumps({"id": 1, "x": X, "y": Y}) + "\n"
    done = subprocess.run(command(*words, "linear"), input=lines, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 2, "")


class TestLines:
    """What a line may look like."""

    @pytest.mark.parametrize("first", [b"\xef\xbb\xbf", b""])
    def test_a_mark_before_the_first_and_ends_of_windows(self, tmp_path: Path, ask: Ask, first: bytes) -> None:
        lines = [first + json.dumps(line).encode() + b"\r\n" for line in stream_lines()[:1]]
        lines += [json.dumps({"id": "0", "y": Y}).encode() + b"\r\n", b"\r\n"]
        code, answers, _ = ask(tmp_path / "state.json", lines)
        assert (code, len(answers)) == (0, 2)

    def test_a_long_one_is_read(self, tmp_path: Path, ask: Ask) -> None:
        line = {"id": "a", "x": {**X, "diary": "sun and rain " * 200_000}}
        code, answers, _ = ask(tmp_path / "state.json", [line, {"id": "a", "y": Y}])
        assert (code, [answer["id"] for answer in answers]) == (0, ["a", "a"])

    @pytest.mark.parametrize(
        "line",
        [
            b'{"id": "a", "x": ' + b"[" * 100_000 + b"\n",
            b'{"id": "a", "x": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}\n",
            b'{"id": "a", "x": {"a": 1e999}}\n',
            b'{"id": "a", "x": {"a": ' + b"9" * 400 + b"}}\n",
            b'{"id": 1.5, "x": {"a": 1}}\n',
            b'{"id": true, "x": {"a": 1}}\n',
            b'{"id": "a", "x": "sunny"}\n',
            b'{"id": "a", "x": {"sky": "\\ud800"}}\n',
            b"\x00\xff\n",
        ],
    )
    def test_a_bad_one_is_answered_and_the_next_is_read(self, tmp_path: Path, ask: Ask, line: bytes) -> None:
        code, answers, _ = ask(tmp_path / "state.json", [line, {"id": "b", "x": X}])
        assert (code, len(answers)) == (1, 2), answers
        assert answers[0]["line"] == 1
        assert answers[0]["error"].count("\n") == 0
        assert answers[1]["status"] == "ok"


class TestPlaces:
    """Where lines come from, answers go and the state lies."""

    def closed(self, redirection: str, tmp_path: Path) -> tuple[int, str, str]:
        words = command("--state", str(tmp_path / "state.json"), "-m", script(tmp_path))
        shell = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *words]
        done = subprocess.run(shell, input=json.dumps({"x": X}), capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    @pytest.mark.parametrize(
        ("redirection", "says"),
        [
            ("<&-", "standard input is closed"),
            (">&-", "standard output is closed"),
            ("> /dev/full", "answers cannot be written to standard output: No space left on device"),
        ],
    )
    def test_a_pipe_that_is_none_gets_one_line(self, tmp_path: Path, redirection: str, says: str) -> None:
        code, out, errors = self.closed(redirection, tmp_path)
        assert (code, out, says in errors, errors.count("\n")) == (2, "", True, 1), errors

    @pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
    def test_a_state_that_is_no_file_gets_one_line(self, tmp_path: Path, ask: Ask, kind: str) -> None:
        state = tmp_path / "thing"
        if kind == "folder":
            state.mkdir()
        elif kind == "pipe":
            os.mkfifo(state)
        else:
            state = Path(os.devnull)
        code, out, errors = ask(state, [{"x": X}])
        assert (code, out, errors.count("\n")) == (2, [], 1)
        assert f"{state} cannot be used: it is " in errors
        assert not list(tmp_path.glob(".*"))

    def test_a_link_is_locked_by_what_it_points_to(self, tmp_path: Path, ask: Ask) -> None:
        (tmp_path / "there").mkdir()
        target, link = tmp_path / "there" / "state.json", tmp_path / "link.json"
        assert ask(target, [{"id": "a", "x": X}])[0] == 0
        link.symlink_to(target)
        with FileLock(target.with_name(".state.json.lock")):
            code, _, errors = ask(link, [])
        assert (code, "another process is using" in errors) == (2, True)
        assert not (tmp_path / ".link.json.lock").exists()
        assert ask(link, [{"id": "a", "y": Y}])[0] == 0

    def test_damage_is_one_line(self, tmp_path: Path, ask: Ask) -> None:
        state = tmp_path / "state.json"
        ask(state, [{"id": "a", "x": X}])
        state.write_bytes(state.read_bytes().replace(b"rain", b"raim", 1))
        code, out, errors = ask(state, [{"id": "a", "y": Y}])
        assert (code, out, errors.count("\n"), f"{state} is damaged" in errors) == (2, [], 1, True)


class TestFullDisk:
    """Nothing is asked of a model that cannot be saved."""

    def test_the_first_that_cannot_be_saved_ends_the_stream(
        self, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = 3

        def filling(path: Path, content: bytes, *, private: bool = False) -> None:
            nonlocal room
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room -= 1
            write_atomically(path, content, private=private)

        monkeypatch.setattr("llm_as_rnn.streams.saved.write_atomically", filling)
        state, asked = tmp_path / "state.json", ScriptedEngine(answer, INFO)
        lines = [{"id": t, "x": {**X, "high": t}} for t in range(9)]
        code, answers, errors = ask(state, lines, engine=asked)
        assert (code, errors.count("\n"), "No space left on device" in errors) == (2, 1, True)
        # One to begin with, and two lines; the third was asked for and could not be saved, the fourth never was.
        assert [answer["id"] for answer in answers] == [0, 1]
        assert len(asked.requests) == 3
        assert [waiting["id"] for waiting in stream_of(state)["waiting"]] == [0, 1]
        room = 99
        assert ask(state, lines)[0] == 0, "with room again, what got no answer is sent again"

    def test_a_disk_that_is_full_from_the_beginning(
        self, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, content: bytes, *, private: bool = False) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("llm_as_rnn.streams.saved.write_atomically", full)
        asked = ScriptedEngine(answer, INFO)
        code, answers, errors = ask(tmp_path / "state.json", [{"x": X}], engine=asked)
        assert (code, answers, errors.count("\n"), len(asked.requests)) == (2, [], 1, 0)

    def test_a_real_limit_of_the_system(self, tmp_path: Path) -> None:
        """The system lets no file grow beyond some bytes: as a full disk, and as real."""
        state, model = tmp_path / "state.json", script(tmp_path)
        assert feed(state, model, [])[0] == 0
        most = state.stat().st_size + 3000

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        lines = "".join(json.dumps({"id": t, "x": {**X, "high": t}}) + "\n" for t in range(40))
        words = command("--state", str(state), "-m", model)
        done = subprocess.run(
            words, input=lines, capture_output=True, text=True, check=False, preexec_fn=limited, timeout=60
        )
        told = [json.loads(line)["id"] for line in done.stdout.splitlines()]
        assert (done.returncode, done.stderr.count("\n"), 0 < len(told) < 40) == (2, 1, True), done.stderr
        assert [waiting["id"] for waiting in stream_of(state)["waiting"]] == told
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == [
            "script.jsonl",
            "state.json",
        ]
