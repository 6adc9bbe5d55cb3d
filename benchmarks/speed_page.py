"""The page docs/results/speed.md, of the figures that `peers.py` keeps: nothing is measured here.

python benchmarks/speed_page.py [FILE]     write FILE's page beside it; docs/results/speed.json unless it is named
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.report.tables import NONE, Cell, Column, Results, Row, markdown

KEPT = Path(__file__).parents[1] / "docs" / "results" / "speed.json"
MADE = "<!-- Made by `python benchmarks/speed_page.py` from speed.json: a change belongs there. -->"
BARE = "httpx2"
"""The loop that all others are compared with."""
OURS = ("learner", "run")
MEGA = 1e6

TITLES = {
    "httpx2": "httpx2 loop",
    "openai": "openai loop",
    "learner": "our Learner",
    "run": "our run",
    "dspy": "DSPy",
    "langgraph": "LangGraph",
    "ace": "ace-framework",
}
"""What tables call the programs, in their order."""

ABOUT = {
    "httpx2": (
        "Sixteen past steps in the prompt of `/completions`. Nothing is tried again, nothing is kept, no "
        "budget in tokens."
    ),
    "openai": (
        "Sixteen past steps as turns of a chat. The package tries a call again twice, where the connection "
        "broke or the "
        "server was busy or broken. Nothing is kept."
    ),
    "learner": (
        "`AsyncLearner`, method `recurrent`, rule `cases`: a memory of at most 256 tokens, the nearest past step shown "
        "again. Three more attempts, then it waits for the server. The state is kept when the program saves "
        "it; here it "
        "does not."
    ),
    "run": (
        "The same method in a run: each step is durable in a journal before the next begins; the references, scores "
        "and intervals that a run makes are outside the time and CPU shown here, but inside its memory."
    ),
    "dspy": (
        "A typed `Predict` whose demos are the last sixteen steps, put in by hand: DSPy's own learning is "
        "done beforehand, "
        "by optimizers. Its cache is off, because no question comes twice. Three more attempts. No budget; a program's "
        "state is kept when it is saved; no statistics of a stream."
    ),
    "langgraph": (
        "A graph of one node with `ChatOpenAI`; each stream is a thread in a checkpointer in memory (others "
        "keep it in a "
        "database), trimmed to 256 tokens, counted approximately, by `trim_messages`. ChatOpenAI tries again twice. No "
        "statistics of a stream."
    ),
    "ace": (
        "`OnlineACE` with agent, reflector and skill manager: three calls a step, with long prompts of its "
        "own, because "
        "the model writes the lessons. Its calls block, so each stream has a thread. Instructor asks three "
        "times in all "
        "where an answer cannot be read. The skillbook has no limit in tokens; it is kept when it is saved. "
        "No statistics of "
        "a stream."
    ),
}
"""What each program is, and what it does and does not do."""


class Ratio(NamedTuple):
    """A figure in units of the bare loop's of the same round: the median of the rounds, and their ends."""

    middle: float
    low: float
    high: float


Rounds = Mapping[str, Sequence[float | None]]
"""A figure of each round, by program; None where it did not end."""


