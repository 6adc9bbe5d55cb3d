"""What ``llm-as-rnn doctor`` finds out about servers that can all, little, nothing, or the wrong thing."""

from __future__ import annotations

import getpass
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.cli import installed as installed_module
from llm_as_rnn.cli.installed import installed
from llm_as_rnn.cli.privacy import hider
from tests.cli.commands import Ended, command
from tests.fake_server import FakeServer, Fault, Json, refuse


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "HF_ENDPOINT", "LLM_AS_RNN_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLM_AS_RNN_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("llm_as_rnn.engines.wire.FIRST_WAIT", 0.001)


def doctor(server: FakeServer, *more: str, **environment: str) -> tuple[int, Any, Ended]:
    ended = command("doctor", "-m", "openai:fake", "--base-url", server.url, "--json", *more, **environment)
    return ended.returncode, json.loads(ended.stdout), ended


def works(told: Any) -> dict[str, bool | None]:
    return {f"{it['ability']} {it['style'] or ''}".strip(): it["works"] for it in told["engine"]["findings"]}


def able(body: Json) -> str | Json:
    """Answer as a server that can all of it: it keeps to what it is held to, and tells chances and its cache."""
    schema = body.get("json_schema") or body.get("response_format", {}).get("json_schema", {}).get("schema")
    text = "one two three"
    if schema:
        [(name, field)] = schema["properties"].items()
        text = json.dumps({name: field["enum"][0]})
    elif "grammar" in body:
        text = "rain" if "rain" in body["grammar"] else "quartz"
    elif body["max_tokens"] > 20:
        text = "4, 5, 6, 7, 8, 9"
    sent = body.get("prompt") or " ".join(turn["content"] for turn in body["messages"])
    choice: Json = {"finish_reason": "stop"}
    choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
    if body.get("logprobs"):
        listed = [{"token": token, "logprob": math.log(chance)} for token, chance in (("rain", 0.75), ("sun", 0.25))]
        before = [{"token": '{"sky": "', "logprob": 0.0, "top_logprobs": []}] if text.startswith("{") else []
        choice["logprobs"] = {"content": [*before, {**listed[0], "top_logprobs": listed}]}
    count = len(sent.split())
    usage = {"prompt_tokens": count, "completion_tokens": min(len(text.split()), body["max_tokens"])}
    return {"choices": [choice], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": count // 2}}}


def test_a_server_that_can_all_of_it() -> None:
    with FakeServer("llamacpp", answer=able) as server:
        code, told, _ = doctor(server)
    assert (code, told["troubles"], told["engine"]["server"]) == (0, [], "llamacpp")
    assert works(told) == dict.fromkeys(
        (
            *("answers chat", "answers completion", "json chat", "grammar chat", "json completion"),
            *("grammar completion", "chances chat", "counts"),
        ),
        True,
    )
    seen = {it["ability"]: it["seen"] for it in told["engine"]["findings"]}
    assert seen["chances"] == "rain 0.75, sun 0.25"
    assert seen["counts"].startswith("10 for")
    assert told["engine"]["speed"]["cached"] == pytest.approx(0.5, abs=0.02)
    assert told["engine"]["speed"]["read"] > 0
    settings = {"form": "json", "style": "chat", "layout": "chained", "rule": "cases", "concurrency": 3}
    assert {name: told["settings"][name] for name in settings} == settings
    assert len(server.seen("completions")) == 10, "few calls, and no more than it says"


def test_one_that_ignores_what_it_is_held_to_is_seen_through() -> None:
    with FakeServer("vllm", answer="one, two, three") as server:
        code, told, _ = doctor(server)
    assert code == 0, "it answers, and that is enough"
    assert "1024 tokens of context leave a memory 1: serve it with more" in told["next"]
    can = works(told)
    assert (can["json chat"], can["grammar completion"], can["chances chat"]) == (False, False, False)
    assert "it is not held: 'one, two, three'" in json.dumps(told)
    assert any("nothing holds answers to their form" in line for line in told["next"])
    assert any("--draws" in line for line in told["next"])


def test_the_style_and_the_form_follow_from_what_works() -> None:
    def lines_only(body: Json) -> str | Json:
        return "quartz" if "grammar" in body else "fine"

    faults = [Fault(status=404, body={"error": {"message": "no chat"}}, path="chat/completions", times=99)]
    with FakeServer("llamacpp", answer=lines_only, faults=faults) as server:
        code, told, _ = doctor(server)
    assert code == 0
    assert (told["settings"]["style"], told["settings"]["form"], told["settings"]["layout"]) == (
        *("completion", "line"),
        "separate",
    )
    assert "--style completion --form line" in told["command"]


def test_what_is_refused_is_told() -> None:
    with FakeServer(
        "llamacpp", answer=able, faults=[refuse("unknown field: grammar", times=99, having="grammar")]
    ) as it:
        code, told, _ = doctor(it)
    [finding] = [f for f in told["engine"]["findings"] if (f["ability"], f["style"]) == ("grammar", "chat")]
    assert (code, finding["works"]) == (0, False)
    assert "refuses grammar" in finding["seen"]


def test_a_server_that_does_not_say_how_many_calls_it_takes() -> None:
    with FakeServer("openai", answer=able) as server:
        _, told, _ = doctor(server)
    assert works(told)["grammar chat"] is False
    assert works(told)["counts"] is False
    assert not told["engine"]["slots_told"]
    assert any("4 is assumed" in line for line in told["next"])


def test_no_server() -> None:
    with FakeServer() as server:
        url = server.url
    ended = command("doctor", "-m", "openai:fake", "--base-url", url)
    assert ended.returncode == 1
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("trouble: ")]
    assert url in line or "127.0.0.1" in line
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=200, body="<html>Welcome</html>", times=99), "sent no answer, but <html>Welcome</html>"),
        (Fault(status=200, body={"choices": []}, times=99), "sent no answer"),
        (Fault("reset", times=99), ""),
        (Fault("stall", times=99), "no answer within 0.3 s"),
        (Fault("trickle", times=99), "no answer within 0.3 s"),
        (Fault(status=401, body={"error": {"message": "who are you?"}}, times=99), "who are you?"),
        (Fault(status=503, body={"error": {"message": "Loading model"}}, times=99), ""),
    ],
)
def test_each_trouble_is_one_line(fault: Fault, said: str) -> None:
    with FakeServer("llamacpp", faults=[fault]) as server:
        code, told, ended = doctor(server, "--timeout", "0.3")
    assert code == 1
    [trouble] = told["troubles"]
    assert said in trouble
    assert "\n" not in trouble
    assert {finding["works"] for finding in told["engine"]["findings"]} <= {False, None}
    assert ended.stderr == ""


