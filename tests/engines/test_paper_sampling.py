"""The paper's sampling, from the preset to the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from tests.engines.test_families import by_schema, whole_run
from tests.fake_server import FakeServer
from tests.helpers import LINES, good_answer, run_options
from tests.runs.test_execute import Watch

PAPER = {
    "predict": (0.7, 0.9),
    "reflect": (0.3, 1.0),
    "update": (0.5, 1.0),
    "compress": (0.3, 1.0),
    "summarise": (0.3, 1.0),
}
"""The paper's appendix C; it names nothing for summaries, which are as compression."""


class TestPaperSampling:
    """The preset's figures reach the requests, and the wire."""

    def test_every_kind_of_call(self, tmp_path: Path) -> None:
        long = LINES["update"].replace("- wet", "\n".join(f"- wet on day {number}" for number in range(20)))

        def answer(request: Request) -> str:
            return long if request.role == "update" else str(good_answer("line")(request))

        engine = ScriptedEngine(answer, EngineInfo("scripted:test", form="line"))
        options = run_options(
            "weather", ("recurrent", "memprompt"), sequences=1, steps=2, budget=60, feedback="model", sampling="paper",
            rule="rewrite",
        )  # fmt: skip
        asyncio.run(execute(options, engine, RunDirectory(tmp_path / "run"), resume=False, watcher=Watch()))
        seen = {(request.role, request.sampling.temperature, request.sampling.top_p) for request in engine.requests}
        assert seen == {(role, *figures) for role, figures in PAPER.items()}

    def test_on_the_wire(self, tmp_path: Path) -> None:
        server = FakeServer("llamacpp", answer=by_schema)
        whole_run(server, tmp_path / "run", sampling="paper", methods=("recurrent",))
        names = {"weather": "predict", "feedback": "reflect", "memory": "update"}
        for seen in server.seen("completions"):
            role = names[seen.body["response_format"]["json_schema"]["name"]]
            assert (seen.body["temperature"], seen.body["top_p"]) == PAPER[role]
        assert len(server.seen("completions")) == 9
