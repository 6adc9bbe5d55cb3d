"""Make a table of the intent streams that docs/results/memory.md reports on.

    python benchmarks/intents.py STREAMS.jsonl english.csv --part development

STREAMS.jsonl holds ``sequence, t, question, intent`` in streams of 30, derived from the task files of MemPrompt (Madaan
et al., EMNLP 2022; repository madaan/memprompt, Apache-2.0). Four streams in a row make one sequence of 120, so that
full history has to pay for its length; the first six of these are taken. A sequence's name decides which part of the
data it belongs to, so the names are chosen to fall into the part that is asked for: English is for tuning, Hindi for
reporting. ``--letters`` spells the English words in those of Devanagari, or in other Latin ones, so that a model has as
little help from knowing the language, and as many tokens to read, as in another one: for tuning the form of prompts.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import re
from pathlib import Path

from llm_as_rnn.datasets.tables import part_of

SEQUENCES, STREAMS = 6, 4

LETTERS = {
    "devanagari": str.maketrans("abcdefghijklmnopqrstuvwxyz", "अबचदएफगहइजकलमनओपखरसतउवशघयझ"),
    "other": str.maketrans("abcdefghijklmnopqrstuvwxyz", "encdihgfojkmltapqsrbuvwxyz"),
}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--part", choices=["development", "held_out"], required=True)
    parser.add_argument("--letters", choices=LETTERS)
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.streams.read_text(encoding="utf-8").splitlines()]
    streams = [list(group) for _, group in itertools.groupby(rows, key=lambda row: row["sequence"])]
    with asked.table.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sequence", "t", "question", "intent"])
        for number in range(SEQUENCES):
            name = next(n for n in (f"user {number}.{k}" for k in itertools.count()) if part_of(n) == asked.part)
            chosen = itertools.chain(*streams[number * STREAMS : (number + 1) * STREAMS])
            for t, row in enumerate(chosen):
                question = spelled(row["question"], LETTERS[asked.letters]) if asked.letters else row["question"]
                table.writerow([name, t, question, row["intent"]])


def spelled(question: str, letters: dict[int, int]) -> str:
    """Spell all but the word that is asked about in other letters."""
    parts = re.split(r"(<.*?>)", question)
    return "".join(part if part.startswith("<") else part.lower().translate(letters) for part in parts)


if __name__ == "__main__":
    main()
