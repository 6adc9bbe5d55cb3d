"""What a sequence leaves to the next one of what was found out about answers, beside a method's own lessons."""

from __future__ import annotations

from typing import Any

from llm_as_rnn.core.records import Memory, Record


class Carried(Record, frozen=True):
    """Lessons, and what is known besides.

    Attributes
    ----------
    own : object
        The lessons of the method that the answers are of; None where it has none.
    known : object
        What is known of the answers.
    """

    own: Any
    known: Any

    @property
    def memory(self) -> Memory:
        """The method's lessons as a text."""
        memory: Memory = self.own.memory
        return memory
