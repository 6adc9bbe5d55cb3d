"""What labels and ranked lists share: options that the task lists, and that an answer is chosen from."""

from __future__ import annotations

import re
from typing import Any

from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields.base import ARROW, BaseField, brief, gbnf_string
from llm_as_rnn.core.folding import chosen, clash, fold

MOST_LISTED = 100
"""Options that a prompt for lines lists. The 139 tags of FiNER are 1,600 tokens of SmolLM2 in every prompt, and in
fifteen steps it was as often right without them; 77 intents of Banking77 are 547 tokens, 49 diseases of DDXPlus 231."""


class OfOptions(BaseField, frozen=True):
    """A field whose values are made of options.

    Attributes
    ----------
    options : tuple of str
        What may be chosen. Options are read and compared as `folding` has it, so no two may fold to the same.
    """

    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse options that could not be told apart, or not be read again."""
        super().__post_init__()
        if any(len(option.splitlines()) != 1 or option != option.strip() for option in self.options):
            raise ValueError(f"options of field {self.name!r} must be single lines without outer spaces")
        same = clash(self.options)
        if same:
            differ = "is the same as" if same[0] == same[1] else "differs only in case, blanks or Unicode form from"
            raise ValueError(f"option {same[1]!r} of field {self.name!r} {differ} {same[0]!r}: rename or drop one")
        for option in self.options:
            if ARROW in f" {fold(option)} ":
                raise self.unreadable(option, "an arrow, which comes before an outcome in notes: write it without")

    def unreadable(self, option: str, holds: str) -> ValueError:
        """Give the error of an option that holds what it must not."""
        return ValueError(f"option {option!r} of field {self.name!r} holds {holds}")

    def read_option(self, value: Any) -> str:
        """Give the option that a value stands for.

        Raises
        ------
        AnswerError
            If it is none.
        """
        option = chosen(str(value).strip(), self.options)
        if option is None:
            raise AnswerError(f"{self.name} must be one of {', '.join(self.options)}, not {brief(value)}")
        return option

    def what(self) -> str:
        """Say what an answer is, with all options."""
        return self.what_of(", ".join(self.options))

    def in_short(self) -> str:
        """Say it with all options where these are few, else with their number and three of them."""
        many = len(self.options)
        if many <= MOST_LISTED:
            return self.what()
        few = (self.options[place] for place in (0, many // 2, many - 1))
        return self.what_of(f"{many} names such as {', '.join(few)}")

    def what_of(self, options: str) -> str:
        """Say what an answer is, options being told as they are given here; empty where there are none."""
        raise NotImplementedError

    def option_regex(self) -> str:
        """Give a regular expression for one of the options."""
        return f"({'|'.join(map(re.escape, self.options))})"

    def option_gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        return f"({' | '.join(map(gbnf_string, self.options))})"

    def require_end_in_lines(self) -> None:
        """Refuse options that hold a comma by which a line could not tell where they end.

        Raises
        ------
        ValueError
            If one does.
        """
        for option in self.options:
            places = (match.start() for match in re.finditer(",", option))
            if any(self.may_end_at(option[:place]) for place in places):
                raise self.unreadable(
                    option,
                    "a comma, which ends a field in line answers: put the field last, or write the option without",
                )

    def may_end_at(self, beginning: str) -> bool:
        """Tell whether a comma after the beginning of an option may be taken for the end of the field."""
        raise NotImplementedError