def test_an_empty_answer_is_trouble() -> None:
    with FakeServer("llamacpp", answer="") as server:
        code, told, _ = doctor(server)
    assert (code, told["troubles"]) == (1, ["no usable answer: an empty answer"])


def test_a_name_that_the_server_does_not_list() -> None:
    with FakeServer("vllm", models=["org/right"], answer=able) as server:
        _, told, _ = doctor(server)
    assert any("org/right" in remark for remark in told["engine"]["info"]["remarks"])


def test_nothing_secret_is_told() -> None:
    key, password = "sk-proj-12345-abcdefgh", "pass-98765-word"
    refusal = refuse(f"bad key {key} of {password}", status=401, times=99)
    with FakeServer("llamacpp", faults=[refusal]) as server:
        url = server.url.replace("://", f"://ann:{password}@") + "?token=tok-7777-secret"
        ended = command(
            *("doctor", "-m", "openai:fake", "--base-url", url, "--json"),
            OPENAI_API_KEY=key,
            OPENAI_BASE_URL=url,
            HTTPS_PROXY="",
            LLM_AS_RNN_MODELS=f"{Path.home()}/my models",
        )
    assert ended.returncode == 1
    for secret in (key, password, "tok-7777", "ann"):
        assert secret not in ended.stdout.replace("annotat", ""), secret
    told = json.loads(ended.stdout)
    assert told["installed"]["environment"]["OPENAI_API_KEY"] == "set"
    assert told["installed"]["environment"]["OPENAI_BASE_URL"] == server.url
    assert told["installed"]["environment"]["LLM_AS_RNN_MODELS"] == "~/my models"


