"""What is fuzzed: a function from bytes for each reader, with seeds that are in order.

A target may raise nothing: an error of this package's own is how a reader refuses, and is caught here. What a reader
takes has to be something that can be written and read again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars

from llm_as_rnn.cli.lines import answers
from llm_as_rnn.cli.predict import _steps as steps
from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.errors import EngineUnavailableError, LlmAsRnnError
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import SHIPPED, Task, load_task
from llm_as_rnn.datasets.formats import read_rows
from llm_as_rnn.datasets.making import make as make_table
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.engines.gguf import has_chat_template
from llm_as_rnn.engines.replies import read_reply
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.recurrence.memory import read_memory
from llm_as_rnn.runs.asked import read_prompts
from llm_as_rnn.runs.journal import PROMPTS, read_journal
from llm_as_rnn.runs.writing import Journal, whole
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.online import revive
from llm_as_rnn.streams.saved import read_saved
from tests.datasets.published import FILES
from tests.fuzz.files import gguf_header, state_file, step
from tests.helpers import make


class Target(NamedTuple):
    """A reader, and bytes that it reads."""

    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


_kept = tempfile.TemporaryDirectory(prefix="fuzz-")
"""Where readers find their file; gone with the process."""


def _folder() -> Path:
    return Path(_kept.name)


def _file(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(content)
    return path


def journal(content: bytes) -> None:
    """Read a run's journal; what is in order is written again and read as the same."""
    with suppress(LlmAsRnnError):
        for record in read_journal(_file("steps.jsonl", content)):
            assert msgspec.json.decode(msgspec.json.encode(record), type=StepRecord) == record


def prompts(content: bytes) -> None:
    """Read what was asked in a run: it is read as far as it is in order, and can be written again."""
    found = read_prompts(_file("prompts.jsonl", content))
    assert whole(found.messages.values(), PROMPTS).count(b"\n") == len(found.messages) + 1


def state(content: bytes) -> None:
    """Read a learner's file, with the stream in it."""
    with suppress(LlmAsRnnError):
        saved = read_saved(_file("state.json", content))
        method = make(saved.method, saved.task)
        stream = revive(method, bytes(saved.stream))
        assert revive(method, msgspec.json.encode(stream)) == stream


def task(content: bytes) -> None:
    """Read a task file; its digest stays the same when it is written and read again."""
    with suppress(LlmAsRnnError):
        read = load_task(str(_file("task.yaml", content)))
        assert msgspec.json.decode(msgspec.json.encode(read), type=Task).digest == read.digest


def _table(suffix: str) -> Callable[[bytes], None]:
    own = load_task("examples/task/task.yaml")

    def table(content: bytes) -> None:
        path = _file(f"table{suffix}", content)
        with suppress(LlmAsRnnError):
            rows = read_rows(path, content)
            assert json.loads(json.dumps([row.cells for row in rows.rows], allow_nan=False)) is not None
        with suppress(LlmAsRnnError):
            read_table(path, own)

    return table


def _published(name: str, place: int = 0) -> Target:
    """Give the reader of one of a publisher's files, the others of which are in order."""
    paths = FILES[name](_folder())
    seeds = (paths[place].read_bytes(),)

    def published(content: bytes) -> None:
        kept = paths[place].read_bytes()
        paths[place].write_bytes(content)
        with suppress(LlmAsRnnError):
            found = make_table(dataset(name), paths)
            read_rows(Path("made.jsonl"), found.content)
        paths[place].write_bytes(kept)

    return Target(published, seeds)


def reply(content: bytes) -> None:
    """Read a server's reply, and the answer in it."""
    request = Request("predict", (Message("user", "sun ->"),))
    with suppress(LlmAsRnnError):
        completion = read_reply(content, request, "the server").completion
        assert msgspec.json.decode(msgspec.json.encode(completion), type=type(completion)) == completion
        answer(completion.text.encode())


def answer(content: bytes) -> None:
    """Read a model's answer in every notation, and as a memory."""
    text, own = content.decode("utf-8", "replace"), load_task("weather")
    for spec in (own.spec("json"), own.spec("line"), msgspec.structs.replace(own.spec("line"), notation="block")):
        with suppress(LlmAsRnnError):
            assert spec.read(spec.show(spec.read(text)))
    with suppress(LlmAsRnnError):
        read_memory(text, own, "json")
    with suppress(LlmAsRnnError):
        read_memory(text, own, "line")