class Figures:
    """What was measured, as the page asks for it."""

    def __init__(self, measured: Mapping[str, Any]) -> None:
        self.whole = measured
        self.peers: dict[str, Any] = {peer: measured["peers"][peer] for peer in TITLES if peer in measured["peers"]}

    def rounds(self, peer: str, cell: str) -> list[dict[str, Any]]:
        """Give a cell of each round, in order; an empty one where the program did not end."""
        return [
            next((one for one in found.get("cells", ()) if one["cell"] == cell), {})
            for found in self.peers[peer]["timed"]
        ]

    def per(self, peer: str, cell: str, what: str, of: str) -> list[float | None]:
        """Give a figure of each round, divided by the calls or steps of it."""
        return [one[what] / one[of] if one else None for one in self.rounds(peer, cell)]

    def middle(self, peer: str, cell: str, what: str, of: str) -> float | None:
        """Give its median."""
        known = [value for value in self.per(peer, cell, what, of) if value is not None]
        return median(known) if known else None

    def ratio(self, peer: str, cell: str, what: str, of: str) -> Ratio | None:
        """Compare it with the bare loop's, round by round."""
        pairs = zip(self.per(peer, cell, what, of), self.per(BARE, cell, what, of), strict=True)
        ratios = [one / other for one, other in pairs if one is not None and other]
        return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None

    def starts(self, peer: str, what: str) -> float | None:
        """Give the median of what was measured with a program of one step."""
        found = [one["start"][what] for one in self.peers[peer]["timed"] if what in one["start"]]
        return median(found) if found else None

    def peak(self, peer: str) -> float | None:
        """Give the median of the most memory that a program held, in bytes."""
        found = [one["peak_bytes"] for one in self.peers[peer]["timed"] if "peak_bytes" in one]
        return median(found) if found else None

    def faulty(self, peer: str) -> list[dict[str, Any]]:
        """Give what came of the faults, in each round that ended."""
        return [one["cells"][0] for one in self.peers[peer]["faulty"] if "cells" in one]

    def lost(self, peer: str, what: str = "lost") -> float | None:
        """Give the share of the steps under faults of which something is true."""
        found = self.faulty(peer)
        return sum(one[what] for one in found) / sum(one["steps"] for one in found) if found else None


def page(measured: Mapping[str, Any]) -> str:
    """Write the page."""
    figures = Figures(measured)
    parts = [
        "# What a step costs, beside others",
        MADE,
        opening(measured),
        "## What came out",
        "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(findings(figures), 1)),
        "## Time of a call",
        (
            "Milliseconds a call, medians of the rounds; in brackets how many times the httpx2 loop's of the same "
            "round, and the "
            "lowest and highest of the rounds. The first two columns are CPU time of the asking process, with an "
            "engine "
            "that answers at once; the others are wall time, with one that takes 50 ms. Bold is the least among "
            "all that are "
            "no bare loop."
        ),
        markdown(times(figures), "program"),
        "## Calls, tokens, memory and start",
        (
            "Calls and tokens a step, counted by the server (a token is a word or a sign here, the same for all, "
            "not a model's "
            "own count); CPU a step, 8 streams at a time; the most memory that the process held, in MB, after "
            "one step and "
            "after all of them; seconds from the command to the first call that the server saw."
        ),
        markdown(sizes(figures), "program"),
        f"## With {per_cent(measured['faults']['share'])} faults",
        about_faults(measured),
        markdown(faults(figures), "program"),
        "## What each program is",
        "\n".join(f"- **{TITLES[peer]}** ({told(figures, peer)}). {ABOUT[peer]}" for peer in figures.peers),
        "## How to repeat it",
        REPEAT,
    ]
    return "\n\n".join(parts) + "\n"


REPEAT = """\
```sh
python benchmarks/peers.py                  # some ten minutes, and a few more for the environments at the first time
python benchmarks/peers.py --quick --peers httpx2,learner --out quick.json
python benchmarks/speed_page.py             # this page again, of the figures kept
```

The programs are in `benchmarks/peers/`, one file each, beside the whole lists of versions that their environments are
made of. One that could be written better, by its own documentation, is a mistake here. Frameworks that are not in the
tables have not been measured (LangMem and Mem0 among them, which keep long-term memories by calls of their own), nor
other versions, real models, other machines, and how much anybody learns."""


