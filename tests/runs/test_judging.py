"""Judging a run: what a judge is shown, what it may answer, what is kept, and how an interrupted judging goes on."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.cli.main import main
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, PromptError, RunError, UsageError
from llm_as_rnn.core.fields import Ranked
from llm_as_rnn.core.prompts import EVERY_ROOM, Prompts
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.task import MemorySection, Task, load_task
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.judged import Judgement, Pair
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from llm_as_rnn.runs.judging import JudgeAsker, JudgeOptions, judge_run
from llm_as_rnn.runs.writing import Journal
from tests.helpers import LINES, run_options
from tests.runs.test_execute import Watch

MODEL = EngineInfo("scripted:model", digest="m", form="line", style="completion", slots=3)
JUDGE = EngineInfo("scripted:judge", digest="j", form="json", slots=3)
PROMPTS = Prompts.with_folder(None, EVERY_ROOM)
WORDS = load_task("weather-text")
LIST = Task("visits", "V", "", "", "", (Ranked("diagnoses", top=5, judged="same"),), (MemorySection("P", ""),))
CAME = "Sunny with a high of 12 and a low of 4 degrees C. No rain and a light breeze."
GOOD = {"reason": "half right", "score": "40"}
FORECASTS = ("Rainy, high 9", "Sunny, high 20", "Foggy, high 7")


class Watcher:
    """Notes what it is told; may raise at a judgement, as a crash would."""

    def __init__(self, crash_after: int | None = None) -> None:
        self.total = self.before = 0
        self.found: list[Judgement] = []
        self.crash_after = crash_after

    def begin(self, total: int, done: int) -> None:
        self.total, self.before = total, done

    def judged(self, judgement: Judgement) -> None:
        self.found.append(judgement)
        if self.crash_after and len(self.found) >= self.crash_after:
            raise RunError("a crash")


def model(request: Request) -> str:
    """Forecast by the request alone; now and then, what cannot be read."""
    number = zlib.crc32(request.prompt.encode())
    if request.role == "predict":
        return "" if request.attempt or number % 7 == 0 else f" {FORECASTS[number % 3]}"
    return LINES[request.role]


def judge(request: Request) -> str:
    """Score by the pair, and by the seed where judgements are drawn."""
    drawn = request.sampling.seed if request.sampling.temperature else 0
    return json.dumps({"reason": "so", "score": str(zlib.crc32(f"{request.messages[1]}{drawn}".encode()) % 101)})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run of the task in words that nobody judged."""
    out = tmp_path_factory.mktemp("made") / "run"
    options = run_options("weather-text", ("zero_shot", "full_history"), sequences=2, steps=5, budget=60)
    asyncio.run(execute(options, ScriptedEngine(model, MODEL), RunDirectory(out), resume=False, watcher=Watch()))
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunDirectory:
    """Give a copy of it."""
    for file in made.iterdir():
        if file.suffix != ".lock":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return RunDirectory(tmp_path)


def go(
    run: RunDirectory, answer: Any = judge, *, info: EngineInfo = JUDGE, crash: int | None = None, **how: Any
) -> Any:
    """Judge a run; give the watcher, and the engine with what it was asked."""
    engine, watcher = ScriptedEngine(answer, info), Watcher(crash)
    asyncio.run(judge_run(run, engine, JudgeOptions(**how), PROMPTS, watcher))
    return watcher, engine


def key(judgement: Judgement) -> str:
    return repr((judgement.pair, judgement.repeat))


def timeless(run: RunDirectory) -> list[Judgement]:
    return sorted(run.judgements(), key=key)


def aligns(run: RunDirectory) -> list[float | None]:
    return [record.scores.get("forecast.align") for record in run.records()]


# --- a judged run ---------------------------------------------------------------------------------------------------


def test_every_answer_is_judged_once_and_every_step_scored(run: RunDirectory) -> None:
    assert aligns(run) == [None] * len(run.records())
    watcher, engine = go(run)
    records = run.records()
    said = {(str(r.prediction["forecast"]), str(r.target["forecast"])) for r in records if r.prediction and r.target}
    said = {pair for pair in said if pair[0]}
    assert len(engine.requests) == len(watcher.found) == len(said) < len(records)
    scores = {(j.answer, j.outcome): j.values["score"] for j in run.judgements() if j.values}
    for record in records:
        answer = (record.prediction or {}).get("forecast") or None
        expected = scores[answer, (record.target or {})["forecast"]] if answer else 0
        assert record.scores["forecast.align"] == expected
    assert {record.status for record in records} == {Status.OK, Status.INVALID}  # both kinds were there


