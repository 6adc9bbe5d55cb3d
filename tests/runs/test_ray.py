"""Runs on a Ray cluster of three nodes on this machine: they write the journal of a run in one process, come what may.

Ray runs in processes of its own, started here: inside a test it would meet the rules of tests on sockets and warnings.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.cli.executors import _host
from llm_as_rnn.cli.process import INTERRUPTED
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from tests.cli.commands import command, process
from tests.cli.test_kill import OPTIONS as FEW
from tests.cli.test_kill import lines, script
from tests.fake_server import FakeServer
from tests.helpers import content
from tests.runs import ray_driver
from tests.runs.test_execute import INFO, Watch, answer

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)

ROOT = Path(__file__).parents[2]
METHODS = "full_history,recurrent:rewrite,advised"


class Nodes:
    """The cluster's process."""

    def __init__(self) -> None:
        program = [sys.executable, "-m", "tests.runs.ray_nodes"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            program, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )

    def whole(self) -> dict[str, Any]:
        """Put back what was killed; give the cluster's address, and the processes of its nodes."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    started = Nodes()
    yield started
    started.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the driver's run in this process."""
    out = tmp_path_factory.mktemp("local") / "run"
    engine = ScriptedEngine(answer, INFO)
    asyncio.run(execute(ray_driver.OPTIONS, engine, RunDirectory(out), resume=False, watcher=Watch()))
    return out


def require_same(out: Path, local: Path) -> None:
    assert content(out) == content(local)
    assert dict(RunDirectory(out).prompts().messages) == dict(RunDirectory(local).prompts().messages)


