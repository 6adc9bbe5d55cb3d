"""Data that must not leave this machine: who is refused, what is recorded, and who can read what is written."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from llm_as_rnn.cli.commands.predict import predict as predict_command
from llm_as_rnn.cli.commands.run import run as run_command
from llm_as_rnn.cli.data import list_
from llm_as_rnn.cli.main import DONE
from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError, UsageError
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Dataset, Sequence
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.datasets.terms import is_credentialed, require_local
from llm_as_rnn.engines import places
from llm_as_rnn.engines.cache import CachedEngine
from llm_as_rnn.engines.llamacpp import LlamaCppEngine
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import execute
from llm_as_rnn.streams.learner import AsyncLearner, Learner
from llm_as_rnn.streams.saved import read_saved
from tests.fake_server import FakeServer, Fault
from tests.helpers import LINES, good_answer, run_options
from tests.runs.test_execute import Watch

ELSEWHERE = "192.0.2.9"
REQUEST = Request("predict", (Message("user", "sun ->"),))


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[Sequence]) -> str:
    """Give the file of a task whose data must not leave: the weather's, under lock and key."""
    dataset = Dataset("secret", "Secret", "a hospital", "credentialed", "y", "little", lambda _: days, lambda: "")
    monkeypatch.setitem(DATASETS, "secret", replace(dataset, credentialed=True))
    text = (files("llm_as_rnn") / "tasks/weather.yaml").read_text(encoding="utf-8")
    assert "dataset: weather" in text
    path = tmp_path / "secret.yaml"
    path.write_text(text.replace("dataset: weather", "dataset: secret").replace("name: weather", "name: secret"))
    return str(path)


@pytest.fixture
def task(secret: str) -> Task:
    return load_task(secret)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "_BOUND", set())  # what other tests found to be here binds none of these


@pytest.fixture
def no_mask() -> Iterator[None]:
    """Let everybody read whatever does not see to it itself."""
    mask = os.umask(0)
    yield
    os.umask(mask)


@contextmanager
def private_network(monkeypatch: pytest.MonkeyPatch, address: str = "192.168.1.7") -> Iterator[None]:
    """Make every name and address one of a private network, as far as the guard can see."""
    with monkeypatch.context() as patch:
        patch.setattr(places, "addresses", lambda host: [address])
        yield


def server() -> FakeServer:
    return FakeServer("openai", models=None, answer=LINES["predict"])


def at(fake: FakeServer, host: str = "127.0.0.1") -> OpenAICompatibleEngine:
    return OpenAICompatibleEngine("fake", base_url=fake.url.replace("127.0.0.1", host), timeout=5.0, max_retries=0)


def go(out: Path, task: str, engine: Engine, *, resume: bool = False, crash: int | None = None, **more: Any) -> RunInfo:
    chosen = {"methods": ("zero_shot",), "sequences": 2, "steps": 5, "budget": 60, "form": "line", **more}
    options = run_options(task, **chosen)
    return asyncio.run(execute(options, engine, RunDirectory(out), resume=resume, watcher=Watch(crash)))


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777) for path in folder.rglob("*")}


