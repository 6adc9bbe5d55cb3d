"""What help tells of this room, apart from what makes runs: to show help, none of that needs to be imported."""

from __future__ import annotations

MEASURED = 2
"""Steps of one sequence that a forecast asks of each method, where nobody says how many."""

JUDGED_BY = ("form", "style", "sampling", "seed", "thinking")
"""The settings that say how a judge is asked; the others are about learning."""

MOST_TIMES = 100
"""More judgements of a pair than these are a slip."""
