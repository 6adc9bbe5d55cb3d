"""A reader who does all that a page says, in an empty folder, with a script in the place of every model."""

from __future__ import annotations

import doctest
import io
import json
import os
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from llm_as_rnn.cli.main import main
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.engines import models, resolve
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.leakage import check
from tests.datasets.mimic_folder import made, write
from tests.helpers import LINES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

NOT_RUN = {
    "pip": "It needs a network. The extras that it names are compared with pyproject.toml.",
    "uvx": "It takes packages from the index. tests/test_packaging.py runs the wheel without.",
    "pipx": "As uvx.",
    "make": "It installs, or takes minutes. The target is looked for in the Makefile.",
    "cmake": "It builds another project.",
    "build/bin/llama-server": "It belongs to that other project.",
    "llm-as-rnn sweep benchmarks/results.yaml": "It asks a model for hours. The file is read by another test.",
    "python benchmarks/results.py": "It makes tables of this checkout. Another test makes some elsewhere.",
    "llm-as-rnn view": "It shows a run until it is told to end. tests/cli/test_view.py does.",
    "llm-as-rnn doctor": "It tells of a file or a server that is not there. tests/cli/test_doctor.py does all of it.",
    "llm-as-rnn serve": "It serves until it is told to end, and keeps things. tests/cli/test_serve.py does all of it.",
    "curl": "It asks a service. tests/service/http/test_page.py asks the same.",
    "ray": "It starts a cluster. Others are started in tests/runs/test_ray.py.",
    "vllm": "It belongs to another project.",
    "python benchmarks/ray_scaling.py": "It takes minutes, and processes that a test may not start. It is there.",
    "python benchmarks/forms.py": "It asks a model some thousand times. That the file is there is checked.",
    "python benchmarks/peers.py": "It makes environments, and measures for minutes. Another test runs two programs.",
    "python benchmarks/speed_page.py": "It writes a page of this checkout. Another test writes it elsewhere.",
    "createdb": "It needs a PostgreSQL, as those below. The service's tests start one, and dump and restore it.",
    "createuser": "It makes a user of PostgreSQL's.",
    "pg_dump": "See above.",
    "pg_restore": "See above.",
    "python benchmarks/retention.py": "It takes half a minute on data as long as it needs. The same is checked.",
}
"""How the commands begin that a block may have and no test can run, each with the reason."""

DAY = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "README.md": {"today": DAY, "stream": [({"question": "what is a fjord?"}, "definition")] * 3},
}
"""What a page's Python takes as there already."""

ANSWERS = (" rain, 9.5", " rain, 9.5, false", " 300", " more, 300", " good, 3.5", " a wet day; b; c; d; e")
"""Lines of which one fits each task that a page runs."""

