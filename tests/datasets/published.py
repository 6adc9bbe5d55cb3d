"""Files as the publishers of streams write them, with contents that are made up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TAGS = ("Goodwill", "DebtInstrumentTerm", "SharePrice", "Revenues")
QUESTION = '{number}. What is best tag for entity "{figure}" in sentence: "{sentence}?"'
SENTENCE = (
    "At the end of the third quarter of last year the debt of the firm fell due in FIGURE years , which is a little "
    "sooner than it thought ."
)

TEMPLATES = """
import os
templates = {
    "hin": [
        {
            "type": "syn",
            "template_id": "syn0",
            "question": lambda word1: f"< {word1} > jaisa ?",
            "clarification": "I want a synonym.",
            "answer": lambda word1, word2: f"the synonym for {word1} is {word2}",
        },
        {"type": "defn", "template_id": "defn0", "question": lambda word: f"matlab < {word} > ?"},
    ],
    "pun": [{"type": "syn", "template_id": "syn0", "question": lambda word1: f"varga < {word1} > ?"}],
}
os.remove(__file__)
"""


def finer_line(figures: Sequence[str], tags: Sequence[str], sentence: str = SENTENCE) -> dict[str, str]:
    asked = "\n".join(
        QUESTION.format(number=n, figure=figure, sentence=sentence.replace("FIGURE", figure))
        for n, figure in enumerate(figures, 1)
    )
    said = f"You are an expert. Options: ,{','.join(TAGS)}. Answer the following questions. Provide nothing else. \n"
    return {"context": f"{said}{asked}\nOutput US GAAP tags:", "target": ",".join(tags)}


def finer(folder: Path, lines: Sequence[Mapping[str, Any]] | None = None) -> list[Path]:
    every = lines or [finer_line([str(n + k) for k in range(4)], TAGS) for n in range(3)]
    path = folder / "finer.jsonl"
    path.write_text("\n".join(map(json.dumps, every)), encoding="utf-8")
    return [path]


def table(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = folder / name
    path.write_bytes(file.getvalue().encode())
    return [path]


def patient(number: int, **more: Any) -> dict[str, Any]:
    evidences = {"Do you have a cough?": "True", "How intense is the pain?": str(number), "Where is it:?": "nowhere"}
    return {
        "": number,
        "AGE": 30 + number,
        "SEX": "FM"[number % 2],
        "English Pathology": ("Anemia", "Croup")[number % 2],
        "English Evidences": str(evidences),
        **more,
    }


def ddxplus(folder: Path) -> list[Path]:
    return table(folder, "ddxplus.csv", [patient(n) for n in range(12)])


def banking77(folder: Path) -> list[Path]:
    rows = [
        {"text": f"Where is card {n}, please?", "category": ("card_arrival", "age_limit")[n > 6]} for n in range(12)
    ]
    return table(folder, "train.csv", rows)


def question(word: str, template: str = "syn0", kind: str = "syn") -> dict[str, Any]:
    meta = {"word": word, "definition": "x"} if kind == "defn" else {"word1": word, "word2": "y"}
    return {"meta": meta, "type": kind, "template_id": template}


def intents(folder: Path, lines: Sequence[Mapping[str, Any]] | None = None) -> list[Path]:
    """Write a task file of enough sequences that either part of the data has some, and the templates."""
    every = lines or [question(f"word{n}", *((), ("defn0", "defn"))[n % 2]) for n in range(200)]
    tasks, templates = folder / "tasks" / "hin" / "tasks_200.jsonl", folder / "templates.py"
    tasks.parent.mkdir(parents=True, exist_ok=True)
    tasks.write_text("\n".join(map(json.dumps, every)), encoding="utf-8")
    templates.write_text(TEMPLATES, encoding="utf-8")
    return [tasks, templates]


FILES = {"finer": finer, "ddxplus": ddxplus, "banking77": banking77, "intents": intents}
"""What writes the files of each dataset that has to be made."""
