"""A run's folder.

``run.json`` says what it is, ``steps.jsonl`` is the journal, with ``prompts.jsonl`` beside it; ``scores.json`` and
``report.html`` are made of these.
"""

from __future__ import annotations

import platform
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import msgspec

from llm_as_rnn._version import __version__
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import LlmAsRnnError, RunError
from llm_as_rnn.core.files import holds_files, make_folder, make_private, read_file, write_atomically
from llm_as_rnn.core.records import Record, Status
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.terms import is_credentialed
from llm_as_rnn.metrics.judged import Judgement, judged_traces
from llm_as_rnn.metrics.traces import Traces
from llm_as_rnn.runs.asked import Prompts, read_prompts
from llm_as_rnn.runs.journal import OUR_FAULT, Expected, Kind, is_held, read_journal, read_lines
from llm_as_rnn.runs.spec import RunSpec, with_settings
from llm_as_rnn.runs.stored import StoredSteps
from llm_as_rnn.runs.versions import Event, lessons
from llm_as_rnn.runs.writing import same

RunStatus = Literal["running", "finished", "failed", "interrupted"]

JOURNAL = "steps.jsonl"


def _settles(judgement: Judgement) -> Hashable:
    """Give what need not be asked again (`judged.done`): what an engine failed at is asked, and written, once more."""
    if judgement.status is Status.ENGINE_ERROR:
        return None
    return (judgement.pair, judgement.judge, judgement.repeat)


JUDGEMENTS = Kind("judgements", Judgement, _settles)


class RunInfo(Record, frozen=True):
    """The content of ``run.json``.

    Attributes
    ----------
    spec : RunSpec
        What decides the results.
    task : Task
        The task itself, so that a report needs nothing else.
    engine : EngineInfo
        What answered, as it was known at the end: with what it refused and what was noticed of it.
    status : str
        ``running``, ``finished``, ``failed`` (some sequences ended early, or no call to the model succeeded) or
        ``interrupted``.
    failures : dict of str to str
        Why, by ``method/sequence``.
    reasons : dict of str to int
        Why calls to the model failed and how often, the commonest first (see `metrics.summary.failed_calls`).
    versions : dict of str to str
        Of this package, Python and the engine's packages.
    started : str
        ISO 8601, UTC.
    seconds : float
        Wall time over all sittings.
    credentialed : bool
        Whether the folder holds data whose terms forbid passing it on: all of it is then for its owner only.
    remote_data : tuple of str
        Hosts outside this machine that such data was sent to, as the user confirmed (``--allow-remote-data``).
    """

    spec: RunSpec
    task: Task
    engine: EngineInfo
    status: RunStatus
    failures: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    credentialed: bool = False
    remote_data: tuple[str, ...] = ()
    reasons: dict[str, int] = msgspec.field(default_factory=dict)


