"""Agentic Context Engineering: a playbook of notes that grows by additions, under a budget or up to the window.

Three roles take part in a step (Zhang et al. 2025, https://arxiv.org/abs/2510.04618, section 3). The *Generator*
answers with the playbook before it, and names the notes that it went by. The *Reflector* is told the outcome, and says
what it teaches. The *Curator* answers with additions, never with a whole playbook, so that nothing that was learned is
lost by being written again. The rest is code: additions are merged, repetitions left out, and it is counted how often
each note helped and harmed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from llm_as_rnn.baselines.playbook import Addition, PlaybookState
from llm_as_rnn.baselines.window import Messages, fitted
from llm_as_rnn.cases.case import came, case, line_of, parse
from llm_as_rnn.cases.recall import Resemblance
from llm_as_rnn.core.answers import object_schema, read_object
from llm_as_rnn.core.calls import AnswerFormat, Message
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Field, Label, Text, whole_words
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.method import Apart, Asked, Asker, Calls, Learned, count_tokens, said
from llm_as_rnn.core.outcomes import SENTENCE, facts, note_field, same_outcome, verdict
from llm_as_rnn.core.prompts import Prompts, examples_in
from llm_as_rnn.core.records import (
    Feedback,
    Memory,
    Observation,
    Prediction,
    Section,
    SequenceInfo,
    Target,
    Update,
    Why,
)
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task

MOST_USED = 8
"""Notes that an answer may name as used."""

MOST_ADDED = 2
"""Notes that the Curator may add to each section in a step, in JSON; in lines it adds one in all."""


class Ace(Apart):
    """ACE as its paper has it: the playbook may grow as far as the engine's context window.

    Where the window is full, the notes that harmed most beyond what they helped are not shown; they are kept. In the
    paper the Reflector says which of the used notes helped; here the outcome does, which code can tell: a note that is
    a case (``what was seen -> what came``) helped where the same came again, any other where the answer was right. In
    lines a model cannot name what it used: there code counts for the cases most like x_t, and for all notes that are no
    cases.

    Parameters
    ----------
    task : Task
        What is predicted; its sections of a memory are the playbook's.
    settings : Settings
        How the model is asked.
    prompts : Prompts
        ``baselines/*``.
    """

    name = "ace"
    state_type = PlaybookState

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task = task
        self.settings = settings
        self.asker = Asker(task, settings, prompts)
        most = SENTENCE[settings.form]
        self.reflection = self.asker.block(
            "reflection",
            (
                Text("why", "what made the answer right or wrong", max_chars=most),
                Text("suggestion", "what to do in steps like this one", max_chars=most),
            ),
        )
        names = {field.name for field in task.answer}
        self.used_key = next(name for name in ("used", "used_notes", "used_notes_") if name not in names)

    def start(self, sequence: SequenceInfo) -> PlaybookState:
        """Begin with an empty playbook."""
        return PlaybookState(sequence, Memory(tuple(Section(section.name, ()) for section in self.task.memory)))

    # --------------------------------------------------------------------------------------------------- the Generator

    def predict(self, state: PlaybookState, observation: Observation) -> Calls[Prediction]:
        """Answer with the playbook before it; in JSON, with the numbers of the notes that were used."""
        answer, most = self._answer(state)
        order = state.worst_first()
        messages, dropped = yield from fitted(
            lambda dropped: self._context(state.without(order[:dropped]), observation),
            len(order),
            self.settings.window,
            most,
        )
        request = self.asker.request("predict", messages, observation, answer, most)
        # Read by the task's own fields: what an answer says of used notes, or leaves out, makes it no worse.
        asked = yield from self.asker.ask(request, self.asker.answer.read)
        prediction = Prediction(asked.value, asked.status, asked.raw, asked.problem)
        if not dropped:
            return prediction
        note = f"{dropped} of {len(order)} notes were not shown, the most harmful: the context window is full"
        return msgspec.structs.replace(prediction, notes=(note,))

    def _answer(self, state: PlaybookState) -> tuple[AnswerFormat, int]:
        """Give the form of the Generator's answer, and the most tokens that it may take."""
        answer = self.asker.answer
        if self.settings.form == "line" or not state.notes:
            return answer.format, answer.max_tokens()
        used = {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": MOST_USED}
        schema = object_schema({**{field.name: field.schema() for field in answer.fields}, self.used_key: used})
        return AnswerFormat(answer.name, schema=schema), answer.max_tokens() + 8 * MOST_USED

    def _context(self, state: PlaybookState, observation: Observation) -> Messages:
        """Give the prompt of a prediction."""
        names_used = self.settings.form == "json" and state.notes
        told = {"playbook": state.text(self.settings.form) if state.notes else ""}
        asking = {"observation": self._shown(state, observation), "used": self.used_key if names_used else ""}
        return (
            Message("system", self.asker.render("baselines/playbook", **told)),
            Message("user", self.asker.render("baselines/generate", **asking)),
        )

    def _shown(self, state: PlaybookState, observation: Observation) -> str:
        return self.task.show(observation, self.settings.form, state.sequence.about)

    # ------------------------------------------------------------------------------------------------------- learning

    def learn(
        self, state: PlaybookState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Count, reflect, curate and merge."""
        if target is None:
            return Learned(state, Update("skipped", "no outcome"))
        used = self._used(state, observation, prediction)
        right = same_outcome(self.task, prediction.values, target)
        counted = state.counted({note: self._helped(note, target, right=right) for note in used})
        told = {
            "observation": self._shown(state, observation),
            "said": prediction.raw,
            "used": used if self.settings.form == "json" else [],
            "facts": facts(self.task, prediction, target),
            "case": case(self.task, observation, target, state.sequence),
            "verdict": verdict(self.task, prediction, target),
        }
        # With the counts that the Generator saw: so the prompt goes on where its own ended, and is in the cache.
        turns, feedback = yield from self._reflect(state, observation, said(prediction.raw), told)
        asked = yield from self._curate(state, observation, turns, feedback, told)
        after, new = counted.merged(asked.value or ())
        after, why = yield from self._room_for(after, new)
        if after.playbook.sections == state.playbook.sections:
            reason = why or (Why(asked.status, asked.problem) if asked.value is None else None)
            reason = reason or (Why("known", "such a note is there") if asked.value else Why("nothing to change"))
            update = Update("kept", *reason)
        else:
            update = Update("accepted", *(why or Why("added")))
        version = state.playbook.version + (update.outcome == "accepted")
        playbook = Memory(after.playbook.sections, version, (yield from self._tokens(after)))
        return Learned(msgspec.structs.replace(after, playbook=playbook), update, feedback)

    def _used(self, state: PlaybookState, observation: Observation, prediction: Prediction) -> list[str]:
        """Give the notes that an answer went by."""
        if self.settings.form == "json":
            numbers = _numbers(prediction.raw, self.used_key)
            return [note for note, tally in state.numbered().tallies.items() if tally.number in numbers]
        line = line_of(self.task, observation, state.sequence)
        memory = Resemblance(state.notes)
        closest = memory.same(line) or memory.closest(line, 1)
        return list(dict.fromkeys(note for note in state.notes if note in closest or not parse(note).came))

    def _helped(self, note: str, target: Target, *, right: bool) -> bool:
        """Tell whether an outcome bears out a note that an answer went by."""
        told = came(self.task, note)
        return right if told is None else same_outcome(self.task, told, target)

    def _reflect(
        self, state: PlaybookState, observation: Observation, answer: Message, told: dict[str, Any]
    ) -> Calls[tuple[Messages, Feedback]]:
        """Have the Reflector say what the outcome teaches; give the conversation so far, and its words."""
        spec = self.reflection
        messages = yield from self._asking(
            "reflect", state, observation, (answer,), spec.max_tokens(), {"spec": spec, **told}
        )
        request = self.asker.request("reflect", messages, observation, spec.format, spec.max_tokens())
        asked = yield from self.asker.ask(request, spec.read)
        values = asked.value or {}
        fields = dict(values) if values else {"problem": f"{asked.status}: {asked.problem}"}
        remarks = tuple(f"{name}: {value}" for name, value in values.items())
        return (answer, messages[-1], said(asked.raw)), Feedback("model", told["facts"], remarks, fields)

    def _curate(
        self, state: PlaybookState, observation: Observation, turns: Messages, feedback: Feedback, told: dict[str, Any]
    ) -> Calls[Asked[list[Addition]]]:
        """Have the Curator add what is not there yet."""
        answer, most, read, spec = self._delta(told["case"])
        more = {"remarks": feedback.remarks, "spec": spec, "most": MOST_ADDED, **told}
        messages = yield from self._asking("curate", state, observation, turns, most, more)
        request = self.asker.request("update", messages, observation, answer, most)
        asked = yield from self.asker.ask(request, read)
        own = (str(state.playbook), state.text(self.settings.form), told["observation"], told["case"], feedback.text)
        not_learned = {*examples_in(messages, *own), tidy_item(self.task.initial), ""}
        additions = [addition for addition in asked.value or () if addition.note not in not_learned]
        return asked if asked.value is None else asked._replace(value=additions)

    def _asking(
        self,
        name: str,
        state: PlaybookState,
        observation: Observation,
        turns: Messages,
        answer: int,
        told: dict[str, Any],
    ) -> Calls[Messages]:
        """Go on with the step's conversation, or begin one that tells all that is needed; as far as the window goes."""
        order = state.worst_first()

        def messages(dropped: int) -> Messages:
            seen = state.without(order[:dropped])
            playbook = seen.text(self.settings.form) if seen.notes else ""
            prompt = Message("user", self.asker.render(f"baselines/{name}", playbook=playbook, **told))
            if self.settings.layout == "separate":
                return Message("system", self.task.instructions.strip()), prompt
            return (*self._context(seen, observation), *turns, prompt)

        found, _ = yield from fitted(messages, len(order), self.settings.window, answer)
        return found

    def _delta(self, case: str) -> tuple[AnswerFormat, int, Callable[[str], list[Addition]], Any]:
        """Say what additions look like: in JSON a list for each section, in lines one note."""
        sections = self.task.memory
        if self.settings.form == "json":
            note = {"type": "string", "maxLength": SENTENCE["json"]}
            lists = {section.name: {"type": "array", "items": note, "maxItems": MOST_ADDED} for section in sections}
            most = 64 + len(sections) * MOST_ADDED * SENTENCE["json"] // 2
            return AnswerFormat("additions", schema=object_schema(lists)), most, self._read_lists, None
        fields: list[Field] = [note_field("note", "the new note, as you will want to read it", self.task, "line", case)]
        if len(sections) > 1:
            names = tuple(section.name for section in sections)
            fields.insert(0, Label("section", "where the new note goes", options=names))
        spec = self.asker.block("delta", tuple(fields))

        def read(text: str) -> list[Addition]:
            found = spec.read(text)
            return [Addition(str(found.get("section", sections[0].name)), tidy_item(str(found["note"])))]

        return spec.format, spec.max_tokens(), read, spec

    def _read_lists(self, text: str) -> list[Addition]:
        """Read the additions of a JSON answer."""
        names = {fold(section.name): section.name for section in self.task.memory}
        found = {names[fold(name)]: notes for name, notes in read_object(text).items() if fold(name) in names}
        if not found:
            raise AnswerError(f"the answer has none of the sections {', '.join(names.values())}")
        additions = []
        for section, notes in found.items():
            texts = [notes] if isinstance(notes, str) else notes
            if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
                raise AnswerError(f"the section {section!r} must be a list of texts")
            tidy = (whole_words(tidy_item(one), SENTENCE["json"]) for one in texts[:MOST_ADDED])
            additions += [Addition(section, note) for note in tidy if note]
        return additions

    # ---------------------------------------------------------------------------------------------- how long it may be

    def _room_for(self, state: PlaybookState, new: list[str]) -> Calls[tuple[PlaybookState, Why | None]]:
        """Give the playbook as it may be kept, and why it is not as it was merged, or that notes had to go."""
        yield from ()
        return state, None

    def _tokens(self, state: PlaybookState) -> Calls[int | None]:
        """Give the length of the playbook as a memory's text form, where it has a budget."""
        yield from ()
        return None


class AceBudget(Ace):
    """ACE under the budget of a memory: where it is full, the notes that harmed most beyond what they helped go.

    The budget holds what a prediction is shown: in JSON with numbers and counts.

    Parameters
    ----------
    task, settings, prompts
        As of `Ace`; ``budget`` is the settings' as well.
    """

    name = "ace_budget"

    def memory(self, state: PlaybookState) -> Memory:
        """Give the playbook."""
        return state.playbook

    def with_memory(self, state: PlaybookState, memory: Memory) -> PlaybookState:
        """Put another text in the place of the playbook; what was counted stays as it is."""
        return msgspec.structs.replace(state, playbook=memory)

    def _room_for(self, state: PlaybookState, new: list[str]) -> Calls[tuple[PlaybookState, Why | None]]:
        """Let notes go until the rest fits the budget."""
        large = []
        for note in new:
            alone = state.without([other for other in state.notes if other != note])
            if (yield from self._length(alone)) > self.settings.budget // 2:
                large.append(note)
        state, new = state.without(large), [note for note in new if note not in large]
        order, gone = state.worst_first(new), 0
        while (yield from self._length(state.without(order[:gone]))) > self.settings.budget and gone < len(order):
            gone += 1
        kept = state.without(order[:gone]).numbered()
        if large and not new:
            return kept, Why("over_budget", "a note alone would take more than half of it")
        code = "added" if set(new) - set(order[:gone]) else "retired"
        return kept, Why(code, f"{gone} retired" if gone else "") if new or gone else None

    def _length(self, state: PlaybookState) -> Calls[int]:
        """Count the playbook as it is shown, and as a memory's text form: of some tokenizers, either may be longer."""
        shown = yield from count_tokens(state.text(self.settings.form))
        return max(shown, (yield from count_tokens(str(state.playbook))))

    def _tokens(self, state: PlaybookState) -> Calls[int | None]:
        return (yield from count_tokens(str(state.playbook)))


def _numbers(raw: str, key: str) -> set[int]:
    """Read which notes an answer says it used; nothing where it does not say so.

    >>> sorted(_numbers('{"sky": "sun", "used": [3, "1", "none"]}', "used"))
    [1, 3]
    """
    try:
        named = read_object(raw).get(key)
    except AnswerError:
        return set()
    parts = [str(part).strip() for part in (named if isinstance(named, list) else [named])]
    return {int(part) for part in parts[:MOST_USED] if part.isdecimal() and len(part) < 10}  # noqa: PLR2004 - no number is so long
