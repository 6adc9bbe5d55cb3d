"""However many signals come in quick succession, a run ends as at one: resumable, without a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from llm_as_rnn.cli.process import BELONG_TOGETHER, INTERRUPTED, Interrupts
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command
from tests.cli.test_kill import DEFAULT_STEPS, OPTIONS, lines, script
from tests.fake_server import FakeServer
from tests.helpers import content

INT, TERM = signal.SIGINT, signal.SIGTERM

AT = """
import os, signal, sys
import {module} as module
from llm_as_rnn.cli.main import main

wrapped = module.{name}
left = {times}

def interrupted(*arguments, **named):
    global left
    left -= 1
    if left == 0:
        for _ in range(3):
            os.kill(os.getpid(), signal.{signal})
    return wrapped(*arguments, **named)

module.{name} = interrupted
main()
"""
"""A program that is the command line, and gets three signals when it comes to a certain function."""


def interrupted_at(module: str, name: str, *arguments: str, times: int = 1, stop: str = "SIGINT") -> tuple[int, str]:
    code = AT.format(module=module, name=name, times=times, signal=stop)
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


@pytest.mark.parametrize("signals", [(INT, INT), (TERM, TERM, INT)])
@pytest.mark.long
def test_signals_in_quick_succession_end_a_run_as_one_does(tmp_path: Path, signals: tuple[signal.Signals, ...]) -> None:
    out = tmp_path / "run"
    with FakeServer() as server:
        calls = 0

        def answer(body: object) -> str:
            nonlocal calls
            calls += 1
            if calls > 20:
                server.released.wait()  # a call hangs
            return " rain, 9.5"

        server.answer = answer
        arguments = ["run", "weather", "-m", "openai:fake", "--base-url", server.url, "--out", str(out), *OPTIONS]
        process = subprocess.Popen([sys.executable, "-m", "llm_as_rnn", *arguments], stderr=subprocess.PIPE, text=True)
        while calls <= 20:
            assert process.poll() is None
            time.sleep(0.0005)  # only looks; what it waits for is the call that hangs
        for one in signals:
            process.send_signal(one)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == INTERRUPTED, errors
        assert "Traceback" not in errors
        assert "are kept. To go on:" in errors
        assert RunDirectory(out).info().status == "interrupted"
        server.answer = " rain, 9.5"
        assert command(*arguments, "--resume").returncode == 0
    assert lines(out / "steps.jsonl") == DEFAULT_STEPS


@pytest.mark.parametrize(
    ("module", "name", "times", "stop"),
    [
        ("llm_as_rnn.runs.walk", "step_scores", 7, "SIGTERM"),  # in the middle of a step
        ("llm_as_rnn.runs.execute", "_conclude", 1, "SIGINT"),  # while the run is put in order
        ("llm_as_rnn.cli.run", "execute", 1, "SIGINT"),  # before there is anything to cancel
    ],
)
def test_wherever_they_come_the_run_goes_on_with_resume(
    tmp_path: Path, module: str, name: str, times: int, stop: str
) -> None:
    out, whole = tmp_path / "run", tmp_path / "whole"
    arguments = ["run", "weather", "-m", script(tmp_path), *OPTIONS, "--methods", "recurrent:rewrite", "--out"]
    code, errors = interrupted_at(module, name, *arguments, str(out), times=times, stop=stop)
    assert code == INTERRUPTED, errors
    assert "Traceback" not in errors
    assert "never awaited" not in errors
    assert "--resume" in errors
    assert not (out / "run.json").exists() or RunDirectory(out).info().status in ("interrupted", "finished")
    for end in ([str(out), "--resume"], [str(whole)]):
        assert command(*arguments, *end).returncode == 0
    assert content(out) == content(whole)


def test_interrupted_while_its_report_is_written_a_run_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["run", "weather", "-m", script(tmp_path), *OPTIONS, "--methods", "zero_shot", "--out", str(out)]
    code, errors = interrupted_at("llm_as_rnn.cli.results", "write_report", *arguments)
    assert code == INTERRUPTED
    assert "Traceback" not in errors
    assert f"llm-as-rnn report {out}" in errors
    assert RunDirectory(out).info().status == "finished"
    assert not (out / "report.html").exists()
    again, errors = interrupted_at("llm_as_rnn.cli.results", "write_report", "report", str(out))
    assert (again, "Traceback" in errors) == (INTERRUPTED, False)


LAST = """
import os, signal
from llm_as_rnn.cli.main import main