def opening(measured: Mapping[str, Any]) -> str:
    """Say what was done, where and when."""
    machine = measured["machine"]
    steps, rounds = measured["steps"], measured["rounds"]
    return (
        "The same work in each: streams of made-up questions with an outcome after each (what does the user "
        "want to know?), "
        f"{steps} steps long; a step predicts, then learns, and a memory is kept. The engine is a local server in a "
        "process of its own that speaks OpenAI's protocol and knows every answer, so that all time is the "
        "programs' own but "
        "what the server takes (nothing, or 50 ms a call), and every answer is right unless something between loses or "
        "changes it: **this page is about time and failures, and says nothing of accuracy**, for which see "
        "[what one may believe](README.md). Each program runs in an environment of its own, with telemetry and tracing "
        "off. Two streams are taken one after the other, or eight at a time. "
        f"{counted(rounds, 'round')} of all programs in turn. "
        f"The machine: {machine['cores']} cores that are shared with other work and therefore noisy "
        f"({machine['system']}, {machine['architecture']}, Python {machine['python']}), {machine['date']}. "
        "The server and the program share these cores, and other programs disturb one more than the next, so that the "
        "rounds are far apart: trust ratios, where the rounds agree, and no milliseconds."
    )


def per_cent(share: float) -> str:
    """Write a share.

    >>> per_cent(0.254)
    '25 %'
    """
    return f"{share * 100:.0f} %"


def counted(number: int, what: str) -> str:
    """Write a number of things.

    >>> counted(1, "round"), counted(3, "round")
    ('1 round', '3 rounds')
    """
    return f"{number} {what}{'s' * (number != 1)}"


# --- tables -----------------------------------------------------------------------------------------------------------


class Measure(NamedTuple):
    """A column of the table of times: what a program is compared by."""

    title: str
    said: str
    cell: str
    what: str


MEASURES = (
    Measure("CPU, 1 at a time", "CPU a call, a stream after another", "instant, 1", "cpu"),
    Measure("CPU, 8 at a time", "CPU a call, 8 streams at a time", "instant, 8", "cpu"),
    Measure("wall, 1 at a time, 50 ms", "Wall time a call of 50 ms, a stream after another", "50 ms, 1", "wall"),
    Measure("wall, 8 at a time, 50 ms", "Wall time a call of 50 ms, 8 streams at a time", "50 ms, 8", "wall"),
)


def frameworks(figures: Figures) -> list[str]:
    """Name the programs that are no bare loop."""
    return [peer for peer in figures.peers if peer not in (BARE, "openai")]


def times(figures: Figures) -> Results:
    """Lay out what a call costs."""
    rows = []
    for peer in figures.peers:
        cells = []
        for measure in MEASURES:
            value = figures.middle(peer, measure.cell, measure.what, "calls")
            ratio = figures.ratio(peer, measure.cell, measure.what, "calls")
            least = best(figures, measure) == peer
            text = NONE if value is None else f"{value * 1000:.2f}"
            detail = f"(x{ratio.middle:.2f}; {ratio.low:.2f} to {ratio.high:.2f})" if ratio and peer != BARE else ""
            cells.append(Cell(text, detail, least))
        rows.append(Row(TITLES[peer], tuple(cells), is_reference=False))
    return Results(tuple(Column(measure.title, "") for measure in MEASURES), tuple(rows))


def best(figures: Figures, measure: Measure) -> str | None:
    """Name the framework with the least of something."""
    known = ((peer, figures.ratio(peer, measure.cell, measure.what, "calls")) for peer in frameworks(figures))
    values = {peer: ratio.middle for peer, ratio in known if ratio}
    return min(values, key=lambda peer: values[peer], default=None)


SIZES = (
    "calls /step",
    "prompt tokens /step",
    "written /step",
    "CPU ms /step",
    "MB after 1 step",
    "MB at the end",
    "start, s",
)


