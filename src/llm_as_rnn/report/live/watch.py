"""A run as it is now: what its viewer is told, and the steps of one part."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from llm_as_rnn.core.errors import RunError
from llm_as_rnn.runs.asked import NO_PROMPTS, Prompts
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.stored import StoredSteps
from llm_as_rnn.viewer.index import STRETCH, PartIndex, ViewerIndex, units
from llm_as_rnn.viewer.trace import PartView, ShownField, Trace, part_view


class RunIndex(ViewerIndex, frozen=True, kw_only=True):
    """What is known of a run before any of its steps is looked at.

    Attributes
    ----------
    title : str
        The task's.
    status : str
        How the run is now (see `runs.directory.RunInfo`).
    steps : int
        How many there are by now.
    facts : list of (str, str)
        What else there is to say, by name.
    credentialed : bool
        Whether its data must not be passed on.
    """

    title: str
    status: str
    steps: int
    facts: list[tuple[str, str]]
    credentialed: bool = False


class Watch:
    """Follows a run through its journal; it never writes, and may be asked from several threads.

    Parameters
    ----------
    directory : RunDirectory
        The run's folder.

    Raises
    ------
    RunError
        If it holds no run, or its journal is damaged.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._steps = directory.stored()
        self._remembering: dict[str, bool] = {}
        self._prompts, self._prompts_size = NO_PROMPTS, -1

    def tag(self) -> tuple[int, ...]:
        """Give figures that are others when there may be something new."""
        files = (self._directory.journal, self._directory.path / "run.json")
        found = [path.stat() if path.exists() else None for path in files]
        return tuple(figure for one in found if one for figure in (one.st_size, one.st_mtime_ns))

    def status(self) -> str:
        """Say how the run is now."""
        return self._directory.current().status

    def index(self) -> RunIndex:
        """Look what there is by now.

        Raises
        ------
        RunError
            If the journal is damaged, or the folder no longer a run's.
        """
        with self._lock:
            info = self._directory.current()
            steps = self._grown()
            methods = list(dict.fromkeys(method for method, _ in steps.names))
            return RunIndex(
                methods,
                self._parts(steps, methods),
                units(info.task),
                info.spec.settings.budget,
                self._asked().problem,
                title=info.task.title,
                status=info.status,
                steps=len(steps),
                facts=_facts(info),
                credentialed=info.credentialed,
            )

    def part(self, sequence: str, first: int, methods: Sequence[int]) -> PartView:
        """Give the steps of a part of the index.

        Parameters
        ----------
        sequence, first, methods
            As the index has them.

        Raises
        ------
        KeyError, IndexError
            If there is no such part.
        RunError
            If the journal is damaged.
        """
        with self._lock:
            task, steps = self._directory.info().task, self._steps
            names = list(dict.fromkeys(method for method, _ in steps.names))
            fields = [ShownField(field) for field in task.answer]
            tracks = [steps.trace(names[place], sequence, first + STRETCH) for place in methods]
            traces = [Trace(task, fields, track) for track in tracks]
            for begin in range(0, first, STRETCH):
                for trace in traces:
                    trace.stretch(begin, begin + STRETCH)  # what came before tells how the memory changed
            return part_view([trace.stretch(first, first + STRETCH) for trace in traces], self._asked().messages)

    def _grown(self) -> StoredSteps:
        try:
            self._steps.grow()
        except RunError:
            self._steps = self._directory.stored()  # another run's journal stands there, or it is damaged
            self._remembering.clear()
        return self._steps

    def _parts(self, steps: StoredSteps, methods: Sequence[str]) -> list[PartIndex]:
        of: dict[str, list[int]] = {}
        for method, sequence in steps.names:
            of.setdefault(sequence, []).append(methods.index(method))
        found = []
        for sequence in sorted(of):
            lengths = {place: steps.length(methods[place], sequence) for place in of[sequence]}
            longest = max(lengths.values())
            for begin in range(0, longest, STRETCH):
                there = [place for place, length in lengths.items() if length > begin]
                remembering = tuple(place for place in there if self._remembers(methods[place], sequence))
                last = min(begin + STRETCH, longest) - 1
                found.append(PartIndex(sequence, begin, last, there, remembering, longest <= STRETCH))
        return found

    def _remembers(self, method: str, sequence: str) -> bool:
        """Tell whether a method keeps a memory, as its first step says."""
        if method not in self._remembering:
            self._remembering[method] = self._steps.trace(method, sequence, 1)[0].memory_after is not None
        return self._remembering[method]

    def _asked(self) -> Prompts:
        path = self._directory.prompts_file
        size = path.stat().st_size if path.exists() else 0
        if size != self._prompts_size:
            self._prompts, self._prompts_size = self._directory.prompts(), size
        return self._prompts


def _facts(info: RunInfo) -> list[tuple[str, str]]:
    pairs = {
        "task": info.task.name,
        "model": info.engine.model,
        "status": info.status,
        "methods": ", ".join(info.spec.methods),
        "started": info.started,
    }
    return [(name, value) for name, value in pairs.items() if value]
