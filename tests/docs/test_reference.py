"""The reference has everything that there is, the pages name nothing that there is not, and no page is out of reach."""

from __future__ import annotations

import itertools
import re
import runpy
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import get_args

import click
import pytest

import llm_as_rnn
from llm_as_rnn.cli.main import cli
from llm_as_rnn.core.records import UpdateOutcome
from llm_as_rnn.recurrence.rules import table
from tests.docs.reader import PAGES, ROOT, name_of

WRITTEN = [page for page in PAGES if page.name not in ("commands.md", "CONTRIBUTING.md")]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

OF_OTHERS = {
    "--from": "uvx",
    "--with": "uvx",
    "--spec": "pipx",
    "--build": "cmake",
    "--target": "cmake",
    "--no-kv-unified": "llama-server",
    "--no-repack": "llama-server",
    "--port": "llama-server",
    "--format": "pg_dump",
    "--file": "pg_dump",
    "--pwprompt": "createuser",
    "--owner": "createdb",
    "--no-owner": "pg_restore",
    "--dbname": "pg_restore",
    "--spec-type": "llama-server",
    "--spec-ngram-simple-size-n": "llama-server",
    "--spec-ngram-simple-size-m": "llama-server",
    "--parallel": "llama-server",
    "--ctx-size": "llama-server",
    "--enable-prefix-caching": "vllm",
    "--enable-prompt-tokens-details": "vllm",
    "--max-num-seqs": "vllm",
    "--head": "ray",
    "--address": "ray",
    "--log-dir": "inspect",
}
"""Options that the pages name and that belong to another program."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def every_command(command: click.Command = cli, before: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Give each command under the words that it is called by; groups too."""
    yield " ".join(before), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every_command(found, (*before, name))


COMMANDS = dict(every_command())
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]


@pytest.mark.parametrize("page", ["README.md", "docs/concepts.md"])
def test_the_rules_are_told_as_they_say_of_themselves(page: str) -> None:
    assert f"\n{table()}\n" in read(ROOT / page)


def test_every_reason_that_the_journal_may_have_is_explained() -> None:
    """In the table of codes, whose rows go by the outcome: ``Why("known", ...)``, ``Update("kept", "known", ...)``."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", read(ROOT / "docs" / "internals.md"), re.MULTILINE)
    told = {
        code for outcome, codes in rows if outcome in get_args(UpdateOutcome) for code in re.findall("`([^`]+)`", codes)
    }
    source = "".join(read(path) for path in sorted((ROOT / "src" / "llm_as_rnn" / "recurrence").rglob("*.py")))
    said = set(re.findall(r'Why\(\s*"([^"{]+)"|Update\(\s*"\w+",\s*"([^"{]+)"', source))
    codes = {code for pair in said for code in pair if code}
    assert {"known", "over_budget", "fallen", "allowance"} <= codes
    assert codes - told == {"nothing new", "carried over"}, "these two are of lessons"


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    """Give what the site says of each command, made as `make docs` makes it."""
    described = runpy.run_path(str(ROOT / "docs/make.py"))["described"]
    parts = re.split(r"^##+ llm-as-rnn ?(.*)$", "\n".join(described(cli, "llm-as-rnn")), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_reference_has_every_command(reference: dict[str, str]) -> None:
    assert list(reference) == list(COMMANDS)


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{name} {it.name}".strip() for name, it in OPTIONS])
def test_an_option_is_documented(reference: dict[str, str], name: str, option: click.Option) -> None:
    assert not option.hidden, "what is hidden is documented nowhere"
    (row,) = [
        row for row in reference[name].splitlines() if re.match(rf"\| `[^`]*{max(option.opts, key=len)}[ `]", row)
    ]
    said = " ".join((option.help or "").replace("`", "").split())
    assert said in row.replace("`", "")
    assert re.fullmatch(r"\w\S*( \S+){2,}[.\]]", said), f"{said!r} is no sentence"


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_a_command_is_on_a_page_that_somebody_wrote(name: str) -> None:
    assert COMMANDS[name].help
    assert [page for page in WRITTEN if re.search(rf"llm-as-rnn {name}\b", read(page))]


def test_the_pages_name_no_option_that_there_is_not() -> None:
    there = {word for _, option in OPTIONS for word in (*option.opts, *option.secondary_opts)} | {"--help"}
    scripts = [(ROOT / folder).glob("*.py") for folder in ("benchmarks", "tests/fuzz", "tests/service/torture")]
    for script in itertools.chain(*scripts):
        there |= set(re.findall(r"add_argument\(\"(--[a-z-]+)", read(script)))
    named = {option for page in PAGES for option in OPTION.findall(read(page))}
    assert named - there - set(OF_OTHERS) == set()
    assert set(OF_OTHERS) <= named


def test_a_command_on_a_page_has_the_options_that_stand_behind_it() -> None:
    wrong = []
    for page in PAGES:
        for said in re.findall(r"llm-as-rnn ((?:[^`\n\\|]|\\\n)+)", read(page)):
            words = said.replace("\\\n", " ").split()
            called = (" ".join(words[:many]) for many in (3, 2, 1))
            name = next((one for one in called if one in COMMANDS), None)
            if name:
                known = {
                    word for option in COMMANDS[name].params for word in (*option.opts, *option.secondary_opts)
                } | {"--help"}
                wrong += [f"{page.name}: {said}" for option in OPTION.findall(said) if option not in known]
    assert wrong == []


def api_names() -> list[str]:
    return re.findall(r"^::: ([\w.]+)$", read(ROOT / "docs/api.md"), re.MULTILINE)


def test_the_api_page_has_every_public_name() -> None:
    page = read(ROOT / "docs/api.md")
    named = {name.removeprefix("llm_as_rnn.") for name in api_names()}
    assert [name for name in llm_as_rnn.__all__ if name not in named and f"### `{name}`" not in page] == []


@pytest.mark.parametrize("name", api_names())
def test_what_the_api_page_names_is_there_and_says_what_it_is(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    if attribute.islower() and attribute in ("records", "errors"):
        assert import_module(name).__doc__
        return
    assert getattr(import_module(module), attribute).__doc__


def test_the_navigation_has_every_page_once() -> None:
    made = runpy.run_path(str(ROOT / "docs/make.py"))
    assert sorted(made["in_navigation"]()) == sorted(made["pages"]())
    assert {name_of(page).removeprefix("docs/") for page in PAGES if page.parent != ROOT} <= made["pages"]()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", read(page))
    assert [link for link in links if not link.startswith("http") and not (page.parent / link).exists()] == []


# --- figures ----------------------------------------------------------------------------------------------------------


def tables(text: str) -> list[list[list[str]]]:
    """Give the tables of a page: rows of cells, without marks for type."""
    found: list[list[list[str]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append(
                [re.sub(r"[`*]|, without a model|, the paper's", "", cell).strip() for cell in line.split("|")[1:-1]]
            )
        before = line
    return found


def rows(section: str) -> dict[str, list[str]]:
    """Give the rows of a section's first table of methods; of those with the same name, the first."""
    (table, *_) = (table for table in tables(section) if table[0][0] == "method")
    found: dict[str, list[str]] = {}
    for name, *cells in table[2:]:
        found.setdefault(re.sub(r" \((the paper|no model.*)\)$", "", name), cells)
    return found


