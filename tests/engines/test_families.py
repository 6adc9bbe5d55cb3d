"""Families of models: chat templates in the style of each, base models without one, and models that think first."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from llm_as_rnn.catalogue import resolve
from llm_as_rnn.core.calls import AnswerFormat, Call, Completion, Message, Request, Sampling
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, ModelError, SpecMismatchError, UsageError
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.gguf import has_chat_template
from llm_as_rnn.engines.llamacpp import LlamaCppEngine
from llm_as_rnn.engines.models import registered
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.refusals import in_turns
from llm_as_rnn.engines.thinking import split_thinking
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.report.tables import results
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import execute, make_spec
from tests.fake_server import FakeServer, Json, Seen, refuse
from tests.helpers import LINES, OBJECTS, run_options
from tests.runs.test_execute import Watch

GEMMA = """<bos>
{%- for message in messages %}
{%- if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' + message.content | trim }}
{{- '<end_of_turn>\\n' }}
{%- endfor %}<start_of_turn>model
"""
LLAMA = """<|begin_of_text|>
{%- for message in messages %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}<|start_header_id|>assistant<|end_header_id|>
"""
QWEN = """{%- if messages[0].role != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}<|im_start|>assistant
"""
GPT_OSS = """<|start|>system<|message|>Reasoning: medium<|end|>
{%- for message in messages %}
{%- if message.role == 'system' %}<|start|>developer<|message|># Instructions

{{ message.content }}<|end|>
{%- elif message.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ message.content }}<|end|>
{%- else %}<|start|>user<|message|>{{ message.content }}<|end|>
{%- endif %}
{%- endfor %}<|start|>assistant"""

ASKED = (Message("system", "You forecast."), Message("user", "sun ->"))
CHAT = Request("predict", ASKED, Sampling(max_tokens=16, stop=("\n",)))
HARMONY = (
    "<|channel|>analysis<|message|>Wet, so rain. Or <|channel|>? No.<|end|><|start|>assistant"
    "<|channel|>commentary<|message|>One moment.<|end|>"
    "<|start|>assistant<|channel|>final <|constrain|>json<|message|>rain, 9.5<|return|>"
)


class TemplateServer(FakeServer):
    """Renders every conversation with a chat template, and refuses what the template refuses."""

    def __init__(self, template: str, status: int = 400, **options: Any) -> None:
        super().__init__("openai", models=None, **options)
        self.status = status
        self.prompts: list[str] = []
        self._template = Environment(autoescape=False).from_string(template)  # noqa: S701 - prompts, no pages

    def reply(self, seen: Seen) -> tuple[int, str | Json]:
        if seen.path.endswith("/chat/completions"):
            try:
                self.prompts.append(
                    self._template.render(messages=seen.body["messages"], raise_exception=raise_exception)
                )
            except ValueError as error:
                return self.status, {"error": {"message": f"Jinja Exception: {error} at row 3"}}
        return super().reply(seen)


def raise_exception(message: str) -> None:
    raise ValueError(message)


def ask(server: FakeServer, *requests: Request) -> list[Completion]:
    async def run() -> list[Completion]:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0, max_retries=0)
        await engine.open()
        try:
            return [await engine.complete(request) for request in requests]
        finally:
            await engine.close()

    with server:
        return asyncio.run(run())


def by_schema(body: Json) -> str:
    """Answer a JSON request as its schema asks."""
    roles = {"weather": "predict", "feedback": "reflect", "memory": "update", "summary": "summarise"}
    return json.dumps(OBJECTS[roles[body["response_format"]["json_schema"]["name"]]])


def whole_run(
    server: FakeServer, out: Path, *, resume: bool = False, **options: Any
) -> tuple[RunInfo, list[StepRecord]]:
    chosen: dict[str, Any] = {
        "methods": ("zero_shot", "full_history", "memprompt", "recurrent"), "sequences": 1, "steps": 3, "budget": 120,
        "form": "json", "feedback": "model", "rule": "rewrite", **options,
    }  # fmt: skip
    with server:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0, max_retries=0)
        directory = RunDirectory(out)
        run = execute(run_options("weather", **chosen), engine, directory, resume=resume, watcher=Watch())
        info = asyncio.run(run)
    return info, [record for record in directory.records() if record.calls]


class TestTemplates:
    """Each family's own template makes the prompt, and gets what it can take."""

    @pytest.mark.parametrize("status", [400, 500])
    def test_gemma_gets_the_system_text_in_the_first_turn(self, status: int) -> None:
        server = TemplateServer(GEMMA, status)
        first, second = ask(server, CHAT, CHAT)
        prompt = "<bos><start_of_turn>user\nYou forecast.\n\nsun -><end_of_turn>\n<start_of_turn>model"
        assert server.prompts == [prompt, prompt]
        assert (first.retries, second.retries) == (1, 0)
        assert len(server.seen("completions")) == 3, "it was refused once, and not again"

    def test_gemma_gets_turns_that_alternate(self) -> None:
        turns = (
            Message("user", "sun ->"),
            Message("assistant", "rain"),
            Message("user", "No."),
            Message("user", "So?"),
        )
        server = TemplateServer(GEMMA)
        ask(server, msgspec.structs.replace(CHAT, messages=turns))
        assert "model\nrain<end_of_turn>\n<start_of_turn>user\nNo.\n\nSo?<end_of_turn>" in server.prompts[0]

    def test_what_is_refused_even_so_is_an_error(self) -> None:
        says = refuse("Conversation roles must alternate user/assistant", times=9)
        server = FakeServer("openai", models=None, faults=[says])
        with pytest.raises(EngineError, match="400: Conversation roles must alternate"):
            ask(server, CHAT)
        assert len(server.seen("completions")) == 2

    def test_requests_in_flight_are_all_merged(self) -> None:
        async def run() -> list[Completion]:
            engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0, max_retries=0)
            await engine.open()
            try:
                return await asyncio.gather(*(engine.complete(CHAT) for _ in range(8)))
            finally:
                await engine.close()

        with TemplateServer(GEMMA) as server:
            assert [answer.text for answer in asyncio.run(run())] == ["fine"] * 8

    def test_another_refusal_changes_no_messages(self) -> None:
        server = FakeServer("openai", models=None, faults=[refuse("the prompt is too long for this system")])
        with pytest.raises(EngineError, match="too long"):
            ask(server, CHAT)
        assert len(server.seen("completions")) == 1

    def test_llama_keeps_its_system_turn(self) -> None:
        server = TemplateServer(LLAMA)
        assert ask(server, CHAT)[0].retries == 0
        assert "<|start_header_id|>system<|end_header_id|>\n\nYou forecast.<|eot_id|>" in server.prompts[0]

    def test_qwen_gets_our_system_text_and_not_its_own(self) -> None:
        server = TemplateServer(QWEN)
        ask(server, CHAT)
        assert server.prompts[0].startswith("<|im_start|>system\nYou forecast.<|im_end|>\n<|im_start|>user\nsun ->")
        assert "helpful" not in server.prompts[0]

    def test_gpt_oss_gets_instructions_as_its_developer(self) -> None:
        server = TemplateServer(GPT_OSS, answer=HARMONY)
        assert ask(server, CHAT)[0].text == "rain, 9.5"
        assert (
            "developer<|message|># Instructions\n\nYou forecast.<|end|><|start|>user<|message|>sun -><|end|>"
            in (server.prompts[0])
        )

    @pytest.mark.parametrize("layout", ["chained", "separate"])
    @pytest.mark.parametrize("template", [GEMMA, LLAMA, QWEN, GPT_OSS])
    def test_whole_runs(self, template: str, layout: Any, tmp_path: Path) -> None:
        server = TemplateServer(template, answer=by_schema)
        info, records = whole_run(server, tmp_path / "run", layout=layout)
        assert info.status == "finished"
        assert {record.status for record in records} == {Status.OK}
        assert {record.memory_version for record in records if record.method == "recurrent"} == {
            0,
            1,
        }  # it answers always the same

    @given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(min_size=1)), min_size=1))
    def test_merging_loses_nothing_and_always_alternates(self, turns: list[tuple[Any, str]]) -> None:
        messages = tuple(Message(role, text) for role, text in turns)
        merged = in_turns(messages)
        assert "\n\n".join(turn.content for turn in merged) == "\n\n".join(message.content for message in messages)
        assert all(one.role != other.role for one, other in itertools.pairwise(merged))
        assert {turn.role for turn in merged} <= {"user", "assistant"}


