"""A run's charts as files of their own, for papers and pages: each SVG carries the style that the report has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.report.charts import HEIGHT, WIDTH, Chart
from llm_as_rnn.viewer import STATIC

_FRAME = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    'font-family="system-ui, sans-serif"><title>{title}</title><style>{style}</style>'
    '<rect width="100%" height="100%" style="fill: var(--page)"/>{chart}</svg>\n'
)


def write_pictures(folder: Path, charts: Sequence[Chart], *, private: bool = False) -> list[Path]:
    """Write each chart to a file named after its title.

    Parameters
    ----------
    folder : Path
        Where to; made if it is not there.
    charts : sequence of Chart
        What to write.
    private : bool
        Whether the files are for their owner only.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    paths = [folder / f"{re.sub('[^a-z0-9]+', '-', chart.title.lower()).strip('-')}.svg" for chart in charts]
    try:
        folder.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        for path, chart in zip(paths, charts, strict=True):
            write_atomically(path, picture(chart).encode(), private=private)
    except OSError as error:
        raise RunError(f"pictures cannot be written to {folder}: {error.strerror}", "check the folder") from error
    return paths


def picture(chart: Chart) -> str:
    """Make a chart stand alone."""
    style = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("palette.css", "charts.css"))
    title = f"{chart.title} ({chart.about})"
    return str(_FRAME.format(width=WIDTH, height=HEIGHT, title=title, style=Markup(style), chart=chart.svg))  # noqa: S704 - the package's own files