@pytest.mark.parametrize(
    "deed", ["worker", *(pytest.param(deed, marks=pytest.mark.long) for deed in ("server", "node"))]
)
def test_what_dies_costs_nothing_that_was_kept(deed: str, tmp_path: Path, nodes: Nodes, local: Path) -> None:
    asked = {**nodes.whole(), "deed": deed, "out": str(tmp_path / "run")}
    words = [sys.executable, "-m", "tests.runs.ray_driver", json.dumps(asked)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert not ended.stderr
    did, status = ended.stdout.splitlines()
    assert did.startswith("server away" if deed == "server" else "killed ")
    assert status == "finished"
    require_same(tmp_path / "run", local)


def words(model: str, out: Path, address: str | None, *more: str) -> list[str]:
    """Give a command; with an address it is for Ray."""
    on = [] if address is None else ["--executor", "ray", "--ray-address", address]
    return ["run", "weather", "-m", model, "--out", str(out), "--methods", METHODS, "--shared", "60", *FEW, *on, *more]


@pytest.mark.long
def test_a_run_goes_on_from_one_executor_to_the_other(tmp_path: Path, nodes: Nodes) -> None:
    model, whole, out = script(tmp_path), tmp_path / "whole", tmp_path / "run"
    assert command(*words(model, whole, None)).returncode == 0
    stopped = command(*words(model, out, None, "--max-tokens", "3000"))
    assert stopped.returncode == 1
    begun = lines(out / "steps.jsonl")
    ended = process(*words(model, out, nodes.whole()["address"], "--resume", "--max-tokens", "3000"))
    assert ended.returncode == 1, ended.stderr
    assert "(--max-tokens)" in ended.stderr
    further = lines(out / "steps.jsonl")
    assert begun < further < lines(whole / "steps.jsonl")
    assert command(*words(model, out, None, "--resume")).returncode == 0
    require_same(out, whole)


@pytest.mark.long
def test_a_driver_that_is_killed_is_gone_on_with(tmp_path: Path, nodes: Nodes) -> None:
    model, whole, out = script(tmp_path), tmp_path / "whole", tmp_path / "run"
    assert command(*words(model, whole, None)).returncode == 0
    address = nodes.whole()["address"]
    run = begin(*words(model, out, address))
    _await_steps(run, out, 12)
    run.kill()
    run.communicate()
    assert 12 <= lines(out / "steps.jsonl") < lines(whole / "steps.jsonl")
    ended = process(*words(model, out, address, "--resume"))
    assert (ended.returncode, ended.stderr) == (0, "")
    require_same(out, whole)


@pytest.mark.long
def test_an_interrupt_ends_a_run_in_order_and_all_of_its_cluster(tmp_path: Path) -> None:
    out = tmp_path / "run"
    more = ("--executor", "ray", "--engines", "2", "--sequences", "8", "--steps", "60")
    run = begin(*words(script(tmp_path), out, None, *more))
    _await_steps(run, out, 5)
    children = _descendants(run.pid)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == INTERRUPTED
    assert re.match(r"interrupted; \d+ of \d+ steps are kept. To go on:", errors)
    assert RunDirectory(out).info().status == "interrupted"
    assert len(children) > 3
    for pid in children:
        assert not Path(f"/proc/{pid}/exe").exists() or _ended(pid)


def begin(*arguments: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "llm_as_rnn", *arguments]
    return subprocess.Popen(
        program,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - tests may run with it ignored
    )


def _await_steps(run: subprocess.Popen[str], out: Path, count: int) -> None:
    while lines(out / "steps.jsonl") < count:
        assert run.poll() is None, run.stderr and run.stderr.read()


def _descendants(pid: int) -> list[int]:
    """List the processes that one has started, and those that these have."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _ended(pid: int) -> bool:
    """Wait until a process has ended."""
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], 30)[0])
    finally:
        os.close(handle)


def test_servers_are_named_by_a_list_and_share_the_work(tmp_path: Path, nodes: Nodes) -> None:
    def answering(body: dict[str, Any]) -> str:
        return [" rain, 9.5", " sun, 20"][len(body["prompt"]) % 2]

    asks = ["run", "weather", "-m", "openai:fake", "--methods", "full_history", *FEW]
    on = ["--executor", "ray", "--ray-address", nodes.whole()["address"], "--concurrency", "1"]
    with FakeServer(answer=answering, api_key="k") as one, FakeServer(answer=answering, api_key="k") as other:
        key = {"OPENAI_API_KEY": "k"}
        assert process(*asks, "--out", str(tmp_path / "here"), "--base-url", one.url, **key).returncode == 0
        before = len(one.seen("completions"))
        servers = ["--base-url", one.url, "--base-url", other.url, "--engines", "2"]
        ended = process(*asks, "--out", str(tmp_path / "there"), *servers, *on, **key)
        assert (ended.returncode, ended.stderr) == (0, "")
        # A sequence each: the first method's two sequences are with an engine of their own.
        assert len(one.seen("completions")) - before == len(other.seen("completions")) == before / 2
    require_same(tmp_path / "there", tmp_path / "here")


@pytest.mark.long
def test_a_sweep_on_ray(tmp_path: Path, nodes: Nodes) -> None:
    sweep = tmp_path / "two.yaml"
    sweep.write_text(
        "title: two runs\nmethods: [zero_shot]\nsettings: {form: line, style: completion}\nruns:\n"
        "  - {name: first, task: weather, sequences: 2, steps: 3, split: development}\n"
        "  - {name: second, task: weather, sequences: 1, steps: 4, split: development}\n"
    )
    model, address = script(tmp_path), nodes.whole()["address"]
    here, there = tmp_path / "here", tmp_path / "there"
    assert command("sweep", str(sweep), "-m", model, "--out", str(here)).returncode == 0
    on = ["--executor", "ray", "--ray-address", address]
    ended = process("sweep", str(sweep), "-m", model, "--out", str(there), *on)
    assert ended.returncode == 0, ended.stderr
    for name in ("first", "second"):
        [run] = here.glob(f"*/{name}")
        require_same(there / run.relative_to(here), run)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "there is no Ray cluster at 127.0.0.1:1: "),
        (
            "ray://127.0.0.1:10001",
            "'ray://127.0.0.1:10001' is no address of a Ray cluster (write --ray-address HOST:6379)",
        ),
        ("somewhere", "'somewhere' is no address of a Ray cluster (write --ray-address HOST:6379)"),
    ],
)
def test_an_address_that_does_not_answer_is_said_in_one_line(tmp_path: Path, address: str, says: str) -> None:
    ended = process(*words(script(tmp_path), tmp_path / "run", address))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {says}")
    assert ended.stderr.count("\n") == 1


def test_more_engines_than_the_cluster_has_processors_are_refused(tmp_path: Path, nodes: Nodes) -> None:
    ended = process(*words(script(tmp_path), tmp_path / "run", nodes.whole()["address"], "--engines", "4"))
    says = "the Ray cluster has 3 processors, and each of 4 engines takes one"
    assert (ended.returncode, ended.stderr) == (2, f"error: {says} (ask for fewer with --engines, or add nodes)\n")


def test_without_ray_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = command(*words(script(tmp_path), tmp_path / "run", None, "--executor", "ray"))
    assert ended.returncode == 2
    assert ended.stderr == "error: this needs the package ray, which is not installed (pip install 'llm-as-rnn[ray]')\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--engines", "2"], "--engines is for a run on Ray (add --executor ray)"),
        (
            ["--base-url", "http://127.0.0.1:1/v1", "--base-url", "http://127.0.0.1:2/v1"],
            "several servers are asked on Ray alone (add --executor ray, or name one --base-url)",
        ),
    ],
)
def test_what_is_for_ray_alone_is_refused_without_it(tmp_path: Path, more: list[str], says: str) -> None:
    ended = command(*words("openai:m", tmp_path / "run", None, *more))
    assert (ended.returncode, ended.stderr) == (2, f"error: {says}\n")


def test_a_cluster_is_elsewhere_for_data_that_must_not_leave() -> None:
    assert _host([""], None) == ""
    assert _host([""], "192.0.2.7:6379") == "192.0.2.7"
    assert _host([""], "127.0.0.1:6379") is None
    assert _host([""], "auto") is None
    assert _host(["127.0.0.1", "192.0.2.8", "192.0.2.9"], None) == "192.0.2.8, 192.0.2.9"
    assert _host(["192.0.2.8", None], None) is None