SHORT = ["--steps", "6"]
"""What makes a run short enough; nothing that the pages say of these runs depends on it."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(block: str) -> Iterator[list[str]]:
    r"""Give the words of each command in a block: no comments, and nothing in square brackets, which may be left out.

    >>> list(commands("run a \\\n  --b c  # d\nx && y RUN [RUN ...]"))
    [['run', 'a', '--b', 'c'], ['x'], ['y', 'RUN']]
    """
    for line in block.replace("\\\n", " ").splitlines():
        for command in re.sub(r"(?<=\s)\[.*?\]", "", line.partition(" # ")[0]).split("&&"):
            if words := shlex.split(command):
                yield words


def not_run(words: list[str]) -> str | None:
    """Give the entry of `NOT_RUN` that a command is one of, if there is any."""
    return next((start for start in NOT_RUN if f"{' '.join(words)} ".startswith(f"{start} ")), None)


class Reader:
    """Does what a page says.

    Parameters
    ----------
    folder : Path
        Where; empty, and the current directory.
    capsys : CaptureFixture
        Where to see what was printed.
    monkeypatch : MonkeyPatch
        With which models and standard input are replaced, until the test ends.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.capsys, self.monkeypatch = folder, capsys, monkeypatch
        self.unexplained = ""
        """What a command said that failed, until the page shows it."""
        self.runs = 0
        monkeypatch.chdir(folder)
        for name in ("CACHE", "CONFIG", "DATA"):
            monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
        # Every way to ask is tried elsewhere (tests/runs/test_check.py); here the first ones are enough.
        ways = check._settings
        monkeypatch.setattr(check, "_settings", lambda form: islice(ways(form), 2))
        stand_in(monkeypatch)

    def follow(self, page: Path) -> int:
        """Do all that is in the blocks of a page; give how many there were."""
        examples = list(self._parsed(page))
        for example in examples:
            example.evaluate()
        assert not self.unexplained, self.unexplained
        return len(examples)

    def _parsed(self, page: Path) -> Document:
        does: dict[str, Callable[[Example], None]] = {
            "sh": self._shell,
            "console": self._session,
            "csv": self._save,
            "yaml": self._save,
            "toml": self._save,
            "text": self._compare,
        }
        python = PythonCodeBlockParser(doctest_optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        document = Sybil([python, *(CodeBlockParser(name, it) for name, it in does.items())]).parse(page)
        document.namespace.update(GIVEN.get(name_of(page), {}))
        return document

    def _save(self, example: Example) -> None:
        """Write a file that the page says to save."""
        said = re.search(r"[Ss]ave this as `([\w.]+)`:\s*$", example.document.text[: example.start])
        if said:
            (self.folder / said[1]).write_text(example.parsed, encoding="utf-8")

    def _compare(self, example: Example) -> None:
        """Compare what a failed command said with what the page says that it does."""
        if self.unexplained or example.parsed.startswith("error:"):
            assert example.parsed == self.unexplained
            self.unexplained = ""

    def _shell(self, example: Example) -> None:
        for words in commands(example.parsed):
            assert not self.unexplained, self.unexplained
            self._do(words)

    def _do(self, words: list[str]) -> None:
        program, *arguments = words
        if not_run(words):
            return
        if program == "python":
            script, *arguments = (self._there(word) for word in arguments)
            self.monkeypatch.setattr(sys, "argv", [script, *arguments])
            self.monkeypatch.syspath_prepend(Path(script).parent)
            runpy.run_path(script, run_name="__main__")
        else:
            assert program == "llm-as-rnn", f"{program} is neither run nor among those that cannot be"
            self.capsys.readouterr()
            code = run(self._completed([self._there(word) for word in arguments]))
            if code:
                self.unexplained = "".join(self.capsys.readouterr())

    def _completed(self, words: list[str]) -> list[str]:
        """Add to a run what keeps it short and gives it a folder of its own; to a sweep, what keeps it short."""
        if words[0] == "sweep":
            words = without_ray(words)
            return [*words, *SHORT, "--sequences", "2"]
        if words[0] != "run":
            return words
        words = without_ray(words)
        self.runs += 1
        words = [*words, *SHORT, *([] if "--data" in words else ["--sequences", "2"])]
        return words if "--out" in words else [*words, "--out", f"runs/{Path(words[1]).stem}-{self.runs}"]

    def _there(self, word: str) -> str:
        """Give what a word stands for, and put there what a page takes as there."""
        path = self.folder / word
        if word.endswith("-..."):
            return str(max(self.folder.glob(f"{word.removesuffix('...')}*")))
        if word.endswith("=FOLDER"):
            write(self.folder / "FOLDER", made(patients=40))
            return f"{word.removesuffix('FOLDER')}{self.folder / 'FOLDER'}"
        if word == "FOLDER":
            write(path, made(patients=40))
        elif word.startswith(("benchmarks/", "docs/")):
            return str(ROOT / word)
        elif word.rpartition("=")[2] in ("my_task.yaml", "my.csv"):
            # A sweep's file names the task, and its command the data.
            shutil.copy(ROOT / "examples/task/task.yaml", self.folder / "my_task.yaml")
            shutil.copy(ROOT / "examples/task/data.csv", self.folder / "my.csv")
        elif word == "my_prompts/":
            path.mkdir()
        elif word.startswith("intents-"):
            path.write_text("".join(map("{}\n".format, streams())), encoding="utf-8")
        return word

    def _session(self, example: Example) -> None:
        """Type the lines of a session into a command, and compare the form of its answers."""
        prompt, *lines = example.parsed.splitlines()
        parsed = [json.loads(line) for line in lines]
        typed = [line for line, what in zip(lines, parsed, strict=True) if "x" in what or "y" in what]
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(typed).encode())))
        self.capsys.readouterr()
        (words,) = commands(prompt.removeprefix("$ "))
        assert run([os.path.expandvars(word) for word in words[1:]]) == 0
        answers = map(json.loads, self.capsys.readouterr().out.splitlines())
        told = [what for what in parsed if not ("x" in what or "y" in what)]
        assert list(map(form, answers)) == list(map(form, told))


