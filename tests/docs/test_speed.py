"""The page on speed is made of kept figures, and what it is measured with does the same every time."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_as_rnn.report.tables import NONE

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "results" / "speed.json"


@pytest.fixture(name="benchmark_of")
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a benchmark's module by its name; what it starts finds the others as well."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "peers"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture(name="oracle")
def oracle_module(benchmark_of: Any) -> Any:
    return benchmark_of("oracle")


@pytest.fixture(name="peers")
def peers_module(benchmark_of: Any) -> Any:
    return benchmark_of("peers")


@pytest.fixture(name="speed_page")
def page_module(benchmark_of: Any) -> Any:
    return benchmark_of("speed_page")


def test_the_committed_page_is_the_one_that_the_committed_figures_give(speed_page: Any, tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_bytes(KEPT.read_bytes())
    speed_page.main(str(tmp_path / "speed.json"))
    assert (tmp_path / "speed.md").read_text(encoding="utf-8") == KEPT.with_suffix(".md").read_text(encoding="utf-8")


def test_a_figure_that_changes_changes_the_page(speed_page: Any) -> None:
    measured = json.loads(KEPT.read_bytes())
    before = speed_page.page(measured)
    for found in measured["peers"]["learner"]["timed"]:
        for cell in found["cells"]:
            cell["cpu"] *= 100
    for found in measured["peers"]["learner"]["faulty"]:
        found["cells"][0]["lost"] = found["cells"][0]["steps"]
    after = speed_page.page(measured)
    assert beaten_by(before, "Steps without an answer") == "no framework"
    for said in ("CPU a call, a stream after another", "CPU a step", "Steps without an answer"):
        assert {"DSPy", "LangGraph", "ace-framework"} == set(re.split(", | and ", beaten_by(after, said))), said


def test_who_has_less_in_some_rounds_only_cannot_be_told_apart(speed_page: Any) -> None:
    figures = speed_page.Figures({"peers": dict.fromkeys(("httpx2", "learner", "dspy", "ace"))})
    each = {"httpx2": [1, 1], "learner": [2, 2], "dspy": [3, 1], "ace": [1, 1]}
    said = speed_page.ranked(figures, "Time", {peer: sum(two) / 2 for peer, two in each.items()}, "{:.0f}", each)
    assert said.endswith("**our Learner loses to ace-framework and cannot be told apart from DSPy.**")
    said = speed_page.ranked(figures, "Time", {"learner": 1, "dspy": 2, "ace": 3}, "{:.0f}")
    assert said == "Time: our Learner 1, DSPy 2, ace-framework 3. **our Learner loses to no framework.**"


def beaten_by(page: str, said: str) -> str:
    """Give what the sentence on something says that the learner loses to."""
    (found,) = [line for line in page.splitlines() if f"**{said}" in line]
    return found.partition("our Learner loses to ")[2].partition(";")[0]


def test_a_program_that_did_not_end_is_told_of(speed_page: Any) -> None:
    measured = json.loads(KEPT.read_bytes())
    measured["peers"]["dspy"]["timed"] = [{"ended": "Boom", "start": {"ended": "Boom"}}] * measured["rounds"]
    measured["peers"]["dspy"]["faulty"] = [{"ended": "not done after 150 s"}]
    page = speed_page.page(measured)
    assert f"| DSPy | {' | '.join([NONE] * 4)} |" in page
    assert "Ended as a whole under faults, or not done in time: DSPy." in page


def test_every_program_is_there_with_exact_versions_and_a_word_on_what_it_is(peers: Any, speed_page: Any) -> None:
    assert list(speed_page.ABOUT) == list(speed_page.TITLES) == list(peers.PEERS)
    assert set(json.loads(KEPT.read_bytes())["peers"]) == set(peers.PEERS)
    for peer in peers.PEERS.values():
        assert (peers.PROGRAMS / f"{peer.program}.py").exists()
        if peer.environment:
            lines = (peers.PROGRAMS / "requirements" / f"{peer.environment}.txt").read_text().splitlines()
            assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
            assert set(peer.shown) <= {line.partition("==")[0] for line in lines}


def test_the_same_calls_meet_the_same_faults(oracle: Any) -> None:
    body = json.dumps({"prompt": "a twin for < bado > , please ->"}).encode()

    def replies(seed: int) -> list[Any]:
        server = oracle.Oracle(0.25, seed)
        return [server.answer(b"/v1/completions", body) for _ in range(400)]

    assert replies(22) == replies(22)
    assert replies(22) != replies(23)
    kinds = Counter(islice(oracle.faults(0.25, 22), 4000))
    assert set(kinds) == {None, "500", "429", "cut", "malformed"}
    assert 0.23 < 1 - kinds[None] / 4000 < 0.27
    assert all(count > 150 for count in kinds.values())
    assert set(islice(oracle.faults(0.0, 22), 100)) == {None}


def test_each_fault_is_what_it_is_called(oracle: Any) -> None:
    body = json.dumps({"prompt": "a twin for < bado > , please ->"}).encode()
    whole = oracle.Oracle().answer(b"/v1/completions", body)
    assert json.loads(whole.body)["choices"][0]["text"] == f" {oracle.wanted('bado')}"
    assert oracle.spoiled(whole.body, "500").status.startswith(b"500")
    assert oracle.spoiled(whole.body, "429").status.startswith(b"429")
    assert oracle.spoiled(whole.body, "cut").cut
    malformed = oracle.spoiled(whole.body, "malformed")
    assert malformed.status == b"200 OK"
    with pytest.raises(json.JSONDecodeError):
        json.loads(malformed.body)


@pytest.mark.parametrize(
    ("shown", "asked", "answer"),
    [
        ("", {}, "{}"),
        ("[[ ## intent ## ]]", {}, "[[ ## intent ## ]]\n{}\n\n[[ ## completed ## ]]"),
        ("a JSON object", {"response_format": {"type": "json_object"}}, '{{"intent":"{}"}}'),
        ('"title": "AgentOutput"', {}, '{{"reasoning":"It sounds so.","final_answer":"{}"}}'),
    ],
)
def test_the_oracle_answers_the_last_question_in_the_form_that_is_asked_for(
    oracle: Any, shown: str, asked: dict[str, Any], answer: str
) -> None:
    ((first, second),) = oracle.streams(1, 2)
    messages = [{"role": "system", "content": shown}, {"role": "user", "content": f"{first[0]}\n{second[0]}"}]
    reply = oracle.Oracle().answer(b"/v1/chat/completions", json.dumps({"messages": messages, **asked}).encode())
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == answer.format(second[1])


def test_a_bare_loop_loses_a_step_with_each_fault_and_this_project_none_without(peers: Any, oracle: Any) -> None:
    fates = list(islice(oracle.faults(0.25, 3), 12))
    with peers.serving(oracle.Oracle(0.25, 3)) as url:
        cell = {"name": "c", "url": f"{url}/v1", "streams": oracle.streams(1, 12), "warm": [], "in_flight": 1}
        (found,) = peers.run(peers.PEERS["httpx2"], [cell])["cells"]
    assert found["lost"] == found["faults"] == sum(fate is not None for fate in fates) > 0
    assert (found["right"], found["wrong"], found["calls"]) == (12 - found["lost"], 0, 12)
    with peers.serving(oracle.Oracle()) as url:
        cell |= {"url": f"{url}/v1"}
        (found,) = peers.run(peers.PEERS["learner"], [cell])["cells"]
    assert (found["right"], found["calls"], found["unlearned"], found["raised"]) == (12, 12, 0, {})


def test_an_answer_is_right_wrong_or_lost_and_may_be_unlearned(benchmark_of: Any) -> None:
    harness: ModuleType = benchmark_of("harness")
    outcomes = harness.Outcomes()
    for answer, learned in (("synonym", True), (" synonym", False), ("antonym", True), (None, False), ("", True)):
        outcomes.note(answer, "synonym", learned=learned)
    found = outcomes.found()
    assert [found[name] for name in ("steps", "right", "wrong", "lost", "unlearned")] == [5, 2, 1, 2, 1]
