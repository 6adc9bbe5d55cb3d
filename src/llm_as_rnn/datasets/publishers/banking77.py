"""Banking77: what customers write to a bank's help desk, each message with its intent."""

from __future__ import annotations

from llm_as_rnn.datasets.base import Brought, Maker, Row
from llm_as_rnn.datasets.publishers.common import made_by_users, rows_of, scattered


def rows(files: tuple[Brought, ...], _: str) -> list[Row]:
    """Read a file of PolyAI's, which stands by intent, in an order without meaning."""
    (file,) = files
    read = rows_of(file, ("text", "category"), "Banking77 as PolyAI publishes it")
    return scattered(Row(row.line, {"text": row.cells["text"], "intent": row.cells["category"]}) for row in read)


BANKING77 = made_by_users(
    "banking77",
    title="What a bank's customer wants (Banking77)",
    source="PolyAI, task-specific-datasets (Casanueva et al., 2020)",
    licence="CC BY 4.0",
    predicts="a message's intent (77)",
    size="10,003 messages for training, 3,080 for testing",
    maker=Maker(("train.csv or test.csv of the folder banking_data",), rows),
)