def section(page: str, begins: str, ends: str) -> str:
    return read(ROOT / page).partition(begins)[2].partition(ends)[0]


def test_the_figures_of_the_questions_are_those_of_the_results() -> None:
    told = rows(section("docs/which-method.md", "### Questions whose", "###"))
    held_out = section("docs/results/memory.md", "## Held out: Hindi", "### What each change")
    small, large = (rows(half) for half in held_out.split("\nQwen2.5-Coder-1.5B, with", 1))
    assert len(told) == 8
    for method, cells in told.items():
        for cell, results in zip(cells, (small, large), strict=True):
            figure, _, tokens = cell.replace(",", "").rstrip(")").partition(" (")
            if method in results:
                row = results[method]
                assert (row[2].split(" ")[0], row[6]) == (figure, tokens), method
            else:  # all six sequences of one method together stand in words there
                assert (method, figure) == ("recurrent:rewrite", "0.75")
                assert "`rewrite` has 0.58, 0.69, 0.75 by thirds" in held_out


def test_the_figures_of_the_weather_are_those_of_the_results() -> None:
    told = rows(section("docs/which-method.md", "### Tomorrow's weather", "###"))
    small, large = section("docs/results/memory.md", "## Weather", "## What is missing").split(
        "\nQwen2.5-Coder-1.5B:\n"
    )
    assert len(told) == 8
    for method, (one, other) in told.items():
        assert rows(small)[method][3] == one
        without_a_model = method in ("repeat_last", "linear")
        there = rows(small if without_a_model else large).get(method)
        assert other == (there[3] if there else "not measured")


def test_the_figures_of_the_associations_are_those_of_the_results() -> None:
    told = rows(section("docs/which-method.md", "### Made-up associations", "###"))
    table = tables(section("docs/results/memory.md", "## Every rule on the probes", "## Weather"))[0]
    probes = [row[0] for row in table]
    for place, (before, _) in enumerate(pairwise(probes), 1):
        probes[place] = probes[place] or probes[place - 1] or before
    results = {(probe, row[1].split(" (")[0]): row[3].split(" ")[0] for probe, row in zip(probes, table, strict=True)}
    assert len(told) == 6
    for method, cells in told.items():
        for probe, figure in zip(("recall", "drift", "noise"), cells, strict=True):
            assert results.get((probe, method), "not measured") == figure