def sizes(figures: Figures) -> Results:
    """Lay out calls, tokens, memory and start."""
    rows = []
    for peer in figures.peers:
        a_step = [
            figures.middle(peer, "instant, 8", what, "steps")
            for what in ("calls", "prompt_tokens", "completion_tokens", "cpu")
        ]
        calls, prompt, written, cpu = a_step
        values = (
            (calls, 1, 1.0),
            (prompt, 0, 1.0),
            (written, 1, 1.0),
            (cpu, 1, 1000.0),
            (figures.starts(peer, "peak_bytes"), 0, 1 / MEGA),
            (figures.peak(peer), 0, 1 / MEGA),
            (figures.starts(peer, "seconds"), 1, 1.0),
        )
        cells = tuple(Cell(NONE if value is None else f"{value * unit:.{digits}f}") for value, digits, unit in values)
        rows.append(Row(TITLES[peer], cells, is_reference=False))
    return Results(tuple(Column(title, "") for title in SIZES), tuple(rows))


FAULTS = (
    "steps",
    "no answer",
    "wrong",
    "answered, not learned",
    "exceptions",
    "calls /step",
    "extra calls",
    "wall, s",
    "kinds",
)


def about_faults(measured: Mapping[str, Any]) -> str:
    """Say what goes wrong, and how it is counted."""
    faults = measured["faults"]
    return (
        f"Of the calls that come, {per_cent(faults['share'])} go wrong, drawn by a seed, the n-th call in the "
        "same way for "
        "everyone: status 500, status 429 with `retry-after: 1`, the connection cut without an answer, or an "
        "answer of which "
        f"half is missing, so that it is no JSON. Eight streams at a time, {faults['steps']} steps in each of "
        f"{counted(faults['rounds'], 'row')} of faults. *No answer* is a step that is lost; *wrong* is "
        "another answer than the "
        "model gave, without a word; *exceptions* came out of a step: these programs go on with the next one, one "
        "that catches none ends at the first. *Extra calls* are those beyond what the same steps take without faults."
    )


def faults(figures: Figures) -> Results:
    """Lay out what came of the faults."""
    rows = []
    for peer in figures.peers:
        found = figures.faulty(peer)
        ended = [one["ended"] for one in figures.peers[peer]["faulty"] if "ended" in one]
        if not found:
            cells = [Cell(NONE)] * (len(FAULTS) - 1) + [Cell(f"ended: {ended[0]}")]
        else:
            total = {what: sum(one[what] for one in found) for what in ("steps", "lost", "wrong", "unlearned", "calls")}
            raised: dict[str, int] = {}
            for one in found:
                for kind, times_raised in one["raised"].items():
                    raised[kind] = raised.get(kind, 0) + times_raised
            usual = figures.middle(peer, "instant, 8", "calls", "steps")
            a_step = total["calls"] / total["steps"]
            extra = NONE if not usual else f"{(a_step / usual - 1) * 100:+.0f} %"
            kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(raised.items(), key=lambda one: -one[1]))
            cells = [
                Cell(str(total["steps"])),
                Cell(str(total["lost"]), f"({per_cent(total['lost'] / total['steps'])})"),
                Cell(str(total["wrong"])),
                Cell(str(total["unlearned"])),
                Cell(str(sum(raised.values()))),
                Cell(f"{a_step:.2f}"),
                Cell(extra),
                Cell(f"{median(one['wall'] for one in found):.1f}"),
                Cell("; ".join(filter(None, [kinds, *ended])) or NONE),
            ]
        rows.append(Row(TITLES[peer], tuple(cells), is_reference=False))
    return Results(tuple(Column(title, "") for title in FAULTS), tuple(rows))


def told(figures: Figures, peer: str) -> str:
    """Tell the versions that a program runs on."""
    return ", ".join(f"{name} {number}" for name, number in figures.peers[peer]["versions"].items())


# --- sentences --------------------------------------------------------------------------------------------------------