class RunDirectory:
    """Reads and writes a run's folder.

    Parameters
    ----------
    path : Path
        The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / JOURNAL
        self.prompts_file = path / "prompts.jsonl"
        self.report = path / "report.html"
        self.judgements_file = path / "judgements.jsonl"

    def begin(
        self, spec: RunSpec, task: Task, engine: EngineInfo, *, resume: bool, remote_data: tuple[str, ...] = ()
    ) -> RunInfo:
        """Take the folder for a run, a new one or one that goes on as it was begun; methods may be about to come to it.

        The folder of credentialed data is for its owner only, whatever the umask says.

        Raises
        ------
        RunError
            If it holds a run and ``resume`` is false, holds other things, or cannot be written.
        SpecMismatchError
            If it holds a run with other settings.
        """
        if self.holds_run:
            if not resume:
                raise RunError(
                    f"{self.path} already holds a run", "add --resume to go on with it, or choose another --out"
                )
            info = self.info()
            spec.require_same(info.spec)
            spec.require_addable(info.spec, task)
            return msgspec.structs.replace(info, status="running", failures={}, remote_data=remote_data)
        if holds_files(self.path):  # one that was killed as it began has left an unfinished run.json
            raise RunError(f"{self.path} is not empty and holds no run", "choose another --out")
        credentialed = is_credentialed(task)
        try:
            if credentialed:
                make_private(self.path)
            else:
                make_folder(self.path)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error.strerror}", "choose another --out") from error
        started = datetime.now(UTC).isoformat(timespec="seconds")
        info = RunInfo(
            spec,
            task,
            engine,
            "running",
            versions=_versions(),
            started=started,
            credentialed=credentialed,
            remote_data=remote_data,
        )
        self.save(info)
        return info

    @property
    def holds_run(self) -> bool:
        """Whether there is a run in it."""
        return (self.path / "run.json").exists()

    def info(self) -> RunInfo:
        """Read ``run.json``.

        Raises
        ------
        RunError
            If there is none, or it is not one.
        """
        path = self.path / "run.json"
        try:
            content = msgspec.json.decode(read_file(path), type=dict[str, Any])
            return msgspec.convert({**content, "spec": with_settings(content.get("spec", {}))}, RunInfo)
        except FileNotFoundError:
            raise RunError(f"{self.path} holds no run", "name a folder that `llm-as-rnn run` made") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror}", "check the folder") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LlmAsRnnError) as error:
            raise RunError(f"{path} is damaged: {error}", "restore the file, or begin a new run") from error

    def current(self) -> RunInfo:
        """Read ``run.json``, and say how the run is now: one whose process is gone is interrupted, not running.

        The file stays as it is: the run itself writes it when it goes on.

        Raises
        ------
        RunError
            As `info` does.
        """
        info = self.info()
        if info.status == "running" and not is_held(self.journal):
            return msgspec.structs.replace(info, status="interrupted")
        return info

    def save(self, info: RunInfo) -> None:
        """Write ``run.json``."""
        self.write("run.json", info, private=info.credentialed)

    def confirmed(self) -> tuple[str, ...]:
        """Give the hosts that a run here was allowed to send credentialed data to; none where there is no run."""
        return self.info().remote_data if (self.path / "run.json").exists() else ()

    def write(self, name: str, value: Any, *, private: bool = False) -> None:
        """Write a value as an indented JSON file, for its owner only if it is private.

        Raises
        ------
        RunError
            If it cannot be written, or would be read as another one.
        """
        path = self.path / name
        content = msgspec.json.encode(value)
        if not same(msgspec.to_builtins(value), msgspec.json.decode(content)):
            raise RunError(f"{path} cannot be written: it would be read as something else", OUR_FAULT)
        try:
            write_atomically(path, msgspec.json.format(content, indent=2) + b"\n", private=private)
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror}", "make room there") from error

    def lessons(self) -> Mapping[tuple[str, str], tuple[Event, ...]]:
        """Tell what sequences left to those after them (see `versions.lessons`), in the order in which they ran."""
        info = self.info()
        return lessons(read_journal(self.journal, _expected(info.spec))) if info.spec.settings.shared else {}

    def steps(self) -> Traces:
        """Go through the journal's complete steps: methods in the run's order, then sequences by name, then timesteps.

        They are read a sequence at a time. Where their answers were judged, the judged scores stand beside the others.

        Raises
        ------
        RunError
            If the journal is damaged, now or when the steps are read (see `runs.stored`).
        """
        return judged_traces(self.info().task, self.stored(), self.judgements())

    def stored(self) -> StoredSteps:
        """Give the journal's complete steps as they stand there, which can be looked at again as the run goes on.

        Raises
        ------
        RunError
            As `steps` does.
        """
        return StoredSteps(self.journal, _expected(self.info().spec))

    def records(self) -> list[StepRecord]:
        """Read all that `steps` goes through."""
        return list(self.steps())

    def prompts(self) -> Prompts:
        """Read what the model was asked, as far as it was kept."""
        return read_prompts(self.prompts_file)

    def judgements(self) -> list[Judgement]:
        """Read what was judged, in the order in which it was."""
        return read_lines(self.judgements_file, JUDGEMENTS)


def _expected(spec: RunSpec) -> Expected:
    return Expected(spec.methods, spec.steps)


def _versions() -> dict[str, str]:
    versions = {
        "llm-as-rnn": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for package in ("httpx2", "xllamacpp"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