def test_keys_and_logins_are_taken_out_of_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-12345-abcdefgh")
    hide = hider(["http://ann:pass-98765-word@host/v1?token=tok-7777-secret"])
    assert hide("a package said sk-proj-12345-abcdefgh") == "a package said ***"
    assert hide("pass-98765-word and tok-7777-secret") == "*** and ***"


def test_names_of_users_are_taken_out_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    hide = hider()
    assert hide("llamacpp:/home/ann/m.gguf, /home/annabel/x") == "llamacpp:~/m.gguf, /home/***/x"
    assert hide("/data/ann/models of annual reports") == "/data/***/models of annual reports"
    assert hide(r"C:\Users\Bob\m.gguf and /Users/bob/m") == r"C:\Users\***\m.gguf and /Users/***/m"
    assert hide("http://host/users/x and 1 of 2") == "http://host/users/x and 1 of 2"


def test_without_a_model_it_says_what_is_here_and_what_to_do() -> None:
    ended = command("doctor")
    assert ended.returncode == 0
    assert "Python 3" in ended.stdout
    assert "llm-as-rnn doctor --model openai:NAME" in ended.stdout
    told = json.loads(command("doctor", "--json").stdout)
    assert told["engine"] is None
    assert {extra["name"] for extra in told["installed"]["extras"]} >= {"llamacpp", "mimic", "service"}
    assert "dev" not in {extra["name"] for extra in told["installed"]["extras"]}


def test_what_is_missing_comes_with_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = installed_module._version
    monkeypatch.setattr(installed_module, "_version", lambda name: "" if name in ("ray", "uvloop") else there(name))
    extras = {extra.name: extra for extra in installed().extras}
    assert (extras["ray"].missing, extras["ray"].get) == (("ray",), "pip install 'llm-as-rnn[ray]'")
    assert extras["service"].missing == (), "what some systems do not need is not missing"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-m", "openia:x"), 2, "did you mean openai:x"),
        (("--base-url", "http://127.0.0.1:1/v1"), 2, "no model on it"),
        (("-m", "llamacpp:smollm2-135m"), 1, "llm-as-rnn models pull smollm2-135m"),
        (("-m", "llamacpp:/nowhere/x.gguf"), 1, "there is no file"),
        (("-m", "openai:x", "--base-url", "nonsense"), 1, "no address of a server"),
        (("-m", "llamacpp:smollm2-135m", "--base-url", "http://h/v1"), 1, "models pull"),
        (("-m", "openai:x", "--timeout", "0"), 2, "more than 0"),
    ],
)
def test_odd_words(words: tuple[str, ...], code: int, said: str) -> None:
    ended = command("doctor", *words)
    assert ended.returncode == code
    assert said in " ".join((ended.stdout + ended.stderr).split())


def test_a_script_has_what_it_has(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"role": "predict", "text": "obsidian"}\n', encoding="utf-8")
    ended = command("doctor", "-m", f"scripted:{script}")
    assert ended.returncode == 0
    assert "an engine that is no server, on this machine" in ended.stdout


@pytest.mark.model
@pytest.mark.usefixtures("default_model")
@pytest.mark.long
def test_a_real_model() -> None:
    ended = command("doctor", "-m", "llamacpp:smollm2-135m", "--json")
    told = msgspec.json.decode(ended.stdout)
    assert ended.returncode == 0
    can = works(told)
    assert all(can[name] for name in ("answers completion", "json completion", "grammar completion", "counts"))
    assert can["chances completion"]
    assert told["engine"]["speed"]["cached"] > 0.8
    assert (told["settings"]["form"], told["settings"]["style"]) == ("line", "completion")
