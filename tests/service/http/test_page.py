"""What the page on the service says is what the service does: its requests are asked, its tables compared."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import uvicorn

from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.service.callers import SCOPES
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.routes.common import WHY
from tests.service.http.test_access import DESCRIBED
from tests.service.http.trying import DAY, Tried, with_service

PAGE = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")


def requests() -> list[dict[str, Any]]:
    """Give the requests that the page has curl make."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line)
            if program == "curl":
                found.append(_request(words))
    return found


def _request(words: list[str]) -> dict[str, Any]:
    asked: dict[str, Any] = {"streams": False}
    rest = iter(words)
    for word in rest:
        match word:
            case "-H":
                assert next(rest) == "Authorization: Bearer $KEY"
            case "-X":
                asked["method"] = next(rest)
            case "-d":
                asked["content"] = next(rest).encode()
            case "-N":
                asked["streams"] = True
            case _:
                asked["path"] = word.removeprefix("http://127.0.0.1:8000")
    asked.setdefault("method", "POST" if "content" in asked else "GET")
    return asked


def test_each_request_on_the_page_is_answered(database: str) -> None:
    async def work(tried: Tried) -> None:
        assert len(requests()) >= 7
        for asked in requests():
            if asked.pop("streams"):
                continue  # an endless one, which tests/service/http/test_events.py reads
            answer = await tried.client.request(asked.pop("method"), asked.pop("path"), **asked)
            assert answer.is_success, answer.text
            assert "urn:problem-type" not in answer.text

    with_service(database, work)


def test_the_program_on_the_page_follows_a_stream(database: str) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - it is ours
    days = [DAY | {"date": f"May {number}"} for number in range(1, 4)]

    async def work(tried: Tried) -> None:
        config = uvicorn.Config(tried.app, port=0, log_config=None, lifespan="off", loop="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        scores = await asyncio.to_thread(names["follow"], f"http://127.0.0.1:{port}", tried.keys["all"], days)
        assert scores["total"]["sky.accuracy"][0] == 2
        server.should_exit = True
        await serving

    with_service(database, work)


def test_the_page_has_every_path() -> None:
    named = " ".join(PAGE.split())
    for _, path, _ in DESCRIBED:
        last = path.removeprefix("/v1/sessions/{session}") or "/v1/sessions/{session}"
        last = last.replace("{prediction}", "{id}")
        assert last in named, path


def test_the_page_explains_every_status_and_scope() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE)
    assert {int(status) for row in rows for status in row.split(", ")} == {*WHY, 405}
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(SCOPES)


def test_the_file_on_the_page_has_settings_that_there_are() -> None:
    (file,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert {line.split(" = ")[0] for line in file.splitlines()} <= set(knobs(ServiceSettings))
