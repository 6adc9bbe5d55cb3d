"""The fields of an answer, one type for each kind: what it may be, how it is shown, asked for, read and compared.

A task's answer is a list of these; `base` says what all have, and what a kind says for itself.

>>> sky, high = Label("sky", options=("rain", "sun")), Number("high", low=-20, high=45, unit="degrees C")
>>> sky.describe(), high.describe()
('sky: one of rain, sun', 'high: a number with 1 decimal in degrees C')
"""

from __future__ import annotations

from llm_as_rnn.core.fields.base import ARROW, BaseField, Judging, Measure, gbnf_string
from llm_as_rnn.core.fields.label import Label
from llm_as_rnn.core.fields.number import Number
from llm_as_rnn.core.fields.ranked import Ranked
from llm_as_rnn.core.fields.text import NoteField, Text, whole_words
from llm_as_rnn.core.fields.verdict import NO_ANSWER, Verdict, entries

__all__ = [
    "ARROW",
    "NO_ANSWER",
    "BaseField",
    "Field",
    "Judging",
    "Label",
    "Measure",
    "NoteField",
    "Number",
    "Ranked",
    "Text",
    "Verdict",
    "entries",
    "gbnf_string",
    "whole_words",
]

Field = Label | Number | Ranked | Text
"""Any field of a task; in its file and in JSON, ``kind`` says which."""