class TestPlaces:
    """What counts as this machine."""

    @pytest.mark.parametrize("host", ["", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
    def test_here(self, host: str) -> None:
        assert places.is_here(host)

    @pytest.mark.parametrize(
        "host",
        [None, "192.168.1.7", "10.1.2.3", "172.17.0.1", "0.0.0.0", "::", "fd00::2", "169.254.1.1", "8.8.8.8", "a..b"],  # noqa: S104
    )
    def test_elsewhere(self, host: str | None) -> None:
        assert not places.is_here(host)

    @pytest.mark.parametrize(
        ("found", "here"),
        [(["127.0.0.1"], True), (["127.0.0.1", "::1"], True), (["127.0.0.1", "192.168.1.7"], False), ([], False)],
    )
    def test_a_name_is_here_if_all_its_addresses_are(
        self, monkeypatch: pytest.MonkeyPatch, found: list[str], here: bool
    ) -> None:
        monkeypatch.setattr(places, "addresses", lambda host: found)
        assert places.is_here("some.name") is here

    def test_engines_say_where_they_are(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "https://user:password@models.example:8000/v1")
        assert OpenAICompatibleEngine("m").info.host == "models.example"
        assert OpenAICompatibleEngine("m", base_url="nonsense").info.host is None
        assert LlamaCppEngine(Path("x")).info.host == ""
        assert ScriptedEngine(lambda _: "").info.host == ""
        assert ScriptedEngine(lambda _: "", EngineInfo("s", host=ELSEWHERE)).info.host == ELSEWHERE
        assert EngineInfo("somebody's own").host is None
        assert CachedEngine("openai:m", tmp_path, "record", OpenAICompatibleEngine("m")).info.host == "models.example"
        assert CachedEngine("openai:m", tmp_path, "replay").info.host == ""


class TestGuard:
    """Who is refused."""

    @pytest.mark.parametrize("host", [None, ELSEWHERE])
    def test_elsewhere_or_unknown_is_refused_and_confirmed_hosts_are_remembered(
        self, task: Task, host: str | None
    ) -> None:
        info = EngineInfo("openai:m", host=host)
        with pytest.raises(UsageError, match=r"task secret must not leave this machine.*--allow-remote-data"):
            require_local(task, info, allowed=False)
        hosts = require_local(task, info, allowed=True)
        assert hosts == (host or "unknown",)
        assert require_local(task, info, allowed=False, confirmed=hosts) == hosts
        with pytest.raises(UsageError, match=r"192\.0\.2\.10"):
            require_local(task, replace(info, host="192.0.2.10"), allowed=False, confirmed=hosts)

    def test_other_data_goes_anywhere(self, weather: Task) -> None:
        assert not is_credentialed(weather)
        assert require_local(weather, EngineInfo("openai:m", host=ELSEWHERE), allowed=False) == ()

    def test_nothing_is_confirmed_for_an_engine_here(self, task: Task) -> None:
        assert require_local(task, EngineInfo("m", host=""), allowed=True) == ()

    def test_a_run_is_refused_before_a_byte_is_sent(
        self, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with server() as fake, private_network(monkeypatch):
            with pytest.raises(UsageError, match="must not leave this machine"):
                go(tmp_path / "out", secret, at(fake))
            assert fake.requests == []
        assert not (tmp_path / "out").exists()

    def test_a_recording_cache_does_not_hide_the_engine(
        self, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with server() as fake, private_network(monkeypatch):
            with pytest.raises(UsageError, match="must not leave"):
                go(tmp_path / "out", secret, CachedEngine("openai:fake", tmp_path / "answers", "record", at(fake)))
            assert fake.requests == []

    def test_on_this_machine_it_runs_without_a_word(self, secret: str, tmp_path: Path) -> None:
        with server() as fake:
            info = go(tmp_path / "out", secret, at(fake))
            assert fake.seen("completions")
        assert (info.status, info.credentialed, info.remote_data) == ("finished", True, ())

    def test_confirmed_and_recorded_and_kept_when_resumed(
        self, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"
        with server() as fake, private_network(monkeypatch):
            with pytest.raises(BaseException):  # noqa: B017 - the crash, alone or in a group
                go(out, secret, at(fake), crash=3, allow_remote_data=True)
            assert fake.seen("completions")
            assert json.loads((out / "run.json").read_bytes())["remote_data"] == ["127.0.0.1"]
            asked = len(fake.requests)
            with pytest.raises(UsageError, match="is asked at localhost"):
                go(out, secret, at(fake, "localhost"), resume=True)
            assert len(fake.requests) == asked
            info = go(out, secret, at(fake), resume=True)
            assert (info.status, info.remote_data) == ("finished", ("127.0.0.1",))
            both = go(out, secret, at(fake, "localhost"), resume=True, allow_remote_data=True)
            assert both.remote_data == RunDirectory(out).info().remote_data == ("127.0.0.1", "localhost")

    def test_learners_are_guarded_too(self, task: Task, tmp_path: Path) -> None:
        engine = ScriptedEngine(good_answer("line"), EngineInfo("openai:m", form="line", host=ELSEWHERE))
        for kind in (Learner, AsyncLearner):
            with pytest.raises(UsageError, match="must not leave"):
                kind(task, engine=engine)
        assert engine.requests == []
        with Learner(task, engine=engine, allow_remote_data=True, budget=60) as learner:
            learner.save(tmp_path / "state.json")
        assert read_saved(tmp_path / "state.json").remote_data == (ELSEWHERE,)
        Learner.load(tmp_path / "state.json", engine=engine).close()
        other = ScriptedEngine(good_answer("line"), EngineInfo("openai:m", form="line", host="192.0.2.10"))
        with pytest.raises(UsageError, match="must not leave"):
            Learner.load(tmp_path / "state.json", engine=other)

    def test_so_is_the_command_predict(
        self, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: list[Sequence]
    ) -> None:
        state = tmp_path / "state.json"
        line = json.dumps({"id": "a", "x": days[0].steps[0].observation.fields})

        def predict(fake: FakeServer, *words: str) -> Result:
            where = ["--state", str(state), "-m", "openai:fake", "--base-url", fake.url, "--budget", "60"]
            return CliRunner().invoke(predict_command, [secret, *where, *words], input=f"{line}\n")

        with server() as fake, private_network(monkeypatch):
            refused = predict(fake)
            assert isinstance(refused.exception, UsageError)
            assert "must not leave" in str(refused.exception)
            assert fake.requests == []
            assert predict(fake, "--allow-remote-data").exit_code == 0
            asked = len(fake.seen("completions"))
            assert asked > 0
            assert predict(fake).exit_code == 0, "what was confirmed stays so"
        assert state.stat().st_mode & 0o777 == 0o600


class TestNowhereElse:
    """Requests to this machine stay here, whatever the environment, the server or the name service says."""

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_no_redirect_is_followed(self, status: int) -> None:
        with server() as fake, server() as elsewhere:
            moved = {"location": f"{elsewhere.url}/chat/completions"}
            fake.faults.append(Fault(status=status, headers=moved))

            async def run() -> None:
                engine = at(fake)
                await engine.open()
                try:
                    with pytest.raises(EngineUnavailableError, match=f"{status}: it points to another address"):
                        await engine.complete(REQUEST)
                finally:
                    await engine.close()

            asyncio.run(run())
            assert len(fake.seen("completions")) == 1
            assert elsewhere.requests == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "ours.test"])
    def test_no_proxy_stands_before_this_machine(self, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
        resolve_also(monkeypatch, {"ours.test": "127.0.0.1"})
        with server() as fake, server() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.root)
            assert ask(at(fake, host)) == LINES["predict"]
            assert fake.seen("completions")
            assert proxy.requests == []

    def test_a_name_that_moves_away_is_not_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = {"ours.test": "127.0.0.1"}
        resolve_also(monkeypatch, names)
        with server() as fake:

            async def run() -> None:
                engine = at(fake, "ours.test")
                await engine.open()
                asked = len(fake.requests)
                monkeypatch.setattr(places, "addresses", lambda host: ["192.168.1.7"])
                try:
                    with pytest.raises(EngineUnavailableError, match=r"ours\.test no longer stands for this machine"):
                        await engine.complete(REQUEST)
                finally:
                    await engine.close()
                assert len(fake.requests) == asked

            asyncio.run(run())


def resolve_also(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    """Teach the system's name service some names."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real(names.get(name, name), *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def ask(engine: OpenAICompatibleEngine) -> str:
    async def run() -> str:
        await engine.open()
        try:
            return (await engine.complete(REQUEST)).text
        finally:
            await engine.close()

    return asyncio.run(run())


@pytest.mark.usefixtures("no_mask")
class TestOwnerOnly:
    """What is written of such data is for its owner only, whatever the umask says."""

    def command(self, *words: str) -> int:
        result = CliRunner().invoke(run_command, [*words, "--methods", "zero_shot,recurrent"], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        code: int = result.return_value
        return code

    def script(self, folder: Path) -> str:
        lines = [json.dumps({"role": role, "text": text}) for role, text in LINES.items() if role != "delta"]
        (folder / "script.jsonl").write_text("\n".join(lines))
        return f"scripted:{folder}/script.jsonl"

    def test_everything_in_a_run_and_in_the_cache(self, secret: str, tmp_path: Path) -> None:
        out = tmp_path / "runs" / "out"
        words = [secret, "-m", self.script(tmp_path), "--out", str(out), "--cache", "record", "--form", "line"]
        assert self.command(*words) == DONE
        assert self.command(*words, "--resume") == DONE
        assert out.stat().st_mode & 0o777 == 0o700
        assert {"run.json", "steps.jsonl", "prompts.jsonl", "scores.json", "report.html"} <= modes(out).keys()
        assert set(modes(out).values()) == {"0o600"}
        answers = tmp_path / "cache/llm-as-rnn/answers"
        found = {path.is_dir(): path.stat().st_mode & 0o777 for path in answers.rglob("*")}
        assert found == {True: 0o700, False: 0o600}

    def test_an_empty_folder_that_is_there_is_closed(self, secret: str, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir(mode=0o777)
        go(tmp_path / "out", secret, ScriptedEngine(good_answer("line")))
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
        assert set(modes(tmp_path / "out").values()) == {"0o600"}

    def test_other_runs_are_as_the_umask_says(self, tmp_path: Path) -> None:
        pytest.importorskip("vega_datasets")
        go(tmp_path / "out", "weather", ScriptedEngine(good_answer("line")))
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o777
        assert modes(tmp_path / "out")["steps.jsonl"] == modes(tmp_path / "out")["run.json"] == "0o666"

    def test_a_learner(self, task: Task, tmp_path: Path) -> None:
        path = tmp_path / "state.json"
        with Learner(task, engine=ScriptedEngine(good_answer("line")), form="line", budget=60) as learner:
            learner.save(path)
            assert path.stat().st_mode & 0o777 == 0o600
            learner.save(path)
        assert path.stat().st_mode & 0o777 == 0o600

    def test_the_report_says_at_its_top_what_it_holds(
        self, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"
        words = [secret, "--out", str(out), "--form", "line", "--budget", "60"]
        with server() as fake, private_network(monkeypatch):
            where = ["-m", "openai:fake", "--base-url", fake.url]
            with pytest.raises(UsageError, match="must not leave"):
                self.command(*words, *where)
            assert fake.requests == []
            assert self.command(*words, *where, "--allow-remote-data") == DONE
        page = (out / "report.html").read_text()
        top = page[: page.index('<dl class="facts">')]
        assert "Credentialed data: do not share this page." in top
        assert "dataset “secret”" in top
        assert "It was also sent to 127.0.0.1" in top
        assert self.command("weather", "-m", self.script(tmp_path), "--out", str(tmp_path / "open"), "--quick") == DONE
        assert "Credentialed" not in (tmp_path / "open/report.html").read_text()

    def test_a_judge_elsewhere_is_refused_before_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("vega_datasets")
        monkeypatch.setitem(DATASETS, "weather-text", replace(DATASETS["weather-text"], credentialed=True))
        out = tmp_path / "out"
        words = ["weather-text", "-m", self.script(tmp_path), "--out", str(out), "--quick", "--judge", "openai:fake"]
        with server() as fake, private_network(monkeypatch):
            monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
            with pytest.raises(UsageError, match="must not leave"):
                self.command(*words)
            assert fake.requests == []
        assert not out.exists()


def test_a_list_of_data_says_all_of_it_in_80_columns(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console  # noqa: PLC0415

    narrow = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    monkeypatch.setattr("llm_as_rnn.cli.data.console", narrow)
    entry = replace(DATASETS["secret"], ready=lambda: "pip install 'llm-as-rnn[secret]'")
    monkeypatch.setitem(DATASETS, "secret", entry)
    list_()
    lines = narrow.export_text().splitlines()
    narrow.file.close()
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    for part in ("a hospital", "little", "not ready: pip install", "llm-as-rnn[secret]", "must not leave"):
        assert part in words
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in DATASETS)
