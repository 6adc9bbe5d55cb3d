r"""What a reasoning model thinks, told from what it answers.

Servers put the thinking into a field of its own, or leave it in the text: between tags (DeepSeek, Qwen, Magistral),
whose first one may stand in the prompt already, or in the channels of GPT-oss. Only the answer goes on to the methods.
"""

from __future__ import annotations

import re

_OPEN = re.compile(r"\s*(?:<(think|thinking|thought|reasoning)>|\[(THINK)\])")
_CLOSE = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]")
# Possessive: nothing that was read is tried again in another way, so that no text takes more than linear time.
_CHANNEL = re.compile(r"<\|channel\|>\s*+(\w++)[^<]*+(?:<\|constrain\|>[^<]*+)?+<\|message\|>")
_CONTROL = re.compile(r"<\|(?:start|end|return|call)\|>")
_BARE_CHANNELS = re.compile(r"analysis(.*?)assistantfinal(.*)", re.DOTALL)


def split_thinking(text: str) -> tuple[str, str]:
    r"""Tell thinking and answer apart.

    Thinking that was cut short, before its end, leaves no answer. Tags in the middle of an answer belong to it.

    Parameters
    ----------
    text : str
        What the model wrote.

    Returns
    -------
    thinking, answer : str
        The answer is the text itself where there is no thinking in it.

    Examples
    --------
    >>> split_thinking("<think>It rained.</think>\n\nrain, 9.5")
    ('It rained.', 'rain, 9.5')
    >>> split_thinking("It rained.</think>rain, 9.5")
    ('It rained.', 'rain, 9.5')
    >>> split_thinking("<think>It rained, so")
    ('It rained, so', '')
    >>> split_thinking("<|channel|>analysis<|message|>Wet.<|end|><|start|>assistant<|channel|>final<|message|>rain")
    ('Wet.', 'rain')
    >>> split_thinking(" rain, 9.5")
    ('', ' rain, 9.5')
    """
    if _CHANNEL.search(text):
        return _by_channel(text)
    if bare := _BARE_CHANNELS.match(text):  # a server that leaves special tokens out of the text
        return bare[1].strip(), bare[2].strip()
    return _by_tag(text)


def _by_channel(text: str) -> tuple[str, str]:
    marks = list(_CHANNEL.finditer(text))
    thoughts, answer = [], ""
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        said = _CONTROL.split(text[mark.end() : after.start() if after else None])[0].strip()
        if mark[1] == "final":
            answer = said
        else:
            thoughts.append(said)
    return "\n".join(filter(None, thoughts)), answer


def _by_tag(text: str) -> tuple[str, str]:
    thoughts: list[str] = []
    place = 0
    while True:
        opened, closed = _OPEN.match(text, place), _CLOSE.search(text, place)
        if closed is None:
            if opened:  # cut short
                thoughts.append(text[opened.end() :])
                place = len(text)
            break
        inner = text[opened.end() if opened else place : closed.start()]
        if not opened and (thoughts or _is_answer(inner)):
            break
        thoughts.append(inner)
        place = closed.end()
    answer = text[place:].lstrip() if thoughts else text
    return "\n".join(filter(None, map(str.strip, thoughts))), answer


def _is_answer(text: str) -> bool:
    """Tell an answer that merely names a tag, as in a JSON string, from thinking whose first tag is in the prompt."""
    return bool(re.search(r"<(?:think|thinking|thought|reasoning)>|\[THINK\]", text)) or text.lstrip().startswith("{")
