"""What is published is whole: wheel and sdist are built and checked, and what they bring is listed with licences."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn import __version__
from tests.cli.test_startup import ROOT

HERE = Path(sys.executable).parent


def test_one_number_says_which_version_it_is() -> None:
    """Of the package and of the changelog, whose next release it is, or whose last when nothing came since."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(
        r"^The \w+ release will be (\S+)\.(?: |$)|^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", changes, re.MULTILINE
    )
    assert newest is not None
    assert __version__ in newest.groups()
    assert version("llm-as-rnn") == __version__, "install it again: pip install --no-deps -e ."
    for page in (ROOT / "README.md", ROOT / "docs" / "installing.md"):
        named = re.findall(r"llm_as_rnn-(\S+?)-py3", page.read_text(encoding="utf-8"))
        assert set(named) <= {__version__}, page


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both as the release does, without a network; give the wheel and the sdist."""
    pytest.importorskip("build", reason="pip install '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.long
def test_both_pass_the_checks_of_the_index(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    assert wheel.name == f"llm_as_rnn-{__version__}-py3-none-any.whl"
    assert sdist.name == f"llm_as_rnn-{__version__}.tar.gz"
    for words in (["twine", "check", "--strict", str(wheel), str(sdist)], ["check-wheel-contents", str(wheel)]):
        done = subprocess.run(
            [str(HERE / words[0]), *words[1:]], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_the_wheel_has_all_that_the_sources_have_and_the_sdist_the_rest(built: tuple[Path, Path]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("only a checkout knows which files are the project's")
    wheel, sdist = built
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "src/llm_as_rnn"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert there == {name.removeprefix("src/") for name in tracked}
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "deploy/sbom.py",
        "examples/plugin/pyproject.toml",
        "tests/conftest.py",
    } <= names


@pytest.mark.long
def test_the_wheel_runs_where_nothing_else_of_it_is(built: tuple[Path, Path], tmp_path: Path) -> None:
    """As `pipx run` and `uvx` have it, but for the packages that it needs: these are taken from here."""
    there = tmp_path / "there"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(there)]
    subprocess.run([*pip, str(built[0])], check=True, capture_output=True, timeout=120)
    code = "import llm_as_rnn, sys; from llm_as_rnn.cli.main import main; print(llm_as_rnn.__file__); main(['doctor'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(there), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(str(there))
    assert "[service]" in done.stdout


def ranges() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "deploy" / "ranges.py"))


def test_the_table_of_extras_names_each_of_them_and_each_python() -> None:
    made = ranges()
    page = made["PAGE"].read_text(encoding="utf-8")
    begin, end = made["MARKS"]
    rows = page.partition(begin)[2].partition(end)[0].strip().splitlines()
    assert rows[0] == f"| extra | {' | '.join(made['PYTHONS'])} |", "make wheels"
    assert [row.split(" | ")[0].strip("| `") for row in rows[2:]] == [made["CORE"], *made["extras"]()], "make wheels"
    assert made["written"](made["written"](page, ["x"]), rows) == page
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    tried = re.findall(r"^\| (3[^|]*?) +\| (?:every extra|the same)", page, re.MULTILINE)
    assert set(re.findall(r"Python :: (3\.\d+)", project)) <= set(", ".join(tried).split(", "))


def test_a_cell_says_where_an_extra_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ranges()
    extras = made["extras"]()
    gone = {("3.15", "Windows"): {"ray"}, ("3.14", "Windows"): {"none", *extras}}

    def installable(python: str, platform: str, chosen: tuple[str, ...]) -> bool:
        return not gone.get((python, platform), set()) & {"none", *chosen}

    monkeypatch.setitem(made["missing"].__globals__, "installable", installable)
    rows = {row.split(" | ")[0].strip("| `"): row for row in made["table"]()[2:]}
    assert rows["ray"] == "| `ray` | yes | yes | yes | not on Windows | not on Windows |"
    assert rows["river"] == "| `river` | yes | yes | yes | not on Windows | yes |"
    assert rows["none"] == "| none | yes | yes | yes | not on Windows | yes |"
    assert made["cell"](list(made["PLATFORMS"])) == "no"


def sbom() -> dict[str, Any]:
    pytest.importorskip("packaging", reason="pip install '.[dev]'")
    return runpy.run_path(str(ROOT / "deploy" / "sbom.py"))


def test_everything_that_all_brings_is_listed_with_its_licence() -> None:
    made = sbom()
    packages = made["needed"]()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = project.partition("[project.optional-dependencies]")[2].partition("\nall = ")[0]
    extras = re.sub(r"^mlflow = .*$", "", extras, flags=re.MULTILINE)  # the one that is not in [all]
    brought = {re.split(r"[\[<>=;]", line)[0] for line in re.findall(r'"([\w.-]+[^"]*)"', extras)}
    assert brought - {"uvloop"} <= set(packages), "each package that an extra names"
    assert {"click", "scipy", "markupsafe"} <= set(packages), "what it needs in any case, and what that needs"
    assert "pytest" not in packages, "nothing that developers alone need"
    rows = made["table"](packages).splitlines()
    assert f"| click | {version('click')} | BSD-3-Clause |" in rows
    assert any(row.startswith("| rich-click |") and "MIT" in row for row in rows), "which has a licence's file alone"
    unsaid = [row for row in rows if row.endswith("| not said |")]
    assert len(unsaid) < len(packages) / 10, unsaid


def test_a_licence_is_named_by_its_words_only_if_it_says_no_more() -> None:
    named, words = sbom()["named_by_text"], distribution("rich-click").read_text("licenses/LICENSE")
    assert words is not None
    assert named(words) == named(words.replace("\n", "\r\n  ").replace("Phil Ewels", "Somebody")) == "MIT"
    assert named(words + "The Software shall be used for Good, not Evil.") == ""
    assert named(words.replace("free of charge", "for a small fee")) == named("") == ""


def test_the_bill_of_materials_hangs_together() -> None:
    made = sbom()
    packages = made["needed"]()
    bill = json.loads(json.dumps(made["bill"](packages)))
    refs = {bill["metadata"]["component"]["bom-ref"], *(it["bom-ref"] for it in bill["components"])}
    assert len(refs) == len(packages)
    assert all(it["licenses"] for it in bill["components"])
    assert {entry["ref"] for entry in bill["dependencies"]} == refs
    assert {one for entry in bill["dependencies"] for one in entry["dependsOn"]} <= refs
    (own,) = [entry for entry in bill["dependencies"] if entry["ref"].startswith("pkg:pypi/llm-as-rnn@")]
    assert len(own["dependsOn"]) > 15
