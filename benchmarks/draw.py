"""Pictures of steps that were kept: python benchmarks/draw.py TASK STEPS.csv FOLDER [METHOD ...].

The charts that ``llm-as-rnn report --pictures`` draws of a run, from a file that ``keep.py`` made: of all its methods,
or of those that are named, in this order.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keep
from llm_as_rnn.core.task import load_task
from llm_as_rnn.metrics.summary import by_method, summarise
from llm_as_rnn.report.charts import score_charts, styles
from llm_as_rnn.report.pictures import write_pictures


def main(name: str, file: str, folder: str, *methods: str) -> None:
    """Draw, and say what was drawn."""
    task, steps = load_task(name), by_method(keep.read(Path(file)))
    records = [record for method in methods or steps for record in steps[method]]
    for path in write_pictures(Path(folder), score_charts(task, records, styles(summarise(task, records)))):
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
