"""What is kept made, for those who ask from several threads."""

from __future__ import annotations

import threading

from llm_as_rnn.service.predictors import Latest


class Name:
    """A name at whose second look-up another thread puts something else in its place."""

    def __init__(self) -> None:
        self.kept: Latest[object, int] | None = None
        self.looked_up = 0

    def __hash__(self) -> int:
        if self.kept is not None:
            self.looked_up += 1
            if self.looked_up == 2:
                other = threading.Thread(target=self.kept.__setitem__, args=("other", 2), daemon=True)
                other.start()
                other.join(0.2)  # without a lock it is done by then, with one it waits
        return 7

    def __eq__(self, other: object) -> bool:
        return self is other


def test_what_another_thread_puts_aside_breaks_nobody_who_looks_it_up() -> None:
    kept: Latest[object, int] = Latest(2)
    name = Name()
    kept[name], kept["later"] = 1, 3
    name.kept = kept
    assert kept.get(name) == 1
    assert name.looked_up >= 2