class Last:
    def __del__(self, kill=os.kill, process=os.getpid(), number=signal.{signal}):
        kill(process, number)

last = Last()
{program}
"""
"""A program that gets a signal when Python has put the system's own handling in place of all handlers."""


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_very_last_moment_changes_no_exit_code(tmp_path: Path, stop: str) -> None:
    interrupted = AT.format(module="llm_as_rnn.runs.directory", name="RunDirectory.info", times=1, signal="SIGINT")
    for program, code in ((interrupted, INTERRUPTED), ("main()", 2)):
        words = [sys.executable, "-c", LAST.format(program=program, signal=stop), "report", str(tmp_path)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["own_data", "workers_of", "execute"])
def test_a_run_hears_both_signals_from_its_beginning_on(tmp_path: Path, name: str) -> None:
    arguments = ["run", "weather", "-m", script(tmp_path), *OPTIONS, "--out", str(tmp_path / "run")]
    for stop in ("SIGINT", "SIGTERM"):
        code, errors = interrupted_at("llm_as_rnn.cli.run", name, *arguments, stop=stop)
        assert (code, "Traceback" in errors) == (INTERRUPTED, False), errors
        assert errors.strip().startswith("interrupted")


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("llm_as_rnn.runs.directory", "RunDirectory.info", ["report", "run"]),
        ("llm_as_rnn.cli.data", "own_data", ["data", "show", "weather"]),
        ("llm_as_rnn.cli.main", "_explain", ["report", "none"]),  # when the command is over already
    ],
)
def test_every_command_hears_both_signals(module: str, name: str, arguments: list[str]) -> None:
    for stop in ("SIGINT", "SIGTERM"):
        code, errors = interrupted_at(module, name, *arguments, stop=stop)
        assert (code, errors.strip()) == (INTERRUPTED, "interrupted")


class Left(BaseException):
    """The process is gone."""


def leave(code: int) -> NoReturn:
    raise Left(code)


def told_at(moments: list[float]) -> Callable[[], float]:
    left = iter(moments)
    return lambda: next(left)


def test_who_has_lost_patience_leaves_at_once() -> None:
    interrupts = Interrupts(told_at([10.0, 10.1, 10.0 + BELONG_TOGETHER + 0.1]), leave)
    with pytest.raises(KeyboardInterrupt):
        interrupts.told()
    interrupts.told()
    with pytest.raises(Left, match=str(INTERRUPTED)):
        interrupts.told()


def test_a_coroutine_is_cancelled_once_and_puts_its_things_in_order() -> None:
    interrupts, order = Interrupts(leave=leave), []

    async def work() -> None:
        try:
            interrupts.told()
            await asyncio.Event().wait()
        finally:
            interrupts.told()
            await asyncio.sleep(0)
            order.append("in order")

    with pytest.raises(KeyboardInterrupt):
        interrupts.run(work())
    assert order == ["in order"]


def test_a_coroutine_that_ends_gives_its_value() -> None:
    async def work() -> int:
        return 7

    assert Interrupts().run(work()) == 7


def test_signals_that_were_to_be_ignored_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before, other = signal.signal(INT, signal.SIG_IGN), signal.getsignal(TERM)
    try:
        Interrupts().listen()
        os.kill(os.getpid(), INT)
        assert signal.getsignal(INT) is signal.SIG_IGN
    finally:
        signal.signal(INT, before)
        signal.signal(TERM, other)
