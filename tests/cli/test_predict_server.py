"""``llm-as-rnn predict --server``: the lines of a stream on a pipe, with the memory in a service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn import Client
from llm_as_rnn.core.task import load_task
from llm_as_rnn.service.migrating import migrate
from tests.cli.commands import Ended, command
from tests.service.client.running import Running, running
from tests.service.house import came, day

ROOT = Path(__file__).parents[2]
SETTINGS = ("--form", "line", "--budget", "256")
X = [{"id": f"d{number}", "x": day(number)} for number in range(8)]
Y = [{"id": f"d{number}", "y": came(number)} for number in range(8)]
LINES = [X[0], X[1], Y[1], X[2], Y[0], X[3], Y[3], Y[3], X[4], {**X[5], **Y[5]}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give one service for all of them; each has a session of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('service') / 'service.db'}"
    asyncio.run(migrate(url))
    with running(url) as found:
        yield found


@pytest.fixture
def key(service: Running, tmp_path: Path) -> str:
    """Give the path of a file with the key."""
    path = tmp_path / "key"
    path.write_text(f"{service.key}\n", "utf-8")
    return str(path)


def feed(service: Running, key: str, session: str, lines: list[Any], *options: str, task: str = "weather") -> Ended:
    typed = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    words = ["--server", service.relay.url, "--key-file", key, "--session", session, *options]
    return command("predict", task, *words, typed=typed)


def read(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_stream_is_answered_as_one_on_this_machine(service: Running, key: str) -> None:
    ended = feed(service, key, "whole", LINES, *SETTINGS, "--memory")
    assert (ended.returncode, ended.stderr.count("error")) == (0, 0), ended.stderr
    answers = read(ended)
    assert [answer["id"] for answer in answers] == [line["id"] for line in LINES] + ["d5"]
    predicted = [answer for answer in answers if "prediction" in answer]
    assert all(
        {"status", "distribution", "believed", "interval", "among", "chance"} <= answer.keys() for answer in predicted
    )
    learned = [answer for answer in answers if "learned" in answer]
    assert {answer["learned"] for answer in learned} <= {"accepted", "kept"}
    assert learned[2] == learned[3], "twice is once"
    assert "## Patterns" in ended.stderr


def test_what_was_broken_off_goes_on_and_is_the_same(service: Running, key: str) -> None:
    """The sender sends all of it again: what was done is answered as it was, and the rest is done."""
    whole = read(feed(service, key, "unbroken", LINES, *SETTINGS))
    for number in (1, 4, 7):
        assert read(feed(service, key, "broken", LINES[:number], *SETTINGS)) == whole[:number]
    assert read(feed(service, key, "broken", LINES)) == whole
    with Client(service.url, key=service.key) as client:
        one, other = client.session("unbroken"), client.session("broken")
        assert [entry.text for entry in one.versions] == [entry.text for entry in other.versions]
        assert one.scores() == other.scores()


def test_bad_lines_are_answered_and_do_not_end_the_stream(service: Running, key: str) -> None:
    bad = [
        "{broken",
        '{"id": "a"}',
        Y[7],
        {"id": 7, "x": day(0)},
        {"x": {"sky": "sun"}},
        {"id": "d0", "y": {"sky": "hail"}},
    ]
    ended = feed(service, key, "bad", [X[0], *bad, Y[0]], *SETTINGS)
    answers = read(ended)
    assert ended.returncode == 1
    assert ["error" in answer for answer in answers] == [False, *[True] * len(bad), False]
    assert 'in a service an id is text, and 7 is none (write "7")' in answers[4]["error"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model", "llamacpp:x"), "--model is for the service to decide"),
        (("--base-url", "http://a/v1"), "--base-url is for the service to decide"),
        (("--context", "512"), "--context is for the service to decide"),
        (("--cache-reuse", "8"), "--cache-reuse is for the service to decide"),
        (("--prompts", "folder"), "--prompts is for the service to decide"),
        (("--state", "state.json"), "what is learned has one place"),
        (("--budget", "512"), "was begun with budget=256"),
        (("--method", "recurrent"), "was begun with method='advised'"),
        (("--key-file", "nowhere"), "nowhere cannot be read"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(
    service: Running, key: str, options: tuple[str, ...], says: str
) -> None:
    with Client(service.url, key=service.key) as client:
        client.session("refused", task="weather", form="line", budget=256)
    ended = feed(service, key, "refused", [X[0]], *options)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert says in ended.stderr


@pytest.mark.parametrize(
    "words", [(), ("--state", "state.json", "--session", "a"), ("--state", "s", "--key-file", "k")]
)
def test_so_is_what_is_for_a_service_alone(words: tuple[str, ...]) -> None:
    ended = command("predict", "weather", *words)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "--server URL" in ended.stderr


def test_no_key_is_said_once_and_ends_the_stream(service: Running, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("lr_wrong-key-0123456789", "utf-8")
    ended = feed(service, str(wrong), "s", [X[0], X[1]])
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert "wrong-key" not in ended.stderr


def test_a_key_that_may_predict_and_learn_goes_on_with_a_session(service: Running, tmp_path: Path, key: str) -> None:
    feed(service, key, "scoped", [X[0]], *SETTINGS)
    path = tmp_path / "predict"
    path.write_text(service.keys["predict"], "utf-8")
    ended = feed(service, str(path), "scoped", [X[1]])
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "scope read" in ended.stderr, "it is compared with how it was begun"


def test_no_service_is_waited_for_so_long_and_said_in_one_line(key: str) -> None:
    ended = command("predict", "weather", "--server", "http://127.0.0.1:9", "--key-file", key, "--patience", "0")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "there is no server at http://127.0.0.1:9" in ended.stderr


def test_broken_connections_are_not_seen(service: Running, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_as_rnn.client.calling.delay", lambda failed: 0.001)
    service.relay.faults = ["pass", "lost", "pass", "lost", "refused", "torn", "busy", "lost"]
    ended = feed(service, key, "stormy", LINES, *SETTINGS)
    service.relay.faults = []
    assert (ended.returncode, read(ended)) == (0, read(feed(service, key, "stormy", LINES)))


def test_a_task_of_ones_own_goes_along_and_is_taken_over_where_it_is_wanted(
    service: Running, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    text = (ROOT / "src/llm_as_rnn/tasks/weather.yaml").read_text("utf-8")
    path.write_text(text, "utf-8")
    task = load_task(str(path))
    assert feed(service, key, "own", [X[0]], *SETTINGS, task=str(path)).stderr == ""
    path.write_text(text.replace(task.title, "Another title"), "utf-8")
    ended = feed(service, key, "own", [X[1]], task=str(path))
    assert (ended.returncode, "was edited since" in ended.stderr) == (0, True)
    ended = feed(service, key, "own", [X[2]], "--take-task", task=str(path))
    assert (ended.returncode, ended.stderr) == (0, "")
    with Client(service.url, key=service.key) as client:
        view = client.session("own").view
        assert client.task(view.task, view.task_version).title == "Another title"


def test_credentialed_data_goes_to_no_service_elsewhere(key: str) -> None:
    words = ("predict", "mimic", "--server", "http://service.invalid", "--key-file", key, "--patience", "0")
    ended = command(*words)
    assert (ended.returncode, "must not leave this machine" in ended.stderr) == (2, True), ended.stderr
    assert "must not leave" not in command(*words, "--allow-remote-data").stderr
