"""Files that are in order, for the fuzzer to begin with."""

from __future__ import annotations

import struct
from pathlib import Path

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.records import Memory, Section, Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.gguf import CHAT_TEMPLATE, MAGIC
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.learner import Learner


def step(t: int) -> StepRecord:
    """Give a step of a run."""
    memory = Memory((Section("Patterns", ("rain follows rain",)),), t, 9)
    return StepRecord(
        method="recurrent",
        sequence="1",
        t=t,
        observation={"sky": "sun", "high": 9.5, "more": [1, None, {"a": "b"}]},
        target={"sky": "rain", "high": 10.0},
        prediction={"sky": "rain", "high": 9.0},
        status=Status.OK,
        raw=" rain, 9.0",
        memory_version=t,
        memory_before=memory,
        memory_after=memory,
        memory_tokens=9,
        update=Update("kept", "known: a case like it is there"),
        feedback=None,
        calls=(Call(" rain, 9.0", "stop", 7, 3, None, 0.1, 0, role="predict"),),
        scores={"sky accuracy": 1.0, "high MAE": 1.0},
    )


def state_file(folder: Path) -> bytes:
    """Give the file of a learner that has learned, and waits for an outcome."""
    path = folder / "seed.json"
    x = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
    engine = ScriptedEngine(lambda request: " rain, 9.5")
    with Learner("weather", engine=engine, form="line", rule="cases", budget=64, policy="replay") as learner:
        learner.learn_one(learner.predict_one(x, id="a").id, {"sky": "sun", "high": 12.0})
        learner.predict_one(x, id="b")
        learner.save(path)
    return path.read_bytes()


def gguf_header() -> bytes:
    """Give the header of a model file: an array, a number, and a chat template."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    words = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    size = text("llama.context_length") + struct.pack("<II", 4, 2048)
    template = text(CHAT_TEMPLATE) + struct.pack("<I", 8) + text("{{ messages }}")
    return MAGIC + struct.pack("<IQQ", 3, 0, 3) + words + size + template
