"""Lines of journals that earlier versions wrote. They are read, and gone on with, as they are."""

from __future__ import annotations

import re

import msgspec

from llm_as_rnn.core.records import Feedback, Update, UpdateOutcome
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.lines import LinesOfSteps, Names, Plain

_encoder = msgspec.json.Encoder()


class EarlierSteps(Plain[StepRecord], LinesOfSteps):
    """Lines of steps in the formats 1 and 2, which say all at every step, and know nothing of prompts."""

    def __init__(self) -> None:
        super().__init__(StepRecord)
        self._names = msgspec.json.Decoder(Names)

    def names(self, line: bytes) -> Names:
        """Say whose the line is."""
        return self._names.decode(line)

    def begin(self) -> None:
        """Forget nothing, as nothing was remembered."""

    def kept(self, record: StepRecord) -> StepRecord:
        """Leave out what these formats have no place for; reasons are as they are read again."""
        return msgspec.structs.replace(
            record,
            recalled=(),
            asked=(),
            distribution={},
            believed={},
            interval={},
            among={},
            chance={},
            abstained=(),
            guessed=(),
            when="",
            update=_as_told(record.update),
            feedback=_in_one(record.feedback),
            taught=_as_told(record.taught, "accepted") if record.taught else None,
        )

    def line(self, record: StepRecord) -> bytes:
        """Encode it as readers of that time expect it."""
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        told = {name: fields[name] for name in fields if name not in _LATER}
        told["update"] = {"outcome": record.update.outcome, "reason": record.update.reason}
        if record.feedback:
            told["feedback"] = {
                "kind": record.feedback.kind,
                "text": record.feedback.text,
                "fields": record.feedback.fields,
            }
        if record.taught:
            told["notes"] = (*record.notes, f"{TAUGHT}{record.taught.reason}")
        return _encoder.encode(told)

    def record(self, line: bytes) -> StepRecord:
        """Decode it; what became of the memory was told in one text then, and what of the lessons in a note."""
        told = msgspec.json.decode(line)
        if not isinstance(told, dict):
            return super().record(line)
        update, notes = told.get("update"), told.get("notes")
        if isinstance(update, dict) and isinstance(update.get("reason"), str):
            told["update"] = {"outcome": update.get("outcome"), **_code_and_detail(update["reason"])}
        if isinstance(told.get("feedback"), dict):
            told["feedback"]["remarks"] = [told["feedback"].pop("text", "")]
        if told.get("lessons") is not None and notes and str(notes[-1]).startswith(TAUGHT):
            *told["notes"], last = notes
            told["taught"] = {"outcome": "accepted", **_code_and_detail(last.removeprefix(TAUGHT))}
        return msgspec.convert(told, StepRecord)


_LATER = (
    "recalled", "asked", "taught", "distribution", "believed", "interval", "among", "chance", "abstained", "guessed",
    "when",
)  # fmt: skip
"""What a record has that these formats do not."""

TAUGHT = "lessons: "
"""What began the note of what became of lessons, in the formats 1 and 2."""


def _in_one(feedback: Feedback | None) -> Feedback | None:
    return Feedback(feedback.kind, remarks=(feedback.text,), fields=feedback.fields) if feedback else None


def _as_told(update: Update, outcome: UpdateOutcome | None = None) -> Update:
    return Update(outcome or update.outcome, **_code_and_detail(update.reason))


def _code_and_detail(reason: str) -> dict[str, str]:
    """Take apart a reason of earlier formats.

    >>> _code_and_detail("added, 2 retired; not consolidated: no answer"), _code_and_detail("merged")
    ({'code': 'added', 'detail': '2 retired; not consolidated: no answer'}, {'code': 'merged', 'detail': ''})
    """
    code, *detail = re.split("[:,] ", reason, maxsplit=1)
    return {"code": code, "detail": detail[0] if detail else ""}