def gguf(content: bytes) -> None:
    """Look into a model file's header: there is always an answer."""
    assert has_chat_template(_file("model.gguf", content)) in (True, False)


def script(content: bytes) -> None:
    """Read a script."""
    with suppress(LlmAsRnnError):
        ScriptedEngine.from_file(_file("script.jsonl", content))


def prompt(content: bytes) -> None:
    """Read a template of a user's own, and fill it."""
    folder = _folder() / "prompts" / "recurrence"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "repair.j2").write_bytes(content)
    with suppress(LlmAsRnnError):
        Prompts.with_folder(folder.parent).render("recurrence/repair", problem="high is missing")


def pipe(content: bytes) -> None:
    """Read lines of ``predict``: every one is answered, and the state stays readable."""
    path = _folder() / "pipe.json"
    engine = ScriptedEngine(lambda request: " rain, 9.5")
    with Learner("weather", method="repeat_last", engine=engine) as learner:
        for number, line in enumerate(content.splitlines(keepends=True)[:4], 1):
            for said in answers(partial(steps, learner), (EngineUnavailableError,), number, line):
                msgspec.json.encode(said)
        learner.save(path)
        revive(learner.method, bytes(read_saved(path).stream))


def _parquet() -> bytes:
    path = _folder() / "seed.parquet"
    polars.DataFrame({"day": [1, 2], "sky": ["sun", None], "high": [9.5, float("nan")]}).write_parquet(path)
    return path.read_bytes()


def _journal_bytes() -> bytes:
    path = _folder() / "seed.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path) as written:
        written.append(step(0))
        written.append(step(1))
    return path.read_bytes()


@cache
def targets() -> dict[str, Target]:
    """Give the targets by name."""
    example = Path("examples/task/data.csv").read_bytes()
    object_line = b'{"day": 1, "sky": "sun", "high": 9.5}\n{"day": 2, "sky": null, "high": [1, {"a": "b"}]}\n'
    chat = {"message": {"content": '{"sky": "sun", "high": "9.5"}', "reasoning": "so"}, "finish_reason": "stop"}
    told = {"prompt_tokens": "7", "completion_tokens": 3.0, "prompt_tokens_details": {"cached_tokens": None}}
    blocks = {"choices": [{"message": {"content": [{"type": "text", "text": "rain, 9.5"}]}}], "usage": None}
    x = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
    line = msgspec.json.encode({"id": "a", "x": x}) + b'\n{"id": "a", "y": {"sky": "rain", "high": 10.6}}\n'
    memory = b"## Patterns\n- rain follows rain\n## Recent days\n- wet\n## Corrections\n- none"
    return {
        "journal": Target(journal, (_journal_bytes(), msgspec.json.encode(step(0)) + b"\n")),
        "prompts": Target(prompts, (whole([Message("user", "sky\nsun ->"), Message("user", "sun ->")], PROMPTS),)),
        "state": Target(state, (state_file(_folder()),)),
        "task": Target(task, tuple(path.read_bytes() for path in sorted(SHIPPED.glob("*.yaml")))),
        "csv": Target(_table(".csv"), (example, b'sep=;\nday;sky;high\n1;"sun";9,5\n')),
        "jsonl": Target(_table(".jsonl"), (object_line,)),
        "parquet": Target(_table(".parquet"), (_parquet(),)),
        **{name: _published(name) for name in FILES},
        "intents templates": _published("intents", 1),
        "reply": Target(reply, (msgspec.json.encode({"choices": [chat], "usage": told}), msgspec.json.encode(blocks))),
        "answer": Target(answer, (b" rain, 9.5\n", b'```json\n{"sky": "sun", "high": "9.5"}\n```', memory)),
        "gguf": Target(gguf, (gguf_header(),)),
        "script": Target(script, (b'{"role": "predict", "text": " rain, 9.5"}\n',)),
        "prompt": Target(prompt, ((Path("src/llm_as_rnn/recurrence/prompts/repair.j2")).read_bytes(),)),
        "pipe": Target(pipe, (line,)),
    }