def findings(figures: Figures) -> Iterator[str]:
    """Say what came out, wins and losses of this project alike."""
    for measure in MEASURES:
        ratios = {peer: figures.ratio(peer, measure.cell, measure.what, "calls") for peer in figures.peers}
        yield ranked(
            figures,
            f"**{measure.said}**, the httpx2 loop's being 1",
            {peer: ratio.middle for peer, ratio in ratios.items() if ratio},
            "{:.2f}",
            {peer: figures.per(peer, measure.cell, measure.what, "calls") for peer in figures.peers},
        )
    a_step = {peer: figures.middle(peer, "instant, 8", "cpu", "steps") for peer in figures.peers}
    each = {peer: figures.per(peer, "instant, 8", "cpu", "steps") for peer in figures.peers}
    yield ranked(figures, "**CPU a step**, all its calls together, in ms", scaled(a_step, 1000), "{:.1f}", each)
    tokens = {peer: figures.middle(peer, "instant, 8", "prompt_tokens", "steps") for peer in figures.peers}
    yield ranked(figures, "**Prompt tokens a step**", scaled(tokens), "{:.0f}")
    peaks = {peer: figures.peak(peer) for peer in figures.peers}
    yield ranked(figures, "**Memory** at the end, in MB", scaled(peaks, 1 / MEGA), "{:.0f}")
    starts = {peer: figures.starts(peer, "seconds") for peer in figures.peers}
    yield ranked(figures, "**Start**, in seconds to the first call", scaled(starts), "{:.1f}")
    lost = {peer: figures.lost(peer) for peer in figures.peers}
    yield ranked(figures, "**Steps without an answer** under faults, in per cent", scaled(lost, 100), "{:.0f}")
    waited = {
        peer: median(one["wall"] for one in figures.faulty(peer)) for peer in figures.peers if figures.faulty(peer)
    }
    yield ranked(figures, "**Time under faults**, waits included, in seconds", waited, "{:.0f}")
    wrong = [TITLES[peer] for peer in figures.peers if figures.lost(peer, "wrong")]
    ended = [TITLES[peer] for peer, one in figures.peers.items() if any("ended" in run for run in one["faulty"])]
    yield (
        f"Wrong without a word under faults: {listed(wrong)}. Ended as a whole under faults, or not done in time: "
        f"{listed(ended)}."
    )


def scaled(values: Mapping[str, float | None], unit: float = 1.0) -> dict[str, float]:
    """Give what is known, in another unit."""
    return {peer: value * unit for peer, value in values.items() if value is not None}


def ranked(figures: Figures, said: str, values: Mapping[str, float], form: str, each: Rounds | None = None) -> str:
    """Say who has how much, the least first, and to which frameworks this project loses.

    Where there are figures of ``each`` round, whoever has less in some rounds and more in others cannot be told apart.
    """
    order = sorted(values, key=lambda peer: values[peer])
    others = [peer for peer in order if peer in frameworks(figures) and peer not in OURS]
    known = ", ".join(f"{TITLES[peer]} {form.format(values[peer])}" for peer in order)
    rounds = each or {peer: [value] for peer, value in values.items()}
    verdicts = []
    for peer in (one for one in OURS if one in values and others):
        below: list[str] = []
        level: list[str] = []
        for other in others:
            pairs = zip(rounds[other], rounds[peer], strict=True)
            less = [one < mine for one, mine in pairs if one is not None and mine is not None]
            if any(less):
                (below if all(less) else level).append(TITLES[other])
        verdict = f"loses to {listed(below)}" if below else "loses to no framework"
        apart = f" and cannot be told apart from {listed(level)}" if level else ""
        verdicts.append(f"{TITLES[peer]} {verdict}{apart}")
    return f"{said}: {known}. **{'; '.join(verdicts)}.**" if verdicts else f"{said}: {known}."


def listed(names: Sequence[str]) -> str:
    """List names.

    >>> listed(["a", "b", "c"]), listed([])
    ('a, b and c', 'none')
    """
    if len(names) < 2:
        return "".join(names) or "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def main(*paths: str) -> None:
    """Write the page of some figures."""
    kept = Path(*paths) if paths else KEPT
    kept.with_suffix(".md").write_text(page(msgspec.json.decode(kept.read_bytes())), encoding="utf-8")
    print(kept.with_suffix(".md"))


if __name__ == "__main__":
    main(*sys.argv[1:])
