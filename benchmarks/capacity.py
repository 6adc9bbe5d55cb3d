"""What many streams take on many engines: python benchmarks/capacity.py --streams N --steps T --engines E [...].

By a closed formula, and by a simulation that follows every step. Three things take a step's time: its calls on an
engine, the CPU of its walk in the process beside that engine, and the CPU of the driver, which has all records written
one after the other. Engines have slots; a stream waits until one is free, keeps it to its end, and gives way to the
next stream.

The formula is mean-value analysis of a closed network (Reiser and Lavenberg, JACM 27(2), 1980): walks think for the
time of their calls, and queue at their process and at the driver. The simulation draws each call's time from an
exponential distribution around its mean and lets CPU take the time it takes, first come, first served. Neither knows of
networks, of lost engines, or of streams that are not alike.

What a step takes comes from options, or from a run that is there (``--run FOLDER --method NAME``): its calls, its
tokens and the seconds of its calls; ``docs/scale.md`` says where the CPU times come from.
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.spending import Price, read_prices
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.forecast import Forecast


class Step(NamedTuple):
    """What a step takes.

    Attributes
    ----------
    seconds : float
        Of its calls, on an engine with all of its slots in use.
    walk, driver : float
        Seconds of CPU in the process that makes its walk, and in the driver.
    """

    seconds: float
    walk: float
    driver: float


class Plan(NamedTuple):
    """What is to be done, and on what.

    Attributes
    ----------
    streams, steps : int
        How many streams, and steps in each.
    engines, slots : int
        How many engines, and calls that each answers at a time.
    """

    streams: int
    steps: int
    engines: int
    slots: int


def rate(plan: Plan, step: Step) -> float:
    """Give steps a second, by mean-value analysis.

    One more walk at a time is let in, and queues behind those that are there on average: at its own process, of which
    each engine has one, and at the driver.

    >>> plan = Plan(streams=8, steps=1, engines=2, slots=4)
    >>> round(rate(plan, Step(0.05, 0.0, 0.0)))  # eight at a time, a twentieth of a second each
    160
    >>> round(rate(plan, Step(0.05, 0.0, 0.1)))  # the driver does ten a second, and no more
    10
    """
    walks = min(plan.streams, plan.engines * plan.slots)
    at_process, at_driver, found = 0.0, 0.0, 0.0
    for walking in range(1, walks + 1):
        in_process = step.walk * (1 + at_process)
        in_driver = step.driver * (1 + at_driver)
        found = walking / (step.seconds + in_process + in_driver)
        at_process = found / plan.engines * in_process
        at_driver = found * in_driver
    return found


def simulate(plan: Plan, step: Step, seed: int = 0) -> float:
    """Follow every step of every stream; give the seconds until the last one is kept.

    >>> plan = Plan(streams=40, steps=50, engines=2, slots=4)
    >>> 0.95 < simulate(plan, Step(0.05, 0.004, 0.001)) * rate(plan, Step(0.05, 0.004, 0.001)) / (40 * 50) < 1.15
    True
    """
    draw = random.Random(seed).expovariate  # noqa: S311 - it draws times, and no secrets
    each = 1 / step.seconds
    walks = min(plan.streams, plan.engines * plan.slots)
    waiting = plan.streams - walks
    free_process = [0.0] * plan.engines
    free_driver = 0.0
    # When a call ends, where, and how many steps its stream still has; and when a record comes to the driver.
    events = [(draw(each), number % plan.engines, plan.steps, False) for number in range(walks)]
    heapq.heapify(events)
    now = 0.0
    while events:
        at, engine, left, computed = events[0]
        if not computed:
            free_process[engine] = max(free_process[engine], at) + step.walk
            heapq.heapreplace(events, (free_process[engine], engine, left, True))
            continue
        now = free_driver = max(free_driver, at) + step.driver
        left -= 1
        if not left and waiting:
            waiting, left = waiting - 1, plan.steps
        if left:
            heapq.heapreplace(events, (now + draw(each), engine, left, False))
        else:
            heapq.heappop(events)
    return now


def demand(records: Sequence[StepRecord], method: str, plan: Plan) -> Forecast:
    """Give what a method would take for all streams, as it took in a run."""
    calls = [record.calls for record in records if record.method == method]
    scale = plan.streams * plan.steps / len(calls)
    every = [call for step in calls for call in step]
    return Forecast(
        method,
        plan.streams * plan.steps,
        scale * len(every),
        scale * sum(call.prompt_tokens for call in every),
        scale * sum(call.cached_tokens or 0 for call in every),
        scale * sum(call.completion_tokens for call in every),
        scale * sum(call.seconds for call in every),
    )


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 2, 4, 8, 16, 64])
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.05, help="of the calls of a step")
    parser.add_argument("--walk", type=float, default=6.2, help="milliseconds of CPU of a step's walk")
    parser.add_argument("--driver", type=float, default=2.7, help="milliseconds of CPU of a step in the driver")
    parser.add_argument("--simulate", action="store_true", help="follow every step as well")
    parser.add_argument("--run", type=Path, help="the folder of a run that says what a step takes")
    parser.add_argument("--method", default="recurrent")
    parser.add_argument("--prices", type=Path, help="as for `llm-as-rnn run`")
    return parser.parse_args()


def _priced(chosen: argparse.Namespace, plan: Plan) -> float:
    """Print what all streams take, as a run has it; give the seconds of a step's calls."""
    directory = RunDirectory(chosen.run)
    records = directory.records()
    found = demand(records, chosen.method, plan)
    prices: dict[str, Price] = read_prices(chosen.prices) if chosen.prices else {}
    price = prices.get(directory.info().spec.model)
    money = f", {found.cost(price):,.2f} to pay" if price else ""
    print(
        f"{found.calls:,.0f} calls, {found.prompt:,.0f} tokens of prompts ({found.cached:,.0f} cached), "
        f"{found.completion:,.0f} of answers{money}"
    )
    return fmean(sum(call.seconds for call in one.calls) for one in records if one.method == chosen.method)


def main() -> None:
    """Print a line for each number of engines."""
    chosen = _parsed()
    plans = [Plan(chosen.streams, chosen.steps, engines, chosen.slots) for engines in chosen.engines]
    measured = 0.0 if chosen.run is None else _priced(chosen, plans[0])
    seconds = measured or chosen.seconds  # a script takes no time
    step = Step(seconds, chosen.walk / 1000, chosen.driver / 1000)
    print(f"{chosen.streams:,} streams of {chosen.steps:,} steps; {1000 * seconds:.0f} ms on an engine each")
    print(f"{'engines':>7} {'steps/s':>8} {'of ideal':>8} {'hours':>8}" + " simulated, hours" * chosen.simulate)
    for plan in plans:
        found = rate(plan, step)
        ideal = min(plan.streams, plan.engines * plan.slots) / seconds
        hours = plan.streams * plan.steps / found / 3600
        line = f"{plan.engines:>7} {found:>8.0f} {found / ideal:>8.2f} {hours:>8.2f}"
        if chosen.simulate:
            begun = time.perf_counter()
            line += f" {simulate(plan, step) / 3600:>16.2f}  ({time.perf_counter() - begun:.0f} s to simulate)"
        print(line, flush=True)


if __name__ == "__main__":
    main()