def gguf(path: Path, *, template: str | None, version: int = 3) -> Path:
    """Write the header of a model file: a few entries of every kind, and then perhaps a chat template."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def array(inner: int, items: list[bytes]) -> bytes:
        return struct.pack("<IQ", inner, len(items)) + b"".join(items)

    words = [text("a"), text("bc"), text("\N{SNOWMAN}")]
    entries = [
        ("general.architecture", 8, text("gemma3")),
        ("gemma3.context_length", 4, struct.pack("<I", 32768)),
        ("tokenizer.ggml.add_bos_token", 7, b"\x01"),
        ("tokenizer.ggml.tokens", 9, array(8, words)),
        ("tokenizer.ggml.scores", 9, array(6, [struct.pack("<f", 0.5)] * 3)),
        ("nested", 9, array(9, [array(0, [b"x"]), array(8, words)])),
        ("some.rate", 12, struct.pack("<d", 1.5)),
    ]
    if template is not None:
        entries.append(("tokenizer.chat_template", 8, text(template)))
    body = b"".join(text(name) + struct.pack("<I", kind) + value for name, kind, value in entries)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, len(entries)) + body)
    return path


class TestBaseModels:
    """Models without a chat template are asked in completion style."""

    @pytest.mark.parametrize("version", [2, 3])
    @pytest.mark.parametrize(("template", "there"), [(GEMMA, True), (None, False), ("", False)])
    def test_the_file_says_whether_it_brings_a_template(
        self, tmp_path: Path, version: int, template: str | None, there: bool
    ) -> None:
        assert has_chat_template(gguf(tmp_path / "m.gguf", template=template, version=version)) is there

    def test_a_header_that_cannot_be_read_is_left_to_llama_cpp(self, tmp_path: Path) -> None:
        path = gguf(tmp_path / "m.gguf", template=None)
        whole = path.read_bytes()
        for content in (b"", b"GGUF", whole[:-20], whole[:4] + b"\x63" + whole[5:], b"GGUF" + b"\xff" * 60):
            path.write_bytes(content)
            assert has_chat_template(path)

    @pytest.mark.parametrize(("template", "style", "form"), [(None, "completion", "line"), (QWEN, "chat", "json")])
    def test_an_unregistered_file_is_asked_as_its_header_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str | None, style: str, form: str
    ) -> None:
        engine = self.tried(gguf(tmp_path / "m.gguf", template=template), monkeypatch)
        assert (engine.info.style, engine.info.form, engine.info.chats) == (style, form, template is not None)

    def test_a_registered_one_keeps_its_measured_form(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = msgspec.structs.replace(registered("gemma-3-270m"), form="json")
        engine = self.tried(gguf(tmp_path / "m.gguf", template=None), monkeypatch, entry=entry)
        assert (engine.info.style, engine.info.form) == ("completion", "json")

    def tried(self, path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> LlamaCppEngine:
        def no_weights(engine: LlamaCppEngine, key: str) -> None:
            raise ModelError("no weights")

        monkeypatch.setattr(LlamaCppEngine, "_load", no_weights)
        engine = LlamaCppEngine(path, **options)
        with pytest.raises(ModelError, match="no weights"):
            asyncio.run(engine.open())
        return engine

    def test_to_let_it_chat_is_refused_in_a_line(self, weather: Task) -> None:
        base = EngineInfo("llamacpp:base.gguf", style="completion", form="line", chats=False)
        with pytest.raises(
            UsageError, match=r"^llamacpp:base\.gguf is a base model: it has no chat template"
        ) as caught:
            make_spec(run_options("weather", style="chat"), weather, Prompts(), base)
        assert "\n" not in str(caught.value)
        with pytest.raises(UsageError, match="is a base model"):
            resolve({"style": "chat"}, base)
        assert make_spec(run_options("weather"), weather, Prompts(), base).settings.style == "completion"
        chats = msgspec.structs.replace(base, chats=True)
        assert make_spec(run_options("weather", style="chat"), weather, Prompts(), chats).settings.style == "chat"

    @pytest.mark.parametrize(
        "said",
        [
            "default chat template is no longer allowed, so you must provide a chat template",
            "Cannot use chat template functions because tokenizer.chat_template is not set",
        ],
    )
    def test_a_server_without_a_template_is_told_how_to_be_asked(self, said: str) -> None:
        server = FakeServer("openai", models=None, faults=[refuse(said, times=9)])
        with pytest.raises(EngineUnavailableError, match=r"fake has no chat template: .*--style completion"):
            ask(server, CHAT)

    @pytest.mark.model
    @pytest.mark.skipif("LLM_AS_RNN_TEST_BASE_MODEL" not in os.environ, reason="names a base model's file")
    def test_a_real_one(self) -> None:
        async def run() -> None:
            path = Path(os.environ["LLM_AS_RNN_TEST_BASE_MODEL"])
            engine = LlamaCppEngine(path, context=256, slots=1, threads=1)
            await engine.open()
            try:
                assert (engine.info.chats, engine.info.style, engine.info.form) == (False, "completion", "line")
                sky = AnswerFormat("sky", gbnf='root ::= " "? ("sun" | "rain")')
                asked = (Message("user", "sun -> sun\nrain -> rain\nsun ->"),)
                answer = await engine.complete(Request("predict", asked, Sampling(max_tokens=8), "completion", sky))
                assert answer.text.strip() in ("sun", "rain")
            finally:
                await engine.close()

        asyncio.run(run())


def reply(finish_reason: str = "stop", usage: Json | None = None, /, **message: Any) -> Json:
    tokens = {"prompt_tokens": 5, "completion_tokens": 40, **(usage or {})}
    return {"choices": [{"index": 0, "finish_reason": finish_reason, "message": message}], "usage": tokens}


class TestThinking:
    """What a model thinks stays out of its answer, and is counted."""

    @pytest.mark.parametrize(
        ("text", "thinking", "answer"),
        [
            ("<think>\nWet.\n</think>\n\nrain, 9.5", "Wet.", "rain, 9.5"),
            ("\n<think></think>\n\nrain", "", "rain"),
            ("<think>a</think><think>b</think>rain", "a\nb", "rain"),
            ("Wet, so\n</think>\n\nrain", "Wet, so", "rain"),
            ("<think>Wet, so {", "Wet, so {", ""),
            ("<thinking>Wet</thinking> rain", "Wet", "rain"),
            ("[THINK]Wet[/THINK]rain", "Wet", "rain"),
            (HARMONY, "Wet, so rain. Or <|channel|>? No.\nOne moment.", "rain, 9.5"),
            ("<|channel|>analysis<|message|>Wet, so", "Wet, so", ""),
            ("analysisWet, so rain.assistantfinalrain, 9.5", "Wet, so rain.", "rain, 9.5"),
            ('{"text": "write <think> and </think>"}', "", '{"text": "write <think> and </think>"}'),
            ('{"text": "</think>"}', "", '{"text": "</think>"}'),
            (" rain, 9.5", "", " rain, 9.5"),
            ("analysis of the sky: rain", "", "analysis of the sky: rain"),
            ("I think <think> is a tag", "", "I think <think> is a tag"),
            ("", "", ""),
        ],
    )
    def test_texts(self, text: str, thinking: str, answer: str) -> None:
        assert split_thinking(text) == (thinking, answer)

    @given(st.text(alphabet="ab{<>\n "), st.text(alphabet="ab{>\n "))
    def test_no_thought_gets_into_an_answer(self, thought: str, answer: str) -> None:
        assert split_thinking(f"<think>{thought}</think>{answer}")[1] == answer.lstrip()
        assert split_thinking(f"<think>{thought}")[1] == ""

    @pytest.mark.parametrize("style", ["chat", "completion"])
    def test_in_the_text(self, style: Any) -> None:
        server = FakeServer("llamacpp", answer="<think>It rained all day</think>rain, 9.5")
        got = ask(server, msgspec.structs.replace(CHAT, style=style))[0]
        assert (got.text, got.completion_tokens, got.reasoning_tokens) == ("rain, 9.5", 5, 4)

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_in_a_field_of_its_own(self, field: str) -> None:
        server = FakeServer("llamacpp", answer=reply(**{"content": "rain, 9.5", field: "three words here"}))
        got = ask(server, CHAT)[0]
        assert (got.text, got.completion_tokens, got.reasoning_tokens) == ("rain, 9.5", 40, 3)

    @pytest.mark.parametrize("other", [None, "", [7], {"odd": 1}])
    def test_a_field_that_holds_none(self, other: Any) -> None:
        got = ask(FakeServer("llamacpp", answer=reply(content="rain", reasoning=other, reasoning_content=other)), CHAT)
        assert (got[0].text, got[0].reasoning_tokens) == ("rain", 0)

    def test_the_servers_own_figure_counts_more(self) -> None:
        usage = {"completion_tokens_details": {"reasoning_tokens": 31, "audio_tokens": 0}}
        server = FakeServer("llamacpp", answer=reply("stop", usage, content="rain", reasoning_content="a b c"))
        assert ask(server, CHAT)[0].reasoning_tokens == 31
        assert len(server.seen("tokenize")) == 1, "the one of opening"

    def test_estimates_never_exceed_what_was_written(self) -> None:
        server = FakeServer("openai", models=None, answer=reply(content="rain", reasoning="so " * 500))
        assert ask(server, CHAT)[0].reasoning_tokens == 40

    def test_a_count_that_fails_loses_no_answer(self) -> None:
        server = FakeServer("llamacpp", answer=reply(content="rain", reasoning="a b"))
        tokenize = server._tokens
        counted: list[Json] = []

        def once(body: Json) -> Json:
            counted.append(body)
            return tokenize(body) if len(counted) == 1 else {}

        server._tokens = once  # type: ignore[method-assign]
        got = ask(server, CHAT)[0]
        assert got.text == "rain"
        assert got.reasoning_tokens > 0

    def test_cut_short_it_is_no_answer(self) -> None:
        server = FakeServer("llamacpp", answer=reply("length", content="<think>It rained, so perhaps rain, 9.5"))
        assert (ask(server, CHAT)[0].text, ask(server, CHAT)[0].finish_reason) == ("", "length")

    def test_room_for_thinking(self) -> None:
        thinks = msgspec.structs.replace(CHAT, sampling=msgspec.structs.replace(CHAT.sampling, thinking=500))
        server = FakeServer("llamacpp", answer=reply("length", content="<think>a\nb</think>\n\nrain, 9.5\nsun\nfog"))
        with_room, without = ask(server, thinks, CHAT)
        first, second = (seen.body for seen in server.seen("completions"))
        assert (first["max_tokens"], first.get("stop")) == (516, None)
        assert (second["max_tokens"], second["stop"]) == (16, ["\n"])
        assert (with_room.text, with_room.finish_reason) == ("rain, 9.5", "stop")
        assert without.finish_reason == "length"

    def test_the_journal_gives_it_back(self) -> None:
        completion = Completion("rain", completion_tokens=40, reasoning_tokens=31)
        assert Call.of("predict", completion).completion() == completion
        old = msgspec.json.encode(Call("x", "stop", 1, 2, None, 0.1, 0, role="predict")).replace(
            b',"reasoning_tokens":0', b""
        )
        assert b"reasoning" not in old
        assert msgspec.json.decode(old, type=Call).reasoning_tokens == 0


class TestThinkingInRuns:
    """Thinking never reaches answers, memory, budget or later prompts."""

    MARK = "zebra"

    def thinks(self, body: Json) -> str:
        return f"<think>\n{self.MARK} {'so ' * 300}</think>\n{by_schema(body)}"

    def test_a_whole_run(self, tmp_path: Path, weather: Task) -> None:
        server = FakeServer("llamacpp", answer=self.thinks)
        info, records = whole_run(server, tmp_path / "run", thinking=400)
        assert {record.status for record in records} == {Status.OK}
        assert self.MARK not in (tmp_path / "run/steps.jsonl").read_text()
        assert all(self.MARK not in json.dumps(seen.body) for seen in server.seen("completions"))
        memories = [record.memory_tokens for record in records if record.method == "recurrent"]
        assert all(tokens is not None and tokens <= 120 for tokens in memories)
        assert {call.reasoning_tokens for record in records for call in record.calls} == {301}
        assert (info.spec.settings.thinking, info.spec.settings.window) == (400, 2048 - 400)
        assert min(seen.body["max_tokens"] for seen in server.seen("completions")) > 400
        rows = {row.method: row for row in results(weather, summarise(weather, records)).rows}
        assert any(cell.detail == "(301 th.)" for cell in rows["zero_shot"].cells)

    def test_nothing_is_said_where_nothing_is_thought(self, tmp_path: Path, weather: Task) -> None:
        _, records = whole_run(FakeServer("llamacpp", answer=by_schema), tmp_path / "run")
        cells = [cell for row in results(weather, summarise(weather, records)).rows for cell in row.cells]
        assert not any("th." in cell.detail for cell in cells)

    def test_lines_after_thinking(self, tmp_path: Path) -> None:
        server = FakeServer("llamacpp", answer=f"<think>\nHm.\n</think>\n\n{LINES['predict'].strip()}\nand so on")
        _, records = whole_run(server, tmp_path / "run", form="line", methods=("zero_shot",), thinking=50)
        assert [record.prediction for record in records] == [{"sky": "rain", "high": 9.5}] * 3

    def test_it_decides_results_so_a_resumed_run_keeps_it(self, tmp_path: Path) -> None:
        whole_run(FakeServer("llamacpp", answer=by_schema), tmp_path / "run", thinking=10)
        with pytest.raises(SpecMismatchError, match="thinking was 10, now 20"):
            whole_run(FakeServer("llamacpp", answer=by_schema), tmp_path / "run", thinking=20, resume=True)

    @pytest.mark.parametrize(("thinking", "said"), [(-1, "thinking must be at least 0"), (9000, "do not fit")])
    def test_figures_that_cannot_be(self, weather: Task, thinking: int, said: str) -> None:
        engine = EngineInfo("m")
        with pytest.raises(UsageError, match=said):
            make_spec(run_options("weather", thinking=thinking), weather, Prompts(), engine)
        with pytest.raises(UsageError, match=said):
            resolve({"thinking": thinking}, engine)