def test_what_is_judged_is_not_asked_again(run: RunDirectory) -> None:
    go(run)
    watcher, engine = go(run)
    assert (engine.requests, watcher.total, watcher.before) == ([], len(run.judgements()), len(run.judgements()))


def test_a_judge_sees_neither_method_nor_step(run: RunDirectory) -> None:
    _, engine = go(run)
    told = "\n".join(message.content for request in engine.requests for message in request.messages)
    hidden = {*run.info().spec.methods, *(record.sequence for record in run.records()), "scripted:model", "Patterns"}
    assert not [name for name in hidden if name in told]
    assert {request.role for request in engine.requests} == {"judge"}
    # The rubric stands first and is the same for all: engines keep it.
    assert len({request.messages[0] for request in engine.requests}) == 1


def test_more_judgements_are_drawn_with_seeds_of_their_own(run: RunDirectory) -> None:
    go(run)
    first = timeless(run)
    _, engine = go(run, times=3)
    assert len(engine.requests) == 2 * len(first)  # the first ones are kept
    assert {request.sampling.temperature for request in engine.requests} == {0.7}
    assert len({request.sampling.seed for request in engine.requests}) == len(engine.requests)
    assert [j for j in timeless(run) if j.repeat == 0] == first
    by_pair: dict[Pair, list[float]] = {}
    for found in run.judgements():
        assert found.values is not None
        by_pair.setdefault(found.pair, []).append(float(str(found.values["score"])))
    record = next(record for record in run.records() if record.scores["forecast.align"])
    assert record.prediction is not None
    assert record.target is not None
    pair = Pair("forecast", record.prediction["forecast"], record.target["forecast"])
    assert record.scores["forecast.align"] == pytest.approx(sum(by_pair[pair]) / 3)


def test_a_first_judgement_is_greedy(run: RunDirectory) -> None:
    _, engine = go(run)
    assert {request.sampling.temperature for request in engine.requests} == {0.0}


def test_another_judge_starts_anew_and_counts(run: RunDirectory) -> None:
    go(run)
    before = len(run.judgements())
    _, engine = go(
        run, lambda _: json.dumps({"reason": "r", "score": "7"}), info=msgspec.structs.replace(JUDGE, digest="k")
    )
    assert len(engine.requests) == before
    assert {score for score in aligns(run) if score} == {7.0}


