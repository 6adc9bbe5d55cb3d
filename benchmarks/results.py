"""The pages in docs/results, from tables that are committed: no model is needed to make them again.

    python benchmarks/results.py collect SWEEP_DIR [FOLDER]     tables of a sweep's runs, where they may be shown
    python benchmarks/results.py build [FOLDER]                 pages and pictures of the tables (`make results`)

FOLDER is docs/results unless it is named; tables lie in its ``steps``. The sweep is ``benchmarks/results.yaml``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import step_tables
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import needs_model
from overview import overview
from stream_pages import picture_name, pictures, stream_page

HERE = Path(__file__).parents[1] / "docs" / "results"


def collect(sweep: Path, folder: Path) -> Iterator[str]:
    """Make tables of a sweep's runs, and say of each what became of it."""
    for file in sorted(sweep.glob("*/*/run.json")):
        directory = RunDirectory(file.parent)
        info = directory.info()
        if info.credentialed:
            yield f"{file.parent}: left out, the terms of its data forbid showing it"
        elif info.status != "finished":
            yield f"{file.parent}: left out, it is {info.status}"
        else:
            origin = step_tables.Origin.of(file.parent.name, info, asked=needs_model(info.spec.methods))
            yield str(step_tables.write(folder / "steps", origin, directory.records()))


def build(folder: Path) -> Iterator[Path]:
    """Make the pages and pictures of all tables, and name them."""
    read = [step_tables.table(folder / "steps", origin) for origin in step_tables.origins(folder / "steps")]
    if not read:
        return
    for stream, group in groupby(read, key=lambda one: one.origin.stream):
        parts = list(group)
        for part in parts:
            for metric, svg in pictures(part):
                yield written(folder / picture_name(part, metric), svg)
        yield written(folder / f"{stream}.md", stream_page(parts))
    yield written(folder / "README.md", overview(read))


def written(path: Path, text: str) -> Path:
    """Write a file, and give its path."""
    path.write_text(text, encoding="utf-8")
    return path


def main(what: str, *paths: str) -> None:
    """Do what was asked for, and say what was done."""
    if what == "collect":
        sweep, folder = Path(paths[0]), Path(*paths[1:]) if paths[1:] else HERE
        done: Iterable[str | Path] = collect(sweep, folder)
    elif what == "build":
        done = build(Path(*paths) if paths else HERE)
    else:
        raise SystemExit(__doc__)
    for line in done:
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:] or ("",))
