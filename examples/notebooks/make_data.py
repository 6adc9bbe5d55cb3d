"""Make the tables that the notebooks here read: ``python make_data.py`` writes the same three files every time.

All of it is made up. No line stands for a real customer, shop or patient. Each table has noise that nobody could
predict, and something that changes in the middle, because what never changes need not be learned online.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random

SEED = 2025

Row = dict[str, str | int]


# --- support tickets --------------------------------------------------------------------------------------------------

TEAMS = ("billing", "shipping", "technical", "returns")
THINGS = ("kettle", "lamp", "speaker", "heater", "clock")

# What a ticket can be about: how often, the team that takes it, and what customers write.
TOPICS = {
    "invoice": (4, "billing", (
        "I was charged twice for order {n}",
        "the invoice for my {thing} shows the wrong address",
        "my card was declined but the money is gone",
        "please send me a receipt for order {n}",
        "the discount code was not taken off my bill",
    )),
    "refund": (5, "billing", (
        "I want my money back for the {thing}",
        "when will I get the refund for order {n}",
        "I cancelled order {n}, where is my money",
        "the refund for the {thing} is too low",
    )),
    "delivery": (5, "shipping", (
        "my {thing} has not arrived",
        "tracking for order {n} has not moved for days",
        "the courier left the {thing} with a neighbour",
        "can you change the delivery address of order {n}",
        "the parcel was not at the pick-up point",
    )),
    "broken": (4, "returns", (
        "the {thing} arrived broken",
        "a part of the {thing} is missing",
        "this is not the {thing} that I ordered",
        "how do I send the {thing} back",
    )),
    "app": (4, "technical", (
        "the app crashes when I open my orders",
        "I cannot log in any more",
        "the {thing} does not connect to the app",
        "since the update the {thing} stops after a minute",
    )),
    "anything": (2, "", (
        "please call me back",
        "it is about order {n}",
        "this is the third time that I write",
        "I am not happy with the {thing}",
    )),
}  # fmt: skip
OPENINGS = ("", "", "", "Hello, ", "Hi, ", "Dear team, ")
ENDINGS = ("", "", "", ", thanks", ", please help", "!!")


def tickets(rng: Random, days: int = 28, a_day: int = 3, change: int = 14) -> Iterator[Row]:
    """Make tickets, and the team that had solved each in the end.

    After ``change`` days refunds belong to the team for returns, and a new product, the hub, is sold; hubs that are
    broken go to the technicians. One ticket in twelve was solved by some other team, for reasons nobody wrote down.
    """
    for number in range(days * a_day):
        day = number // a_day
        later = day >= change
        things = (*THINGS, "hub", "hub", "hub") if later else THINGS
        topic = rng.choices(list(TOPICS), [often for often, _, _ in TOPICS.values()])[0]
        _, team, sentences = TOPICS[topic]
        thing = pick(rng, things)
        text = pick(rng, sentences).format(thing=thing, n=1000 + int(9000 * rng.random()))
        if later and topic == "refund":
            team = "returns"
        if later and topic == "broken" and "hub" in text:
            team = "technical"
        if not team or rng.random() < 1 / 12:
            team = pick(rng, TEAMS)
        yield {
            "ticket": f"T{number + 1:03}",
            "day": str(date(2025, 3, 3) + timedelta(days=day)),
            "text": pick(rng, OPENINGS) + mistyped(rng, text) + pick(rng, ENDINGS),
            "team": team,
        }


def mistyped(rng: Random, text: str) -> str:
    """Swap two neighbouring letters in one text of six."""
    if rng.random() >= 1 / 6:
        return text
    place = int((len(text) - 1) * rng.random())
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


# --- demand -----------------------------------------------------------------------------------------------------------

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# Units on an ordinary day, and how the days of the week differ, Monday first.
SHELVES = {
    ("harbour", "rolls"): (120, (0.8, 0.8, 0.85, 0.9, 1.0, 1.4, 1.3)),
    ("harbour", "coffee"): (60, (0.85, 0.85, 0.9, 0.9, 1.05, 1.3, 1.2)),
    ("station", "rolls"): (80, (1.15, 1.1, 1.1, 1.1, 1.2, 0.75, 0.6)),
}
PROMOTIONS = {"none": 1.0, "10% off": 1.2, "two for one": 1.6}


def demand(rng: Random, days: int = 35, change: int = 21) -> Iterator[Row]:
    """Make what was sold a day; from the day ``change`` on, a new bakery takes a third of what the station sold."""
    for day in range(days):
        when = date(2025, 3, 3) + timedelta(days=day)
        for (shop, product), (level, week) in SHELVES.items():
            promotion = rng.choices(list(PROMOTIONS), (8, 1, 1))[0]
            lost = 2 / 3 if shop == "station" and day >= change else 1.0
            expected = level * week[when.weekday()] * PROMOTIONS[promotion] * lost
            spread = math.exp(0.08 * rng.gauss(0, 1)) + rng.gauss(0, 1) / math.sqrt(expected)
            yield {
                "day": str(when),
                "weekday": WEEKDAYS[when.weekday()],
                "shop": shop,
                "product": product,
                "promotion": promotion,
                "units": max(0, round(expected * spread)),
            }


# --- triage notes -----------------------------------------------------------------------------------------------------

URGENCIES = ("routine", "soon", "urgent", "immediate")

# What a patient comes with: how grave it is (0 routine, 3 immediate), and how many examinations it takes by itself.
COMPLAINTS = {
    "chest pain": (2.0, 2.0),
    "short of breath": (2.1, 2.0),
    "belly pain": (1.2, 1.8),
    "headache": (0.9, 0.8),
    "twisted ankle": (0.2, 0.9),
    "cut on the hand": (0.4, 0.6),
    "sore throat": (0.1, 0.2),
    "back pain": (0.4, 0.5),
    "fever and rash": (0.7, 0.8),
    "dizzy": (1.1, 1.4),
}
SIGNS = {
    "": 0.0,
    "pale and sweating": 0.9,
    "looks very ill": 1.0,
    "vomited twice": 0.4,
    "walks without help": -0.5,
    "jokes with the nurse": -0.6,
    "better since this morning": -0.5,
}
OLD = 70
SINCE = {"for an hour": 0.3, "since yesterday": 0.0, "for three days": -0.1, "for weeks": -0.3}


def triage(rng: Random, shifts: int = 14, a_shift: int = 6, change: int = 7) -> Iterator[Row]:
    """Make notes of a nurse, and what the doctor found afterwards; nothing where the patient had left before.

    From the shift ``change`` on there are measles in town: a fever with a rash is urgent then, and comes more often.
    """
    for number in range(shifts * a_shift):
        later = number // a_shift >= change
        weights = [3 if later and complaint == "fever and rash" else 1 for complaint in COMPLAINTS]
        complaint = rng.choices(list(COMPLAINTS), weights)[0]
        grave, examined = COMPLAINTS[complaint]
        sign, since = pick(rng, tuple(SIGNS)), pick(rng, tuple(SINCE))
        age = 4 + int(86 * rng.random())
        grave += SIGNS[sign] + SINCE[since] + (0.3 if age > OLD else 0.0) + 0.35 * rng.gauss(0, 1)
        if later and complaint == "fever and rash":
            grave = 2 + 0.3 * rng.gauss(0, 1)
        pulse = round(78 + 9 * grave + 8 * rng.gauss(0, 1))
        left = rng.random() < 1 / 20
        urgency = min(max(round(grave), 0), 3)
        yield {
            "note": f"N{number + 1:03}",
            "shift": number // a_shift + 1,
            "text": ", ".join(filter(None, (f"{age} y", f"{complaint} {since}", sign, f"pulse {pulse}"))),
            "urgency": "" if left else URGENCIES[urgency],
            "examinations": "" if left else min(max(round(examined + 0.5 * urgency + 0.6 * rng.gauss(0, 1)), 0), 6),
        }


# --- all of them ------------------------------------------------------------------------------------------------------


def pick(rng: Random, options: Sequence[str]) -> str:
    """Take one of some options, each as likely as the others."""
    return options[int(len(options) * rng.random())]


def main(folder: Path) -> None:
    """Write the three tables into a folder."""
    for make in (tickets, demand, triage):
        rows = list(make(Random(SEED)))  # noqa: S311 - nothing here is secret
        with (folder / f"{make.__name__}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main(Path(__file__).parent)