ON_RAY = ("--executor", "--ray-address", "--engines")


def without_ray(words: list[str]) -> list[str]:
    """Give the command that makes the same run in this process: Ray has tests and processes of its own.

    >>> without_ray(["run", "weather", "--executor", "ray", "--base-url", "http://a/v1", "--base-url", "http://b/v1"])
    ['run', 'weather', '--base-url', 'http://a/v1']
    """
    if "--executor" not in words:
        return words
    pairs = list(zip(words, [*words[1:], ""], strict=True))
    first = words.index("--base-url") if "--base-url" in words else -1
    left = {
        at + more
        for at, (word, _) in enumerate(pairs)
        for more in (0, 1)
        if word in ON_RAY or (word == "--base-url" and at != first)
    }
    return [word for at, word in enumerate(words) if at not in left]


def form(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give an answer without what depends on the model: the figures, the option, how long its notes are."""
    told = {**answer, "memory_tokens": "memory_tokens" in answer}
    of_fields = {name: list(value) for name, value in answer.items() if isinstance(value, dict)}
    among = {name: sorted(options) for name, options in answer.get("among", {}).items()}
    advisers = {name: list(row) for name, row in answer.get("believed", {}).items()}
    return {**told, **of_fields, "among": among, "believed": advisers}


def run(words: list[str]) -> int:
    """Run the program in this process; give its exit code."""
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


def streams() -> Iterator[str]:
    """Give streams of intents, as `benchmarks/intents.py` takes them, 24 of 8 questions each."""
    phrases = {"synonym": "what is like {} ?", "antonym": "the other side of {} ?", "definition": "{} means what ?"}
    for number in range(24):
        for t in range(8):
            intent, phrase = list(phrases.items())[(number + t // 2) % 3]
            yield json.dumps(
                {"sequence": str(number), "t": t, "question": phrase.format(f"< w{t} >"), "intent": intent}
            )


# --- in the place of a model ----------------------------------------------------------------------------------------


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every model string give a script, as long as it is one that could name a model."""

    def embedded(_path: Path, *, model: str, entry: Any, **_options: Any) -> ScriptedEngine:
        return ScriptedEngine(answer, EngineInfo(model, digest="d", form=entry.form, style=entry.style))

    def server(name: str, **_options: Any) -> ScriptedEngine:
        return ScriptedEngine(answer, EngineInfo(f"openai:{name}", digest="d", context_window=32_768))

    monkeypatch.setattr(models, "pull", lambda name, _progress: Path(models.registered(name).file))
    monkeypatch.setattr(resolve, "_model_file", lambda name, _progress: (Path(name), models.registered(name)))
    monkeypatch.setattr(resolve, "LlamaCppEngine", embedded)
    monkeypatch.setattr(resolve, "OpenAICompatibleEngine", server)


def answer(request: Request) -> str:
    """Give an answer of the kind that is asked for."""
    wanted = request.answer
    if wanted.schema is not None:
        return json.dumps(sample(wanted.schema))
    if wanted.choices:
        return f" {wanted.choices[0]}"
    fits = (text for text in (LINES[request.role], *ANSWERS) if wanted.regex and re.fullmatch(wanted.regex, text))
    return next(fits, LINES[request.role])


def sample(schema: Mapping[str, Any]) -> Any:
    """Give a value that fits a schema.

    >>> sample({"type": "object", "properties": {"sky": {"enum": ["sun", "fog"]}, "high": {"pattern": "^[0-9]+$"}}})
    {'sky': 'sun', 'high': '10'}
    """
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: sample(part) for name, part in schema["properties"].items()}
    if schema.get("type") == "array":
        return [sample(schema["items"]) for _ in range(schema.get("minItems", 1))]
    return "10" if "pattern" in schema else "a note"