def test_another_rubric_is_another_judge(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/align.j2").write_text("Be kind. {{ spec.describe() }}")
    (tmp_path / "recurrence").mkdir()
    (tmp_path / "recurrence/repair.j2").write_text("Again: {{ problem }}")
    prompts = Prompts.with_folder(tmp_path, EVERY_ROOM)
    mine, plain = (JudgeAsker(WORDS, JUDGE, each).judge("forecast") for each in (prompts, PROMPTS))
    assert mine.rubric != plain.rubric
    assert JudgeAsker(WORDS, msgspec.structs.replace(JUDGE, form="line"), PROMPTS).judge("forecast") != plain
    # The prompts of runs are another matter: a run may be resumed whatever its judge is told.
    assert Prompts.with_folder(tmp_path).digest != Prompts().digest
    (tmp_path / "recurrence/repair.j2").unlink()
    assert Prompts.with_folder(tmp_path).digest == Prompts().digest


def test_a_broken_template_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/align_pair.j2").write_text("{{ siad }}")
    with pytest.raises(PromptError, match="siad"):
        JudgeAsker(WORDS, JUDGE, Prompts.with_folder(tmp_path, EVERY_ROOM))


# --- going on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash_after", [1, 4, 9])
def test_an_interrupted_judging_ends_as_an_uninterrupted_one(
    run: RunDirectory, made: Path, tmp_path_factory: pytest.TempPathFactory, crash_after: int
) -> None:
    with pytest.raises(RunError, match="a crash"):
        go(run, crash=crash_after, times=2)
    kept = len(run.judgements())
    assert crash_after <= kept
    torn = run.judgements_file.read_bytes()
    run.judgements_file.write_bytes(torn[:-25])  # killed in the middle of a line
    assert len(run.judgements()) == kept - 1
    assert aligns(run) == [None] * len(run.records())  # half a judging is no score
    watcher, engine = go(run, times=2)
    assert len(engine.requests) == watcher.total - (kept - 1)
    whole = RunDirectory(tmp_path_factory.mktemp("whole"))
    for name in ("run.json", "steps.jsonl"):
        (whole.path / name).write_bytes((made / name).read_bytes())
    go(whole, times=2)
    assert timeless(run) == timeless(whole)
    assert aligns(run) == aligns(whole)


def test_no_server_ends_the_judging_and_it_goes_on(run: RunDirectory) -> None:
    left = iter(range(4))

    def soon_gone(request: Request) -> str:
        if next(left, None) is None:
            raise EngineUnavailableError("no server", "start it")
        return judge(request)

    with pytest.raises(EngineUnavailableError):
        go(run, soon_gone)
    assert len(run.judgements()) == 4
    watcher, _ = go(run)
    assert watcher.before == 4
    assert None not in aligns(run)


def test_what_an_engine_failed_at_is_asked_again(run: RunDirectory) -> None:
    def failing(request: Request) -> str:
        raise EngineError("500")

    go(run, failing)
    assert {j.status for j in run.judgements()} == {Status.ENGINE_ERROR}
    assert not [score for score in aligns(run) if score]
    _, engine = go(run)
    assert len(engine.requests) == len(run.judgements()) / 2
    assert None not in aligns(run)


def test_one_process_judges_at_a_time(run: RunDirectory) -> None:
    with Journal(run.judgements_file), pytest.raises(RunError, match="another process"):
        go(run)


def test_a_damaged_line_is_named(run: RunDirectory) -> None:
    run.judgements_file.write_text('{"field": 1}\n')
    with pytest.raises(RunError, match="line 1 is damaged"):
        run.records()


def test_no_more_questions_in_flight_than_slots(run: RunDirectory) -> None:
    flying, most = 0, 0

    class Slow(ScriptedEngine):
        async def complete(self, request: Request) -> Any:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            for _ in range(5):
                await asyncio.sleep(0)
            flying -= 1
            return await super().complete(request)

    asyncio.run(judge_run(run, Slow(judge, JUDGE), JudgeOptions(concurrency=8), PROMPTS, Watcher()))
    assert most == JUDGE.slots


def test_others_come_in_after_each_judgement_of_a_judge_that_never_waits(run: RunDirectory) -> None:
    """An interrupt is such another: without a turn it would be heard at the end alone."""
    watcher = Watcher()
    seen: list[int] = []

    async def beside() -> None:
        while True:
            seen.append(len(watcher.found))
            await asyncio.sleep(0)

    async def both() -> None:
        other = asyncio.create_task(beside())
        await judge_run(run, ScriptedEngine(judge, JUDGE), JudgeOptions(concurrency=1), PROMPTS, watcher)
        other.cancel()

    asyncio.run(both())
    assert {1, 2, 3} <= set(seen)


def test_a_ranked_answer_is_judged_from_run_to_scores(run: RunDirectory) -> None:
    records = [record for record in run.records() if record.method == "zero_shot"][:3]
    came = ("gouty arthritis", "influenza")
    answers = [("flu", "gout"), ("gout", "asthma"), None]
    run.save(msgspec.structs.replace(run.info(), task=LIST))
    run.journal.unlink()
    with Journal(run.journal) as journal:
        for record, answer in zip(records, answers, strict=True):
            prediction = None if answer is None else {"diagnoses": answer}
            status = Status.OK if answer else Status.INVALID
            journal.append(
                msgspec.structs.replace(
                    record, target={"diagnoses": came}, prediction=prediction, status=status, scores={}
                )
            )

    def knows(request: Request) -> str:
        primary = "2" if '2: "gout"' in request.messages[1].content else "1"
        return json.dumps({"reason": "gout is gouty arthritis", "primary": primary, "any": "1"})

    go(run, knows)
    assert [record.scores for record in run.records()] == [
        {"diagnoses.judged_acc@1": 0.0, "diagnoses.judged_acc@5": 1.0},
        {"diagnoses.judged_acc@1": 1.0, "diagnoses.judged_acc@5": 1.0},
        {"diagnoses.judged_acc@1": 0.0, "diagnoses.judged_acc@5": 0.0},
    ]


def test_credentialed_answers_are_not_sent_to_a_judge_elsewhere(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "weather-text", msgspec.structs.replace(DATASETS["weather-text"], credentialed=True))
    run.save(msgspec.structs.replace(run.info(), credentialed=True))
    elsewhere = msgspec.structs.replace(JUDGE, host="judge.example.org")
    with pytest.raises(UsageError, match="must not leave this machine"):
        go(run, info=elsewhere)
    assert not run.judgements_file.exists()
    _, engine = go(run, info=elsewhere, allow_remote_data=True)
    assert engine.requests
    assert run.info().remote_data == ("judge.example.org",)
    assert run.judgements_file.stat().st_mode & 0o077 == 0


def test_failed_judgements_are_counted_and_never_scores(run: RunDirectory) -> None:
    def sometimes(request: Request) -> str:
        return "What a wonderful forecast!" if "Sunny, high 20" in request.messages[1].content else judge(request)

    go(run, sometimes)
    for record in run.records():
        said = (record.prediction or {}).get("forecast")
        assert ("forecast.align" in record.scores) == (said != "Sunny, high 20")


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Give a maker of scripted judges."""

    def make(text: str) -> str:
        path = tmp_path / f"judge{zlib.crc32(text.encode())}.jsonl"
        path.write_text(json.dumps({"role": "judge", "text": text}))
        return f"scripted:{path}"

    return make


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


def test_a_run_is_judged_by_a_command_and_reported(
    run: RunDirectory, script: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("report", str(run.path)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"answers are not judged yet: llm-as-rnn judge {run.path}" in shown
    assert command("judge", str(run.path), "--judge", script(json.dumps(GOOD)), "--times", "2") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the same in 100% and differ by 0 on average" in shown
    assert "steps without an answer score 0" in shown
    scores = msgspec.json.decode((run.path / "scores.json").read_bytes())
    assert scores["judging"][0]["judgements"] == 2 * scores["judging"][0]["answers"]
    assert 0 < scores["methods"][0]["scores"]["forecast.align"]["value"] <= 40
    assert "forecast Align" in run.report.read_text()
    assert "different answers judged by scripted:" in run.report.read_text()


def test_a_run_can_be_judged_at_once(tmp_path: Path, script: Callable[[str], str]) -> None:
    lines = [{"role": "predict", "text": f" {text}"} for text in FORECASTS]
    (tmp_path / "model.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ["run", "weather-text", "-m", f"scripted:{tmp_path / 'model.jsonl'}", "--form", "line", "--steps", "3"]
    words += ["--sequences", "2", "--methods", "zero_shot", "--out", str(tmp_path / "run"), "--budget", "60"]
    assert command(*words, "--judge", script(json.dumps(GOOD)), "--judge-times", "2") == 0
    run = RunDirectory(tmp_path / "run")
    assert {j.repeat for j in run.judgements()} == {0, 1}
    assert {r.scores["forecast.align"] for r in run.records() if r.method == "zero_shot"} == {40.0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["judge", "nothing"], "holds no run"),
        (["judge", "RUN", "--judge", "gpt"], "names no model"),
        (["judge", "RUN", "--times", "0"], "times must be from 1"),
        (["judge", "RUN", "--concurrency", "0"], "concurrency must be at least 1"),
        (["judge", "RUN", "--prompts", "nowhere"], "nowhere does not exist"),
        (
            ["run", "weather", "--judge", "scripted:x.jsonl", "-m", "scripted:SCRIPT"],
            "no field of task weather is judged",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line(
    run: RunDirectory, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = run.path / "script.jsonl"
    script.write_text('{"role": "predict", "text": "sun"}\n')
    words = [{"RUN": str(run.path), "scripted:SCRIPT": f"scripted:{script}"}.get(word, word) for word in words]
    assert command(*words) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
    assert not run.judgements_file.exists()


def test_a_run_of_another_task_is_refused(tmp_path: Path) -> None:
    options = run_options("weather", ("zero_shot",), sequences=1, steps=2, budget=60)
    engine = ScriptedEngine(lambda _: " sun, 12", MODEL)
    asyncio.run(execute(options, engine, RunDirectory(tmp_path / "run"), resume=False, watcher=Watch()))
    with pytest.raises(UsageError, match="no field of task weather is judged"):
        go(RunDirectory(tmp_path / "run"))
