"""Every Python and shell block of the README and of the pages runs, and does what the page says."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.records import Status
from llm_as_rnn.engines.models import registered
from llm_as_rnn.engines.naming import DEFAULT_MODEL
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.service.migrating import migrate
from tests.docs.reader import NOT_RUN, PAGES, ROOT, Reader, answer, commands, name_of, not_run
from tests.service.client.running import running

KNOWN = {"python", "sh", "console", "csv", "yaml", "toml", "text", ""}
"""The languages of blocks; one without a language shows what was printed, or a picture."""


@pytest.fixture
def reader(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(tmp_path, capsys, monkeypatch)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Give language and content of the blocks of a page, those that are only indented among them."""
    tokens = MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))
    found = (token for token in tokens if token.type in ("fence", "code_block"))
    return [("indented" if token.type == "code_block" else token.info, token.content) for token in found]


ASK_A_SERVICE = ("client.md",)
"""Pages whose Python asks a service that the environment names."""


@contextmanager
def a_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the environment name a service that answers."""
    database = f"sqlite:///{folder / 'service.db'}"
    asyncio.run(migrate(database))
    entry = registered(DEFAULT_MODEL.removeprefix("llamacpp:"))
    info = EngineInfo(DEFAULT_MODEL, digest="d", form=entry.form, style=entry.style)
    with running(database, answer, info) as service:
        monkeypatch.setenv("LLM_AS_RNN_SERVER", service.url)
        monkeypatch.setenv("LLM_AS_RNN_KEY", service.key)
        yield


def shell_commands() -> list[list[str]]:
    return [
        words for page in PAGES for language, block in blocks(page) if language == "sh" for words in commands(block)
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_a_page_does_what_it_says(reader: Reader, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as opened:
        if page.name in ASK_A_SERVICE:
            opened.enter_context(a_service(tmp_path, monkeypatch))
        done = reader.follow(page)
    assert done >= len([language for language, _ in blocks(page) if language in ("python", "sh", "console")])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_is_of_a_kind_that_nobody_would_run(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= KNOWN
    assert not [block for language, block in blocks(page) if not language and block.startswith(("llm-as-rnn", "$ "))]


def test_the_tutorial_leaves_what_it_says(reader: Reader, tmp_path: Path) -> None:
    reader.follow(ROOT / "docs/tutorial.md")
    first, final = (list(RunDirectory(tmp_path / "runs" / name).records()) for name in ("first", "final"))
    assert {record.sequence for record in first} == {"old bridge"}
    assert {record.sequence for record in final} == {"harbour"}
    assert {record.status for record in first} == {Status.OK}


def test_what_is_not_run_still_stands_on_some_page() -> None:
    assert {not_run(words) for words in shell_commands()} - {None} == set(NOT_RUN)


def test_the_scripts_that_pages_name_are_there() -> None:
    scripts = [words[1] for words in shell_commands() if words[0] == "python"]
    assert scripts
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


def test_what_is_made_has_a_target() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {word for program, *named in shell_commands() if program == "make" for word in named} <= targets


def test_what_is_installed_is_this_checkout_with_extras_that_it_has() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    installed = [words[2:] for words in shell_commands() if words[:2] == ["pip", "install"]]
    assert installed
    for words in installed:
        named = re.fullmatch(r"\.\[([\w,-]+)\]", words[-1])
        assert named, words
        assert set(named[1].split(",")) <= set(extras)
